"""Text that a language model wrote, sentence by sentence, against the claims of its study.

Belongs here: reading each sentence with the rules labeller, keeping those whose every statement a claim carries, and
saying why the others go. Does not belong here: what the template adds (``assembly``), words (``phrasing``).

A sentence stays when everything that it affirms or denies is said by a claim: the same condition with the same
certainty, at a place that the claim names, and nothing more exact than the claim. One statement without a claim takes
the whole sentence with it; the template says again what was right in it. The model is shown one study, so that it can
know of no other: technique, history and comparison are never its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spine_models.corpus.labels import Mention, read_report
from spine_models.corpus.statements import Unit, units_of_text
from spine_models.domain import Status
from spine_models.reporting.agents import ClaimStatus
from spine_models.reporting.reports.claims import Claim
from spine_models.reporting.reports.graph import IMPRESSION, Kind, Said

_HEADINGS: Final = (
    "alignment|marrow|bones?|discs?|cord|cord and conus|conus|canal|foramina|paravertebral soft tissues|soft tissues"
    "|axial discs/dural compression/foramina|levels|findings?|impressions?|conclusions?|opinions?|summary"
)
_OUTSIDE: Final = (
    "techniques?|sequences|protocol|comparisons?|indications?|history|clinical(?: history| information| details)?"
    "|limitations?|recommendations?|notice|exam(?:ination)?|study"
)
_HEADING: Final = re.compile(
    rf"[ \t*#]*(?:(?P<in>{_HEADINGS})|(?P<out>{_OUTSIDE}))[ \t*]*(?::|$)[ \t]*", re.IGNORECASE
)
_CONCLUDES: Final = re.compile(r"impression|conclusion|opinion|summary", re.IGNORECASE)
_BULLET: Final = re.compile(r"\s*(?:[-*•]|\(?\d{1,2}[.)])\s+")
LEVEL_LINE: Final = re.compile(r"\s*[CTLctl]\d{1,2}\s?[-/]\s?[CTLSctls]?\d{1,2}\s?:")
"""How a sentence opens under whose level a reader takes the next ones to stand."""
_SPECIAL: Final = re.compile(r"<\|/?[a-z_ ]*\|>")
_STOP: Final = re.compile(r"(?<=[.!?])\s+")
COMPARES: Final = re.compile(
    r"\b(?:compar(?:ed|ison|ative|able to)|prior|previous(?:ly)?|earlier|interval|unchanged|stable|stability|again"
    r"|new(?:ly)?|no longer|still|persist\w*|resol(?:ved|ution|ving)|progress\w*|regress\w*|improv\w+|worsen\w*"
    r"|(?:more|less) severe than|(?:in|de)creased? (?:since|from|in (?:size|severity))|since|has (?:grown|increased"
    r"|decreased)|redemonstrat\w+|follow-?up)\b",
    re.IGNORECASE,
)
"""Words of a comparison with another study."""


_OPEN: Final = re.compile(
    r"\b(?:not|cannot|could not|un-?able to)(?: be)?(?: \w+ly)? (?:assess|determin|evaluat)\w*"
    r"|\bun(?:determined|assessed)\b|\blimitations?\b",
    re.IGNORECASE,
)
"""What was not looked at or could not be told, which labellers take for many things."""


@dataclass(frozen=True)
class Matched:
    """A sentence that stays; ``exact`` are the units that it says in full."""

    section: str | None
    text: str
    kind: Kind
    said: tuple[Said, ...]
    exact: frozenset[Unit]

    @property
    def concludes(self) -> bool:
        """Whether it stood in the impression."""
        return self.section == IMPRESSION


@dataclass(frozen=True)
class Removed:
    """A sentence that went, with the reason."""

    section: str | None
    text: str
    reason: str
    condition: str | None = None


class _Refused(Exception):
    """Why a sentence goes; never leaves this module."""

    def __init__(self, reason: str, condition: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.condition = reason, condition


def link(text: str, claims: Sequence[Claim], *, stopped: bool = True) -> tuple[list[Matched], list[Removed]]:
    """Match every sentence of ``text`` to claims of the study.

    Args:
        text: as written; headings structure it and are no sentences.
        claims: all claims of the study.
        stopped: whether the model came to an end; else its last words are no sentence.

    Returns:
        What stays and what goes, in the order of the text; together all of its sentences.
    """
    by_condition = {claim.condition: claim for claim in claims}
    matched: list[Matched] = []
    removed: list[Removed] = []
    written = list(sentences_of(text))
    for number, (section, outside, sentence) in enumerate(written):
        try:
            if not stopped and number == len(written) - 1 and not sentence.endswith((".", "!", "?")):
                raise _Refused("cut off at the longest text that the model may write")
            if outside:
                raise _Refused("technique, history and comparison are told from the study, not by the model")
            if COMPARES.search(sentence):
                raise _Refused("compares with another study, which the model was not shown")
            if _OPEN.search(sentence):
                raise _Refused("tells what could not be assessed, which the template does from the claims")
            matched.append(_matched(section, sentence, by_condition))
        except _Refused as refusal:
            removed.append(Removed(section, sentence, refusal.reason, refusal.condition))
    return matched, removed


def sentences_of(text: str) -> Iterator[tuple[str | None, bool, str]]:
    """(section, whether it is none of findings, sentence) in the order of the text."""
    section: str | None = None
    outside = False
    held: list[str] = []

    def released() -> Iterator[tuple[str | None, bool, str]]:
        for piece in _STOP.split(" ".join(held)):
            if re.search(r"\w", piece):
                yield section, outside, piece.strip()
        held.clear()

    for line in _SPECIAL.sub(" ", text).splitlines():
        heading = _HEADING.match(line)
        if heading is not None:
            yield from released()
            outside = heading["out"] is not None
            named = (heading["in"] or heading["out"]).upper()
            section = IMPRESSION if _CONCLUDES.fullmatch(named.rstrip("S")) else named
            line = line[heading.end() :]
        bullet = _BULLET.match(line)
        if bullet is not None or LEVEL_LINE.match(line) or not line.strip():
            yield from released()
        held.append(line[bullet.end() :] if bullet else line.strip())
    yield from released()


def _matched(section: str | None, sentence: str, claims: Mapping[str, Claim]) -> Matched:
    mentions = read_report(sentence)
    units = units_of_text(sentence)
    said: dict[str, list[Unit]] = {}
    exact: set[Unit] = set()
    for mention in mentions:
        if mention.status is Status.ABSENT:
            _check_denied(mention, _claim(mention.condition, claims))
            said.setdefault(mention.condition, [])
    for unit in units:
        own = _affirmed(unit, _claim(unit.condition, claims))
        said.setdefault(unit.condition, []).extend(own)
        exact.update({unit}.intersection(own))
    if not said:
        raise _Refused("says nothing that a claim carries")
    kind = Kind.FINDING if units else Kind.NEGATIVE
    linked = tuple(Said(claims[c], tuple(dict.fromkeys(own))) for c, own in said.items())
    return Matched(section, _ended(sentence), kind, linked, frozenset(exact))


def _claim(condition: str, claims: Mapping[str, Claim]) -> Claim:
    if condition not in claims:
        raise _Refused("no agent speaks of it", condition)
    claim = claims[condition]
    if claim.status == ClaimStatus.NOT_ASSESSED:
        raise _Refused("its agent did not assess it", condition)
    if claim.undetermined:
        raise _Refused("its agent could not determine it", condition)
    return claim


def _check_denied(mention: Mention, claim: Claim) -> None:
    if not claim.affirmed:
        return
    own = {unit.level for unit in claim.units}
    if mention.levels and None not in own and not own.intersection(mention.levels):
        raise _Refused("no claim says that it is absent there", claim.condition)
    raise _Refused("denies what its claim affirms", claim.condition)


def _affirmed(unit: Unit, claim: Claim) -> list[Unit]:
    """The units of the claim that ``unit`` says, in full or in part."""
    if not claim.affirmed:
        raise _Refused("affirms what its claim says is absent", claim.condition)
    if unit.certainty != claim.certainty:
        raise _Refused(f"says {unit.certainty} where its claim says {claim.certainty}", claim.condition)
    fits = list(claim.units)
    for name in ("level", "side", "severity"):
        value = getattr(unit, name)
        left = [own for own in fits if value is None or getattr(own, name) == value]
        if not left:
            known = sorted({getattr(own, name) for own in fits} - {None})
            told = f"where its claim says {', '.join(known)}" if known else "that its claim does not"
            raise _Refused(f"says {name} {value} {told}", claim.condition)
        fits = left
    return fits


def _ended(sentence: str) -> str:
    text = " ".join(sentence.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."
