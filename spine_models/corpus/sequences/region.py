"""Body region from the names in a header.

Belongs here: the words of several languages for parts of the spine and for other parts of the body.
Does not belong here: finding a region in pixels, or vertebral levels.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from spine_models.domain import Region

_CERVICOTHORACIC: Final = r"\bc ?t ?(?:spine|sp)\b|"
_PARTS: Final[tuple[tuple[Region, re.Pattern[str]], ...]] = (
    (
        Region.CERVICAL,
        re.compile(
            _CERVICOTHORACIC + r"\bc ?(?:spine|sp|wk|ws)\b|cervi[ck]|zervi[kc]|\bcerv\b|\bhws\b|halswirbel"
        ),
    ),
    (
        Region.THORACIC,
        re.compile(
            _CERVICOTHORACIC
            + r"\b[td] ?l? ?(?:spine|sp|wk|ws)\b|thora[ck]|tora[ck]|\bdorsal|\bthor\b|\bbws\b|brustwirbel"
        ),
    ),
    (
        Region.LUMBAR,
        re.compile(r"\bt? ?l ?s? ?(?:spine|sp|wk|ws)\b|lumb|lomb|\blws\b|lendenwirbel"),
    ),
)
_SPINE: Final = re.compile(
    r"spine\b|spinal|\bctl|wirbel|\bgws\b|rachis|column|colonna|vertebr|myelo|\bsacr[aou]|coccyx|scoli|kregoslup"
)
_NOT_SPINE: Final = re.compile(
    r"brain|\bhead\b|skull|schadel|kopf|cerebr|cranium|\borbit|pituitar|\biac\b|\btmj\b|\bface\b|chest|abdom|pelvi"
    r"|becken|\bhips?\b|knee|knie|genou|rodilla|ankle|\bfoot\b|\bfuss\b|should|schulter|elbow|wrist|\bhand\b|finger"
    r"|femur|thigh|tibia|\bleg\b|extremit|breast|mamma|heart|cardiac|\bliver\b|leber|pancrea|kidney|prostat|uter"
    r"|bladder|plexus|phantom"
)
_SACROILIAC: Final = re.compile(r"\bsij?\b|sacro ?iliac|ilio ?sacral|\bisg\b")


def region_of(description: str | None, protocol: str | None, body_part: str | None) -> Region:
    """The region by the most specific name: description, then protocol, then body part.

    Two parts of the spine, or a spine without a part, are `Region.SPINE`; a body part that only a coarse name
    gives (``SPINE``, ``HEAD``) yields to a part that another name gives. Nothing known: unknown.
    """
    found = [_in_text(text) for text in (description, protocol, body_part) if text]
    parts = [region for region in found if region in (Region.CERVICAL, Region.THORACIC, Region.LUMBAR)]
    if parts:
        return parts[0]
    return _first(found, (Region.SPINE,)) or _first(found, (Region.OTHER,)) or Region.UNKNOWN


def _first(found: Iterable[Region], wanted: tuple[Region, ...]) -> Region | None:
    return next((region for region in found if region in wanted), None)


@lru_cache(maxsize=4096)
def _in_text(text: str) -> Region:
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"[^a-z0-9]+", " ", plain)
    if _SACROILIAC.search(plain):
        return Region.OTHER
    parts = [region for region, pattern in _PARTS if pattern.search(plain)]
    if len(parts) == 1:
        return parts[0]
    if parts or _SPINE.search(plain):
        return Region.SPINE
    return Region.OTHER if _NOT_SPINE.search(plain) else Region.UNKNOWN
