"""Leaving out a series or a route: recomputed from what is left, by the heads' own rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from spine_models.findings.attribution.knockouts import NO_HEAD, NOTHING_LEFT, knockouts
from spine_models.findings.attribution.tables import KNOCKOUTS
from spine_models.findings.attribution.terms import AttributionError
from spine_models.findings.embeddings import pool_series, pool_studies
from spine_models.findings.probes.heads import HeadsError


def slowly(batch, heads, study, unit, key, condition):
    """Slices without the part, pooled and predicted alone."""
    left = batch.slices.filter(
        pl.col("study_key") == study, pl.col("series_key" if unit == "series" else "route") != key
    )
    if left.is_empty():
        return None, None
    found = heads.predict(pool_studies(pool_series(left))).filter(condition=condition)
    return found["sequence_set"].item(), found["probability"].item()


def test_every_row_is_the_prediction_of_what_is_left(batch, heads):
    found = knockouts(batch.series, batch.shards, heads)
    assert found.schema == KNOCKOUTS
    assert found.height == 2 * (3 + 2 + 1 + 1 + 2 + 1)
    before = heads.predict(batch.studies)
    for row in found.iter_rows(named=True):
        expected = slowly(batch, heads, row["study_key"], row["unit"], row["key"], row["condition"])
        assert row["sequence_set_after"] == expected[0]
        if expected[1] is None:
            assert row["probability_after"] is None
        else:
            assert row["probability_after"] == pytest.approx(expected[1], abs=1e-9)
        stood = before.filter(study_key=row["study_key"], condition=row["condition"]).row(0, named=True)
        assert row["probability_before"] == pytest.approx(stood["probability"], abs=1e-9)
        assert row["sequence_set_before"] == stood["sequence_set"]


def test_the_only_series_of_a_route_and_its_route_are_the_same_loss(batch, heads):
    found = knockouts(batch.series, batch.shards, heads).filter(study_key="both").sort("condition")
    series, route = (found.filter(key=key) for key in ("both-a", "t1"))
    assert series["probability_after"].equals(route["probability_after"])
    assert series["sequence_set_after"].equals(route["sequence_set_after"])
    assert (series["probability_after"] - series["probability_before"]).abs().min() > 0
    assert route["contrast"].is_null().all()
    assert set(series["contrast"]) == {"T1"}


def test_a_study_with_one_series_keeps_nothing_and_says_so(batch, heads):
    found = knockouts(batch.series, batch.shards, heads).filter(study_key="lone")
    assert found.height == 4
    assert set(found["reason"]) == {NOTHING_LEFT}
    assert found["probability_after"].is_null().all()
    assert found["probability_before"].is_not_null().all()


def test_where_no_head_takes_what_is_left_the_reason_is_another_one(batch, heads):
    only_t1 = replace(heads, sets={"t1": heads.sets["t1"]})
    found = knockouts(batch.series, batch.shards, only_t1).filter(study_key="both")
    assert set(found.filter(key="t1")["reason"]) == {NO_HEAD}
    assert set(found.filter(key="both-a")["reason"]) == {NO_HEAD}
    assert found.filter(route="t2")["reason"].is_null().all()


def test_many_studies_are_those_one_by_one(heads, batch):
    series = pl.concat(
        [batch.series.with_columns(pl.col("study_key", "series_key") + f"-{i}") for i in range(12)]
    )
    found = knockouts(series, batch.shards, heads)
    once = knockouts(batch.series, batch.shards, heads)
    assert found.height == 12 * once.height
    for i in (0, 7, 11):
        part = found.filter(pl.col("study_key").str.ends_with(f"-{i}"))
        np.testing.assert_array_equal(part["probability_after"], once["probability_after"])


def test_routes_that_no_head_knows_are_not_knocked_out(batch, heads):
    other = batch.series.filter(series_key="pair-a").with_columns(
        route=pl.lit("other"), series_key=pl.lit("pair-z"), model_version=pl.lit("m-other")
    )
    found = knockouts(pl.concat([batch.series, other]), batch.shards, heads)
    assert found.equals(knockouts(batch.series, batch.shards, heads))


def test_bad_vectors_are_refused(batch, heads):
    with pytest.raises(HeadsError, match="fitted on encoder version"):
        knockouts(batch.series.with_columns(model_version=pl.lit("new")), batch.shards, heads)
    broken = batch.series.with_columns(vector=pl.col("vector").list.eval(pl.element() * float("nan")))
    with pytest.raises(AttributionError, match="not finite"):
        knockouts(broken, batch.shards, heads)
    assert knockouts(batch.series.clear(), batch.shards, heads).schema == KNOCKOUTS
