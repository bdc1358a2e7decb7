"""A small hospital's reports with their labels, and what each method wrote of the test patients."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pytest

from spine_models.config import ScoreSettings
from spine_models.corpus.labels import consensus, label_reports
from spine_models.reporting.scores.harness import Case, Text, compare_texts, metric_of, references

SETTINGS = ScoreSettings(bootstrap=50, seed=7)

REPORTS = {
    "severe": "FINDINGS: Severe canal stenosis at L4-L5. No fracture.",
    "normal": "FINDINGS: The spinal canal is patent. No fracture.",
    "doubtful": "FINDINGS: Possible fracture of L2. Left disc herniation at L5-S1.",
    "empty": "  ",
    "unlabelled": "FINDINGS: Moderate canal stenosis at L3-L4.",
    "lesions": "FINDINGS: Hemangioma of L3. Mild right foraminal stenosis at L5-S1.",
}
"""By study; the study ``unread`` has none."""


def key(name: str) -> str:
    return f"{name:0>32}"


@dataclass
class Made:
    """Tables of one small hospital."""

    studies: pl.DataFrame
    reports: pl.DataFrame
    consensus: pl.DataFrame
    mentions: pl.DataFrame

    def known(self):
        return references(self.studies, self.reports, self.consensus, self.mentions)

    def cases(self, texts: dict[str, dict[str, Text]]) -> list[Case]:
        return compare_texts(self.studies, self.known(), self.reports, texts, metric_of(SETTINGS))


@pytest.fixture
def made() -> Made:
    names = [*REPORTS, "unread"]
    studies = pl.DataFrame(
        {
            "batch_key": "internal-0001",
            "patient_key": [key(f"p{number // 2}") for number in range(len(names))],
            "study_key": [key(name) for name in names],
        }
    )
    reports = studies.filter(pl.col("study_key") != key("unread")).with_columns(
        report_key=pl.col("study_key"), report_text=pl.Series(list(REPORTS.values()))
    )
    tables = label_reports(reports.filter(pl.col("study_key") != key("unlabelled")))
    return Made(
        studies, reports.select("study_key", "report_text"), consensus([tables.rules]), tables.mentions
    )


@pytest.fixture
def settings() -> ScoreSettings:
    return SETTINGS
