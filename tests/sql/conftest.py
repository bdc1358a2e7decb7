"""A tiny valid lake: two batches, four patients, every table; tests break one thing at a time."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.sql.agents_lake import add_agents
from tests.sql.asking import answer  # noqa: F401  a fixture
from tests.sql.corpus_lake import add_panel, add_study
from tests.sql.findings_lake import add_nights, add_refreshed, add_retrieval, add_saliency_scores
from tests.sql.instructions_lake import add_instructions
from tests.sql.levels_lake import add_levels
from tests.sql.llava_lake import add_llava
from tests.sql.scores_lake import add_scores
from tests.sql.strata_lake import add_strata
from tests.sql.tiny_lake import FIRST, SCHEMAS, STUDIES, Lake, key
from tests.sql.training_lake import add_manifest, add_training


def valid_lake() -> Lake:
    lake = Lake()
    for patient, split in sorted({(patient, split) for patient, _, split, *_ in STUDIES}):
        lake.add("shards.patients", patient_key=key(patient), split=split, may_train=split == "train")
    for batch, patient, split in sorted({(batch, patient, split) for patient, batch, split, *_ in STUDIES}):
        lake.add("shards.splits", batch_key=batch, patient_key=key(patient), split=split)
    for number, study in enumerate(STUDIES):
        add_study(lake, number, *study)
    for reason, outcome in (
        ("not_dicom", "rejected"),
        ("duplicate_sop", "duplicate"),
        ("not_mr", "quarantined"),
    ):
        lake.add(
            "deid.files", batch_key=FIRST, cohort="internal", file_key=key(reason), kind="dicom", outcome=outcome,
            reason=reason,
        )  # fmt: skip
    add_panel(lake)
    add_refreshed(lake)
    add_nights(lake)
    add_retrieval(lake)
    add_manifest(lake)
    add_training(lake)
    add_saliency_scores(lake)
    add_levels(lake)
    add_strata(lake)
    add_agents(lake)
    add_instructions(lake)
    add_scores(lake)
    add_llava(lake)
    return lake


@pytest.fixture
def lake() -> Lake:
    """Rows of a lake in which every rule holds; change them, then ``write``."""
    return valid_lake()


@pytest.fixture(scope="session")
def schemas() -> dict[str, pl.Schema]:
    """The domain's schema of every table of the lake."""
    return SCHEMAS


@pytest.fixture(scope="session")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a valid lake; not to be changed."""
    return valid_lake().write(tmp_path_factory.mktemp("valid") / "lake")
