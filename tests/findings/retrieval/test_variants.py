"""Variants that know no text: each through its map, all on the test studies that every one of them has."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import RetrievalSettings
from spine_models.findings.retrieval.comparison import mapped_to_reports
from spine_models.findings.retrieval.pool import RetrievalError
from spine_models.findings.retrieval.ranking import score_retrieval
from spine_models.findings.retrieval.studies import gather_studies
from spine_models.findings.retrieval.variants import recall_of_variants
from tests.findings.retrieval.conftest import DIM, make_space

SETTINGS = RetrievalSettings(bootstrap=100)


def made(space, **noises):
    """Vectors of route other that know of the report what the noise leaves."""
    rng = np.random.default_rng(1)
    turn = rng.normal(size=(DIM, 9))
    rows = []
    for name, noise in noises.items():
        for row in space.aligned.filter(modality="report").iter_rows(named=True):
            vector = np.array(row["vector"]) @ turn + noise * rng.normal(size=9)
            rows.append((name, row["patient_key"], row["study_key"], "other", "m1", vector.tolist()))
    names = ["variant", "patient_key", "study_key", "route", "model_version", "vector"]
    return pl.DataFrame(rows, schema=names, orient="row")


def world(n=200):
    space = make_space(n)
    split = dict(space.splits.rows())
    studies = gather_studies(space.aligned, list(split), dict(space.reports.rows()))
    return space, studies, [split[patient] for patient in studies.patient_keys]


def test_variants_are_asked_the_same_test_studies():
    space, studies, splits = world()
    vectors = made(space, conditional=0.3, t1_only=6.0)
    test = [key for key, own in zip(studies.study_keys, splits, strict=True) if own == "test"]
    gone = (pl.col("variant") == "t1_only") & pl.col("study_key").is_in(test[:7])
    vectors = vectors.filter(~gone)
    ours, theirs = recall_of_variants(vectors, studies, splits, "conditional", "other", SETTINGS)
    assert (ours.variant, theirs.variant) == ("conditional", "t1_only")
    assert ours.n_queries == theirs.n_queries == len(test) - 7
    assert theirs.difference_low > 0
    both = np.array([key in test[7:] for key in studies.study_keys])
    for row in (ours, theirs):
        own = mapped_to_reports(
            studies, np.array(splits, dtype=object), vectors.filter(variant=row.variant), "other", SETTINGS
        )
        alone = score_retrieval(
            own.vectors[both], studies.vectors["report"][both], studies.patients(both), studies.alike[both],
            bootstrap=100,
        )  # fmt: skip
        assert (row.value, row.low, row.high) == pytest.approx(
            (alone["recall_5"], alone["recall_5_low"], alone["recall_5_high"])
        )


def test_what_cannot_be_compared_has_a_reason_or_is_refused():
    space, studies, splits = world(60)
    vectors = made(space, conditional=0.3, t1_only=6.0)
    test = [key for key, own in zip(studies.study_keys, splits, strict=True) if own == "test"]
    apart = vectors.filter((pl.col("variant") != "t1_only") | ~pl.col("study_key").is_in(test))
    rows = recall_of_variants(apart, studies, splits, "conditional", "other", SETTINGS)
    assert {(row.value, row.reason) for row in rows} == {(None, "no test study has all vectors")}
    rows = recall_of_variants(vectors, studies, splits, "conditional", "t2", SETTINGS)
    assert {row.reason for row in rows} == {"no train studies to fit a map of conditional"}
    with pytest.raises(RetrievalError, match="static"):
        recall_of_variants(vectors, studies, splits, "static", "other", SETTINGS)
    first = (pl.col("variant") == "t1_only") & (pl.col("study_key") == test[0])
    mixed = vectors.with_columns(
        model_version=pl.when(first).then(pl.lit("m0")).otherwise(pl.col("model_version"))
    )
    with pytest.raises(RetrievalError, match=r"ablations/vectors of t1_only.*\(m0, m1\)"):
        recall_of_variants(mixed, studies, splits, "conditional", "other", SETTINGS)
