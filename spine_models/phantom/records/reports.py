"""Free-text reports that agree with what was planted: negation, hedging, silence, distractors, identifiers.

Belongs here: what a report says of each condition, and its letter. Does not belong here: phrases (``narrative.yaml``),
findings (``pathology``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from spine_models.domain import Region, Status
from spine_models.phantom.dicom import Study
from spine_models.phantom.records.identity import HOSPITALS, PHYSICIANS
from spine_models.phantom.body.pathology import Finding

SECTIONS: Final = ("ALIGNMENT", "MARROW", "DISCS", "FORAMINA", "CORD")
HISTORIES: Final = (
    "Rule out fracture.",
    "Evaluate for stenosis.",
    "History of compression fracture at an outside exam, healed.",
    "Assess for disc herniation versus spondylolisthesis.",
)
FILLER: Final = {
    "ALIGNMENT": "Vertebral alignment is assessed on sagittal images.",
    "MARROW": "Marrow signal is otherwise unremarkable.",
    "DISCS": "Remaining levels show age-appropriate signal.",
    "FORAMINA": "Facet joints show mild degenerative change.",
    "CORD": "The visualized cord is otherwise normal in signal.",
}


@dataclass(frozen=True)
class Statement:
    """What the report says of one condition; ``finding`` where the statement names a place."""

    condition: str
    status: Status
    finding: Finding | None


@lru_cache(maxsize=1)
def _narrative() -> dict[str, Any]:
    return yaml.safe_load((Path(__file__).parent / "narrative.yaml").read_text(encoding="utf-8"))


def draw_statements(
    findings: list[Finding], levels: tuple[str, ...], rng: np.random.Generator
) -> list[Statement]:
    """Decide per condition whether the report affirms, denies, hedges or keeps silent.

    A planted condition is affirmed in 90 %, hedged in 6 %, not mentioned in 4 %; one that is not there is denied in
    45 %, hedged in 2 %, else not mentioned.
    """
    planted = {finding.condition: finding for finding in findings}
    statements = []
    for condition in _narrative():
        chance, finding = rng.random(), planted.get(condition)
        if finding is not None:
            status = (
                Status.PRESENT
                if chance < 0.9
                else Status.AMBIGUOUS
                if chance < 0.96
                else Status.NOT_MENTIONED
            )
        else:
            status = (
                Status.ABSENT
                if chance < 0.45
                else Status.AMBIGUOUS
                if chance < 0.47
                else Status.NOT_MENTIONED
            )
        if status is Status.AMBIGUOUS and finding is None:
            discs = [level for level in levels if "-" in level]
            bones = [level for level in levels if "-" not in level]
            pool = bones if condition in ("fracture", "edema", "hemangioma") else discs
            from spine_models.domain import Severity, Side

            finding = Finding(condition, pool[int(rng.integers(len(pool)))], Side.LEFT, Severity.MILD)
        statements.append(Statement(condition, status, finding))
    return statements


def write_report(
    study: Study, statements: list[Statement], sequences: list[str], rng: np.random.Generator
) -> str:
    """The report's text in the habit of one of three radiologists."""
    habit = study.physician % 3
    lines: dict[str, list[str]] = {section: [] for section in SECTIONS}
    impression = []
    for statement in statements:
        phrase = _phrase(statement, study.region, habit, rng)
        if phrase is None:
            continue
        lines[_narrative()[statement.condition]["section"]].append(phrase)
        if statement.status is not Status.ABSENT:
            impression.append(phrase)
    head = _letterhead(study, sequences, rng)
    if habit == 0:
        body = "\n\n".join(f"{s}: {_join([*lines[s], FILLER[s].rstrip('.')])}" for s in SECTIONS)
        text = f"{head}\n\nFINDINGS:\n{body}"
    elif habit == 1:
        body = " ".join(_join(lines[s]) for s in SECTIONS if lines[s])
        text = f"{head}\n\nFINDINGS: {body} No paraspinal mass is seen."
    else:
        body = "\n".join(f"- {p}." for s in SECTIONS for p in lines[s])
        text = f"{head}\n\nFINDINGS\n{body}\n- Paraspinal soft tissues are unremarkable."
    if impression:
        closing = "\n".join(f"{n}. {p}." for n, p in enumerate(impression, 1))
    else:
        closing = f"1. Unremarkable MRI of the {study.region.value} spine."
    doctor = PHYSICIANS[study.physician]
    signed = f"Dictated by Dr. {doctor}, MD on {study.day.strftime('%m/%d/%Y')}."
    return f"{text}\n\nIMPRESSION:\n{closing}\n\n{signed}\n"


def _join(phrases: list[str]) -> str:
    return " ".join(f"{p}." for p in phrases)


def _letterhead(study: Study, sequences: list[str], rng: np.random.Generator) -> str:
    person, day = study.patient, study.day
    lines = [
        HOSPITALS[person.site],
        f"Patient: {person.given} {person.family}   MRN: {person.mrn}   DOB: {person.birth.strftime('%m/%d/%Y')}",
        f"Accession: {study.accession}   Exam date: {day.strftime('%B %d, %Y')}",
        f"EXAM: MRI {study.region.value.upper()} SPINE WITHOUT CONTRAST",
        "",
        f"HISTORY: {person.age_on(day)} year old {'woman' if person.sex == 'F' else 'man'} with back pain. "
        + HISTORIES[int(rng.integers(len(HISTORIES)))],
        f"TECHNIQUE: {', '.join(sequences)}.",
        f"COMPARISON: {'None.' if rng.random() < 0.6 else f'MRI of {day.year - 1}.'}",
    ]
    return "\n".join(lines)


def _phrase(statement: Statement, region: Region, habit: int, rng: np.random.Generator) -> str | None:
    if statement.status is Status.NOT_MENTIONED:
        return None
    options = _narrative()[statement.condition][statement.status.value]
    template = options[int(rng.integers(len(options)))]
    finding = statement.finding
    word = "cauda equina" if region is Region.LUMBAR else "spinal cord"
    level = _written(finding.level, habit) if finding else ""
    side = finding.side.value if finding and finding.side else ""
    text = template.format(
        level=level, side=side, severity=finding.severity.value if finding else "",
        cordword=word.capitalize(), cordlower=word,
    )  # fmt: skip
    text = " ".join(text.split())
    return text[0].upper() + text[1:]


def _written(level: str, habit: int) -> str:
    """L4-L5, L4-5 or L4/5, by the radiologist's habit."""
    if "-" not in level or habit == 0:
        return level
    upper, lower = level.split("-")
    short = lower[1:] if lower[0] == upper[0] else lower
    return f"{upper}-{short}" if habit == 1 else f"{upper}/{short}"
