"""Levels, sides and severities as any text names them, for checking words against labels.

A closed reading: it knows no finding, only what places and grades are written with. What is affirmed of which condition
is read by ``claims.units_of_text``.

Belongs here: the reading of places, answers of yes or no, marks that no item may hold. Does not belong here: what they
should be (``verify``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from spine_models.corpus.labels.rules.attributes import read_grades
from spine_models.corpus.labels.rules.levels import find_levels
from spine_models.corpus.labels.rules.lexicon import lexicon
from spine_models.corpus.labels.rules.sentences import fold
from spine_models.domain import DISCS

_DISC_BELOW: Final = {disc.split("-")[0]: disc for disc in DISCS}
_IMAGES: Final = re.compile(r"\bt[12](?:[- ]weighted|\*|\+c\b|-fs\b)", re.IGNORECASE)
_BOTH: Final = re.compile(r"\b(?:both|either) sides?\b", re.IGNORECASE)
_NOT_GRADES: Final = re.compile(r"\bhow severe\b", re.IGNORECASE)
_NOT_SIDES: Final = re.compile(r"\bleft out\b|\bright (?:option|answer)\b|\b\w+[rl]t\b", re.IGNORECASE)
"""What is no side, though it is spelled like one or, as "report" and "adult", ends in its abbreviation."""
_PIECES: Final = re.compile(r"[,;:.()]|\band\b")
_YES: Final = re.compile(r"\s*yes\b", re.IGNORECASE)
_NO: Final = re.compile(r"\s*no\b", re.IGNORECASE)
_PRIVATE: Final = re.compile(
    r"\[[A-Z][A-Z _-]*\]"
    r"|\b\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}\b"
    r"|\b(?:19|20)\d{2}\b|\b\d{6,}\b"
    r"|\b(?:[DM]r|DR|Mrs|Ms|Prof)\.? \[?[A-Z][A-Za-z]|\bM\.?D\.?\b"
    r"|\b(?i:accession|mrn|patient id|phone|tel\.)"
)
_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
_MONTHS: Final = re.compile(rf"\b\d{{1,2}} {_MONTH}\b|\b{_MONTH}\.? \d", re.IGNORECASE)
COMPARED: Final = re.compile(
    r"\b(?:unchanged|stable|progress(?:ed|ion|ive)|interval|previous(?:ly)?|prior|since|compar(?:ed|ison)"
    r"|again (?:seen|noted)|(?:in|de)creased (?:in size|since|from)|no change|new(?:ly)?|similar to|improved"
    r"|worse(?:ned|ning)|resolved|as before|earlier (?:study|examination|mri|scan)|follow[- ]up)\b",
    re.IGNORECASE,
)
"""Words of a comparison with an earlier examination."""


@dataclass(frozen=True)
class Places:
    """What a text names.

    Attributes:
        discs: levels with a pair taken as a disc.
        bodies: levels with a pair or range taken as vertebrae.
        sides: left, right, bilateral, central.
        severities: mild, moderate, severe.
    """

    discs: frozenset[str]
    bodies: frozenset[str]
    sides: frozenset[str]
    severities: frozenset[str]

    @property
    def levels(self) -> frozenset[str]:
        """All names of levels."""
        return self.discs | self.bodies

    def has_level(self, level: str | None, condition: str) -> bool:
        """Whether a level is named, by its own name or by what the condition's level is folded from."""
        return level is not None and level in self.named(condition)

    def named(self, condition: str) -> frozenset[str]:
        """The levels named, as units of a condition spell them (``claims.units``)."""
        if condition == "pars":
            return frozenset(level.split("-")[0] for level in self.discs)
        if condition == "spondylolisthesis":
            return frozenset(_DISC_BELOW.get(level, level) for level in self.discs)
        return self.bodies if lexicon().of(condition).level_kind == "vertebra" else self.discs

    def has_side(self, side: str | None) -> bool:
        """Whether a side is named; left and right are both named by "bilateral"."""
        return side is not None and (
            side in self.sides or ("bilateral" in self.sides and side in ("left", "right"))
        )


@lru_cache(maxsize=8192)
def places_in(text: str) -> Places:
    """Every place and grade that a text names, whatever it says of them."""
    folded = fold(_IMAGES.sub(" weighted", text))
    groups = [find_levels(folded), find_levels(f"at {folded.strip()}")]
    spans = [group for found in groups for group in found]
    plain = _BOTH.sub("bilateral", _NOT_GRADES.sub("", _NOT_SIDES.sub("", folded)))
    # Piece by piece: of several grades in one piece only the worst is told.
    read = [grade for piece in _PIECES.split(plain) for grade in read_grades(piece, "herniation")]
    return Places(
        frozenset(name for group in spans for name in group.names("disc")),
        frozenset(name for group in spans for name in group.names("vertebra")),
        frozenset(str(grade.side) for grade in read if grade.side),
        frozenset(str(grade.severity) for grade in read if grade.severity),
    )


def says_yes(answer: str) -> bool | None:
    """Whether an answer begins with yes or no; None with neither."""
    if _YES.match(answer):
        return True
    return False if _NO.match(answer) else None


def is_private(text: str) -> bool:
    """Whether a text holds a mark of de-identification, a date, a person or a long number."""
    return bool(_PRIVATE.search(text) or _MONTHS.search(text))
