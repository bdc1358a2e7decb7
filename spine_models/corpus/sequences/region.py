"""Body region from the names in a header.

Belongs here: the words of several languages for parts of the spine and for other parts of the body.
Does not belong here: finding a region in pixels, or vertebral levels.
"""

from __future__ import annotations

import re
import unicodedata
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
_LEVELS: Final = re.compile(
    r"(?<![a-z0-9])(?=([ctl])(\d{1,2})\s?(?:-|/|to|_|bis)?\s?([ctls])(\d{1,2})(?![a-z0-9]))"
)
_PART_OF_LETTER: Final = {"c": Region.CERVICAL, "t": Region.THORACIC, "l": Region.LUMBAR}
_SPINE_PARTS: Final = (Region.CERVICAL, Region.THORACIC, Region.LUMBAR)
_SACROILIAC: Final = re.compile(r"\bsij?\b|sacro ?iliac|ilio ?sacral|\bisg\b")


def region_of(description: str | None, protocol: str | None, body_part: str | None) -> Region:
    """The region by the most specific name: description, then protocol, then body part.

    Two parts of the spine, or a spine without a part, are `Region.SPINE`; a body part that only a coarse name
    gives (``SPINE``, ``HEAD``) yields to a part that another name gives. Nothing known: unknown.
    """
    return region_with_evidence(description, protocol, body_part)[0]


def region_with_evidence(
    description: str | None, protocol: str | None, body_part: str | None
) -> tuple[Region, str | None]:
    """`region_of` and the name that gave it: description, protocol, body_part, or levels (``L3-S1``); null: none."""
    names = {"description": description, "protocol": protocol, "body_part": body_part}
    found = {source: _in_text(text) for source, text in names.items() if text}
    for source, region in found.items():
        if region in _SPINE_PARTS:
            return region, source
    for text in (description, protocol):
        if text and (region := _by_levels(text)) is not None:
            return region, "levels"
    for wanted in (Region.SPINE, Region.OTHER):
        for source, region in found.items():
            if region is wanted:
                return region, source
    return Region.UNKNOWN, None


@lru_cache(maxsize=4096)
def _by_levels(text: str) -> Region | None:
    """The part of the spine that a span of levels lies in; two weightings in a name (``T1 T2``) are no levels."""
    for first, low, last, high in _LEVELS.findall(text.casefold()):
        if first == last == "t" and int(low) <= 2 and int(high) <= 2:
            continue
        part = _PART_OF_LETTER[first]
        if (
            last == first
            or (first == "l" and last == "s")
            or (first == "c" and last == "t" and int(high) <= 2)
        ):
            return part
    return None


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
