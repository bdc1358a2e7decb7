"""What every labeller promises: per report and condition one verdict with a quote that stands in the report.

Belongs here: the verdict, the reasons for doubt, the search for a quote, the row that a verdict becomes. Does not
belong here: how a verdict is reached (``rules``, ``llm``) or what several of them make together (``panel``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Literal

import polars as pl

from spine_models.domain import TERNARY, Severity, Side, Status

Silent = Literal[0, -1]
"""Label of a condition that the report does not mention."""


WORST: Final = {Status.PRESENT: 3, Status.AMBIGUOUS: 2, Status.ABSENT: 1, Status.NOT_MENTIONED: 0}
"""Of several mentions or reports of one study the highest wins."""


class Reason(StrEnum):
    """Why a row is ambiguous."""

    HEDGED = "hedged"
    """The report itself is in doubt."""
    NO_QUOTE = "no_quote"
    """A verdict other than "not mentioned" came without evidence."""
    QUOTE_NOT_FOUND = "quote_not_found"
    """The evidence does not stand in the report."""
    TRUNCATED = "truncated"
    """The answer was cut off before it was whole."""
    MALFORMED = "malformed"
    """The answer does not follow its schema."""
    REFUSED = "refused"
    """The server's filter or the model declined to answer."""
    CONTEXT_TOO_LONG = "context_too_long"
    """Report and prompt exceed what the model can read."""
    REJECTED = "rejected"
    """The server did not accept this one question."""
    DISAGREEMENT = "disagreement"
    """The labellers' labels differ."""


@dataclass(frozen=True)
class Verdict:
    """What one labeller says of one condition in one report.

    Attributes:
        condition: its key.
        status: present, absent, ambiguous or not mentioned.
        levels: canonical discs ("L4-L5") or vertebrae ("L4"), that of the worst mention first.
        side: of the patient.
        severity: as the report grades it.
        start: of the quote in the report text, 0-based character; None where there is no quote.
        end: one past the quote's last character.
        confidence: the labeller's own, 0 to 1; None where it has none.
        reason: why it is ambiguous; None otherwise.
    """

    condition: str
    status: Status
    levels: tuple[str, ...] = ()
    side: Side | None = None
    severity: Severity | None = None
    start: int | None = None
    end: int | None = None
    confidence: float | None = None
    reason: Reason | None = None

    def doubted(self, reason: Reason) -> Verdict:
        """The same place, ambiguous for ``reason``."""
        return replace(self, status=Status.AMBIGUOUS, reason=reason)

    def row(
        self, report: Mapping[str, Any], labeller: str, version: str, *, not_mentioned: Silent = 0
    ) -> dict[str, Any]:
        """A row of ``LABELS``.

        Args:
            report: a row of ``deid.REPORTS``.
            labeller: its name.
            version: of the labeller: code, words, prompts and model.
            not_mentioned: label of a silent report.
        """
        names = ("batch_key", "patient_key", "study_key", "report_key")
        quoted = self.start is not None and self.end is not None
        return {name: report[name] for name in names} | {
            "labeller": labeller,
            "labeller_version": version,
            "condition": self.condition,
            "status": self.status.value,
            "label": label_of(self.status, not_mentioned),
            "level": self.levels[0] if self.levels else None,
            "levels": list(self.levels),
            "side": self.side.value if self.side else None,
            "severity": self.severity.value if self.severity else None,
            "evidence": report["report_text"][self.start : self.end] if quoted else None,
            "evidence_start": self.start,
            "evidence_end": self.end,
            "confidence": self.confidence,
            "reason": self.reason.value if self.reason else None,
        }


def label_of(status: Status, not_mentioned: Silent = 0) -> int:
    """Ternary label: 1 present, 0 absent, -1 ambiguous; a silent report as the setting has it."""
    return not_mentioned if status is Status.NOT_MENTIONED else TERNARY[status]


QUOTELESS: Final = tuple(reason for reason in Reason if reason is not Reason.HEDGED)
"""Ambiguous for one of these, a row needs no quote: there is no usable answer behind it."""


def misquotes(labels: pl.DataFrame, reports: pl.DataFrame) -> int:
    """How many rows of ``LABELS`` break the promise: a quote that does not stand at its place, or none where due."""
    texts = dict(reports.select("report_key", "report_text").iter_rows())
    names = ("report_key", "status", "reason", "evidence", "evidence_start", "evidence_end")
    wrong = 0
    for key, status, reason, quote, start, end in labels.select(names).iter_rows():
        if quote is None:
            wrong += status != Status.NOT_MENTIONED and reason not in QUOTELESS
        else:
            wrong += key not in texts or not quote or texts[key][start:end] != quote
    return wrong


_QUOTES: Final = "\"'“”„‟‘’‚«»`´ʼ"
_DASHES: Final = "-‐‑‒–—−"
_MOST_WORDS: Final = 400


def find_quote(report: str, quote: str) -> tuple[int, int] | None:
    """Where a quote stands in a report, or None.

    Models give a quote with other blanks, dashes, quotation marks and capitals than the report has; nothing else
    may differ. Ellipses are not filled in. The first place wins.

    Returns:
        ``(start, end)`` such that ``report[start:end]`` is the report's own wording.
    """
    words = quote.split()
    if not words or len(words) > _MOST_WORDS:
        return None
    stripped = quote.strip()
    exact = report.find(stripped)
    if exact >= 0:
        return exact, exact + len(stripped)
    match = _pattern(tuple(words)).search(report)
    return match.span() if match else None


@lru_cache(maxsize=4096)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(r"\s+".join("".join(map(_any_form, word)) for word in words), re.IGNORECASE)


def _any_form(character: str) -> str:
    for family in (_QUOTES, _DASHES):
        if character in family:
            return f"[{re.escape(family)}]"
    return re.escape(character)
