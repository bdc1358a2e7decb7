"""What the agents say of a study as one line of structured tokens, and back.

    <|findings|> canal<|present|> L4-L5 severe, L3-L4; neuroforaminal<|possible|> left; ... <|/findings|>

One entry per condition in the order of ``conditions.yaml``: its key, a status token, ``probable`` where a present
finding is not definite, then its places as level, side and severity, best first.

Belongs here: the grammar and the tokens that a language model must learn. Does not belong here: similar reports and
images in a prompt (``reporting.llava``), deciding anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spine_models.domain import DISCS, VERTEBRAE, Severity, Side, condition_keys

OPEN: Final = "<|findings|>"
CLOSE: Final = "<|/findings|>"
PRESENT: Final = "<|present|>"
POSSIBLE: Final = "<|possible|>"
ABSENT: Final = "<|absent|>"
ABSTAIN: Final = "<|abstain|>"
NOT_ASSESSED: Final = "<|not_assessed|>"
SIMILAR: Final = ("<|similar|>", "<|/similar|>")
IMAGE: Final = "<|image|>"

SPECIAL_TOKENS: Final[tuple[str, ...]] = (
    OPEN,
    CLOSE,
    *SIMILAR,
    IMAGE,
    PRESENT,
    POSSIBLE,
    ABSENT,
    ABSTAIN,
    NOT_ASSESSED,
)
"""Tokens that a tokenizer gets beside its own; their order is part of a saved model."""

STATUSES: Final = (PRESENT, POSSIBLE, ABSENT, ABSTAIN, NOT_ASSESSED)
PROBABLE: Final = "probable"
LEVELS: Final = frozenset((*DISCS, "C1-C2", *VERTEBRAE))
SIDES: Final = frozenset(side.value for side in Side)
SEVERITIES: Final = frozenset(severity.value for severity in Severity)


class SerialisedError(ValueError):
    """A string that is not what ``serialise`` writes, or claims that are not those of one study."""


@dataclass(frozen=True)
class Said:
    """Level, side and severity of one place; null where not known."""

    level: str | None = None
    side: str | None = None
    severity: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.level, self.side, self.severity) if part is not None)


@dataclass(frozen=True)
class Entry:
    """What is said of one condition.

    Attributes:
        condition: its key.
        token: one of ``STATUSES``.
        certainty: definite | probable with ``PRESENT``, possible with ``POSSIBLE``, else None.
        places: of an affirmed condition; one that is nowhere located has none, but may have a severity.
    """

    condition: str
    token: str
    certainty: str | None = None
    places: tuple[Said, ...] = ()

    def __str__(self) -> str:
        hedge = [PROBABLE] if self.certainty == PROBABLE else []
        said = ", ".join(str(place) for place in self.places)
        return " ".join([f"{self.condition}{self.token}", *hedge, *([said] if said else [])])


def entry(claim: Mapping[str, Any]) -> Entry:
    """The entry of one ``CLAIMS`` row."""
    return Entry(claim["condition"], token_of(claim), claim["certainty"], places_said(claim))


def token_of(claim: Mapping[str, Any]) -> str:
    """The status token of one ``CLAIMS`` row."""
    if claim["affirmed"]:
        return POSSIBLE if claim["certainty"] == "possible" else PRESENT
    return {"absent": ABSENT, "not_assessed": NOT_ASSESSED}.get(claim["status"], ABSTAIN)


def places_said(claim: Mapping[str, Any]) -> tuple[Said, ...]:
    """Level, side and severity of each place of an affirmed claim; what says nothing or repeats is left out."""
    if not claim["affirmed"]:
        return ()
    places = claim["places"] or [claim]
    # A level that is uncertain is not said.
    said = (Said(place["level"], place["side"], place["severity"]) for place in places)
    return tuple(dict.fromkeys(one for one in said if str(one)))


def serialise(claims_of_study: Iterable[Mapping[str, Any]]) -> str:
    """The claims of one study (``CLAIMS`` rows, any order) as one line.

    Raises:
        SerialisedError: claims of several studies, or not one for each condition.
    """
    claims = list(claims_of_study)
    by_condition = {claim["condition"]: claim for claim in claims}
    if len({claim.get("study_key") for claim in claims}) > 1:
        raise SerialisedError("claims of several studies: serialise one study at a time")
    if len(claims) != len(by_condition) or set(by_condition) != set(condition_keys()):
        raise SerialisedError(
            f"{len(claims)} claims of {len(by_condition)} conditions, one for each of {len(condition_keys())} is"
            " wanted: materialise agents/claims again"
        )
    said = "; ".join(str(entry(by_condition[condition])) for condition in condition_keys())
    return f"{OPEN} {said} {CLOSE}"


def parse(text: str) -> list[Entry]:
    """The entries of a line that ``serialise`` wrote; text before and after it is ignored.

    Raises:
        SerialisedError: names the first entry that does not follow the grammar.
    """
    start, end = text.find(OPEN), text.find(CLOSE)
    if start < 0 or end < start:
        raise SerialisedError(f"no {OPEN} ... {CLOSE} in the text")
    entries = [_entry(part.strip()) for part in text[start + len(OPEN) : end].split(";")]
    if [one.condition for one in entries] != list(condition_keys()):
        raise SerialisedError("the conditions are not all there, each once and in order")
    return entries


def _entry(text: str) -> Entry:
    token = next((one for one in STATUSES if one in text), None)
    if token is None:
        raise SerialisedError(f"no status token in {text[:60]!r}")
    condition, _, rest = text.partition(token)
    words = rest.split()
    probable = words[:1] == [PROBABLE]
    certainty = {PRESENT: PROBABLE if probable else "definite", POSSIBLE: "possible"}.get(token)
    if (probable and token != PRESENT) or (words and certainty is None):
        raise SerialisedError(f"{condition} has a place or a certainty, though nothing is affirmed of it")
    said = " ".join(words[1:] if probable else words)
    places = tuple(_said(part.split(), condition) for part in said.split(",")) if said else ()
    return Entry(condition, token, certainty, places)


def _said(words: list[str], condition: str) -> Said:
    found: dict[str, str] = {}
    for word in words:
        kind = next(
            (
                name
                for name, known in (("level", LEVELS), ("side", SIDES), ("severity", SEVERITIES))
                if word in known
            ),
            None,
        )
        if kind is None or kind in found:
            raise SerialisedError(f"{word!r} of {condition} is no level, side or severity, or a second one")
        found[kind] = word
    if not found:
        raise SerialisedError(f"{condition} has an empty place")
    return Said(**found)
