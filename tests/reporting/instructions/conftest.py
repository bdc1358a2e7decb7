"""A few labelled studies, from texts as a radiologist writes them, through the rules labeller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pytest

from spine_models.config import InstructionSettings
from spine_models.corpus.deid.tables import REPORTS
from spine_models.corpus.labels import consensus, contradictions, label_reports
from spine_models.corpus.sequences.tables import SERIES
from spine_models.corpus.shards.tables import PATIENTS, SPLITS
from spine_models.reporting.instructions import Case, cases_of
from tests.reporting.conftest import frame

LUMBAR = ("sagittal T1", "sagittal T2", "sagittal STIR", "axial T2", "sagittal localizer")
LEVELS = ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")
GRADES = ("Mild", "Moderate", "Severe")
PLAIN = """EXAM: MRI LUMBAR SPINE
HISTORY: Back pain, rule out fracture.
FINDINGS:
No spondylolisthesis. No fracture. Bone marrow edema in L3.
Moderate spinal canal stenosis at L4-L5. Severe left foraminal stenosis at L5-S1, unchanged since 02/08/2023.
Possible synovial cyst at L3-L4.
IMPRESSION:
1. Moderate spinal canal stenosis at L4-L5.
2. Severe left foraminal stenosis at L5-S1, unchanged since 02/08/2023.
Dictated by Dr. [NAME], MD on 04/29/2024."""


def report(number: int) -> str:
    """One of many lumbar reports that differ in what they find and deny."""
    level, other = LEVELS[number % 5], LEVELS[(number // 5 + 2) % 5]
    grade, side = GRADES[number % 3], ("left", "right")[(number // 2) % 2]
    found = [
        f"{grade} spinal canal stenosis at {level}." if number % 2 else "No spinal canal stenosis.",
        f"{grade} {side} foraminal stenosis at {other}." if number % 3 else "The neural foramina are patent.",
        f"{grade} {side} disc protrusion at {other}." if number % 5 < 3 else "No disc herniation.",
        f"Bone marrow edema in L{number % 5 + 1}." if number % 4 < 2 else "No marrow edema.",
        "Possible pars defect at L5." if number % 3 == 0 else "No pars defect.",
        f"Acute compression fracture of L{(number + 2) % 5 + 1}." if number % 7 < 3 else "No fracture.",
        f"Disc height loss at {level}." if number % 6 < 2 else "Disc heights are maintained.",
    ]
    turn = number % len(found)
    return "FINDINGS: " + " ".join([*found[turn:], *found[:turn]])


@dataclass
class Tables:
    """All that cases are made of; every study is its patient's only one, ``p-<study>``."""

    reports: pl.DataFrame
    consensus: pl.DataFrame
    mentions: pl.DataFrame
    contradictions: pl.DataFrame
    series: pl.DataFrame

    def cases(self, patients: Sequence[str] | None = None) -> dict[str, Case]:
        known = self.reports["patient_key"].to_list() if patients is None else patients
        return cases_of(self.reports, self.consensus, self.mentions, self.contradictions, self.series, known)


def tables_of(
    texts: Mapping[str, str],
    sequences: Sequence[str] = LUMBAR,
    region: str = "lumbar",
    adjudications: pl.DataFrame | None = None,
) -> Tables:
    """Tables of one report a study."""
    ids = {study: {"batch_key": "b-0001", "patient_key": f"p-{study}", "study_key": study} for study in texts}
    reports = frame(
        [ids[s] | {"report_key": f"r-{s}", "report_text": text} for s, text in texts.items()], REPORTS
    )
    labelled = label_reports(reports)
    rows = []
    for study in texts:
        for number, sequence in enumerate(sequences):
            plane, contrast = sequence.split(" ", 1)
            rows.append(
                ids[study]
                | {"series_key": f"{study}-{number}", "contrast": contrast, "plane": plane}
                | {"region": region, "route": "other"}
            )
    decided = () if adjudications is None else (adjudications,)
    return Tables(
        reports,
        consensus([labelled.rules], *decided),
        labelled.mentions,
        contradictions(labelled.mentions),
        frame(rows, SERIES),
    )


@pytest.fixture(scope="session")
def many() -> Tables:
    """Sixty studies."""
    return tables_of({f"s{n:02d}": report(n) for n in range(60)})


@pytest.fixture
def settings() -> Callable[..., InstructionSettings]:
    def make(**changes: object) -> InstructionSettings:
        return InstructionSettings.model_validate({"bootstrap": 50} | changes)

    return make


def ledgers(train: Sequence[str], test: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``PATIENTS`` and ``SPLITS``."""
    rows = [(p, "train") for p in train] + [(p, "test") for p in test]
    frozen = [{"patient_key": p, "split": s, "may_train": s == "train"} for p, s in rows]
    today = [{"batch_key": "b-0001", "patient_key": p, "split": s} for p, s in rows]
    return frame(frozen, PATIENTS), frame(today, SPLITS)
