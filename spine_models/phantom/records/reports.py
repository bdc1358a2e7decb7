"""Free-text reports that agree with what was planted, in the habits of several radiologists.

Belongs here: a report's body: its style, its sentences, its impression. Does not belong here: what is said
(``statements``), phrases (``narrative.yaml``), letterheads, signatures and identifiers (``letters``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from spine_models.domain import Region, Status
from spine_models.phantom.body.pathology import Finding
from spine_models.phantom.records import letters
from spine_models.phantom.records.statements import Statement
from spine_models.phantom.study import Study

SECTIONS: Final = ("ALIGNMENT", "MARROW", "DISCS", "FORAMINA", "CORD")
STYLES: Final = {
    "structured": 0.24, "prose": 0.20, "bullets": 0.16, "numbered": 0.10, "short": 0.10, "dictated": 0.10,
    "capitals": 0.10,
}  # fmt: skip
COMPARED: Final = 0.7
"""Share of follow-ups whose affirmed findings are compared with the study before."""
TYPOS: Final = 0.06
"""Share of reports with one or two misspelt words; a word that names a finding is never one of them."""


@dataclass(frozen=True)
class Prior:
    """The study before this one and what it showed."""

    study: Study
    findings: tuple[Finding, ...]


@lru_cache(maxsize=1)
def narrative() -> dict[str, Any]:
    """The phrases."""
    return yaml.safe_load((Path(__file__).parent / "narrative.yaml").read_text(encoding="utf-8"))


def write_report(
    study: Study,
    statements: Sequence[Statement],
    sequences: Sequence[str],
    rng: np.random.Generator,
    *,
    prior: Prior | None = None,
) -> str:
    """The text of one report.

    Args:
        study: whose.
        statements: what it says, one per condition.
        sequences: descriptions of the acquired series, for the technique.
        rng: of style and wording.
        prior: the patient's study before, where there is one.
    """
    style = str(rng.choice(list(STYLES), p=list(STYLES.values())))
    compared = prior if prior is not None and rng.random() < COMPARED else None
    said = _Said(study, rng, int(rng.integers(3)), compared)
    body, closing = _body(said, statements, style)
    language = ("en", "en", "en", "de", "es")[study.site % 5] if rng.random() < 0.4 else "en"
    heads = narrative()["headings"][language]
    head = letters.head(
        study, sequences, heads, rng,
        language=language, prior=prior.study if prior else None, terse=style == "short",
    )  # fmt: skip
    if style == "short":
        text = f"{head}\n\n{heads['impression']}: {' '.join(c + '.' for c in closing)}"
    elif style == "numbered":
        text = f"{head}\n\n{heads['findings']}:\n{body}"
    else:
        shown = "\n".join(f"{n}. {c}." for n, c in enumerate(closing, 1))
        text = f"{head}\n\n{heads['findings']}:{body}\n\n{heads['impression']}:\n{shown}"
    if rng.random() < TYPOS:
        text = _misspelt(text, rng)
    if style == "capitals":
        text = letters.upper(text, study.patient)
    return f"{text}\n\n{letters.tail(study, rng)}\n"


@dataclass
class _Said:
    """One radiologist on one study: wording that is drawn once per phrase."""

    study: Study
    rng: np.random.Generator
    habit: int
    prior: Prior | None

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def phrases(self, statement: Statement) -> list[str]:
        """The statement in words, one phrase per place; none where it is not mentioned."""
        if statement.status is Status.NOT_MENTIONED:
            return []
        options = narrative()["conditions"][statement.condition][statement.status.value]
        found: Sequence[Finding | None] = statement.findings or (None,)
        return [self._one(self.pick(options), statement, finding) for finding in found]

    def denial(self, statement: Statement) -> str:
        options = narrative()["conditions"][statement.condition]["absent"]
        return self._one(self.pick(options), statement, None)

    def _one(self, template: str, statement: Statement, finding: Finding | None) -> str:
        word = "cauda equina" if self.study.region is Region.LUMBAR else "spinal cord"
        level = finding.level if finding else ""
        text = template.format(
            level=_written(level, self.habit), vertebra=level.split("-")[0],
            side=finding.side.value if finding and finding.side else "",
            severity=finding.severity.value if finding else "",
            cordword=word.capitalize(), cordlower=word,
        )  # fmt: skip
        text = re.sub(r"\s+,", ",", " ".join(text.split()))
        if finding is not None and statement.status is Status.PRESENT and self.prior is not None:
            text = f"{text}, {self._course(finding)}"
        return text[0].upper() + text[1:]

    def _course(self, finding: Finding) -> str:
        assert self.prior is not None
        same = (finding.condition, finding.level)
        before = [f.grade for f in self.prior.findings if (f.condition, f.level) == same]
        kind = "new"
        if before:
            kind = (
                "worse"
                if finding.grade > max(before)
                else "better"
                if finding.grade < max(before)
                else "same"
            )
        when = letters.said_date(self.prior.study, self.study)
        return self.pick(narrative()["course"][kind]).format(date=when)


def _body(said: _Said, statements: Sequence[Statement], style: str) -> tuple[str, list[str]]:
    """The findings as the style sets them, and the phrases of the impression."""
    book = narrative()
    lines: dict[str, list[str]] = {section: [] for section in SECTIONS}
    closing: list[str] = []
    for statement in statements:
        phrases = said.phrases(statement)
        lines[book["conditions"][statement.condition]["section"]] += phrases
        if statement.contradicted:
            closing.append(said.denial(statement))
        elif statement.status is not Status.ABSENT:
            closing += phrases
    soft = said.pick(book["soft_tissue"]).rstrip(".")
    ordered = [phrase for section in SECTIONS for phrase in lines[section]]
    normal = said.pick(book["normal"]).format(region=said.study.region.value).rstrip(".")
    if style == "short":
        # No findings section: what is said is said in the impression, denials too.
        return "", ordered or [normal]
    if style == "numbered":
        shown = [*ordered, soft] if ordered else [normal, soft]
        return "\n".join(f"{n}) {p}." for n, p in enumerate(shown, 1)), []
    closing = closing or [normal]
    if style == "prose":
        return " " + " ".join(f"{p}." for p in [*ordered, soft]), closing
    if style == "dictated":
        run = ". ".join(_lowered(p) for p in [*ordered, soft])
        return f"\n{run}.", closing
    if style == "bullets":
        return "\n" + "\n".join(f"- {p}." for p in [*ordered, soft]), closing
    filler = {s: said.pick(book["filler"][s]).rstrip(".") for s in SECTIONS}
    blocks = [f"{s}: {' '.join(f'{p}.' for p in [*lines[s], filler[s]])}" for s in SECTIONS]
    return "\n" + "\n\n".join(blocks), closing


def _lowered(phrase: str) -> str:
    """As speech recognition without capitals leaves it; levels keep theirs."""
    return phrase if re.match(r"[A-Z]\d|[A-Z]{2}", phrase) else phrase[0].lower() + phrase[1:]


def _misspelt(text: str, rng: np.random.Generator) -> str:
    typos: dict[str, str] = narrative()["typos"]
    places = list(re.finditer(rf"\b(?:{'|'.join(typos)})\b", text))
    if not places:
        return text
    chosen = places[int(rng.integers(len(places)))]
    return text[: chosen.start()] + typos[chosen[0]] + text[chosen.end() :]


def _written(level: str, habit: int) -> str:
    """L4-L5, L4-5 or L4/5, by the radiologist's habit."""
    if "-" not in level or habit == 0:
        return level
    upper, lower = level.split("-")
    short = lower[1:] if lower[0] == upper[0] else lower
    return f"{upper}-{short}" if habit == 1 else f"{upper}/{short}"
