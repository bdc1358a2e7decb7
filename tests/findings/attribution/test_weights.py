"""Contributions: they add up, they are those of a slow transcription, and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.findings.attribution.tables import WEIGHTS
from spine_models.findings.attribution.terms import AttributionError, constants, terms_of
from spine_models.findings.attribution.weights import study_weights
from spine_models.findings.probes.heads import HeadsError
from tests.findings.attribution.conftest import DIM

CELL = ["study_key", "condition"]


def logit(probability: pl.Series) -> np.ndarray:
    p = probability.to_numpy()
    return np.log(p / (1 - p))


def test_contributions_of_series_sum_to_the_logit_of_every_study(batch, heads):
    found = study_weights(batch.slices, batch.studies, batch.shards, heads, top_slices=2)
    assert found.schema == WEIGHTS
    sums = (
        found.filter(unit="series")
        .group_by(CELL)
        .agg(pl.col("contribution", "share").sum(), pl.col("constant", "logit", "probability").first())
    )
    predicted = heads.predict(batch.studies)
    assert sums.height == predicted.height == 6
    joined = sums.join(predicted, on=CELL, suffix="_said")
    total = (joined["constant"] + joined["contribution"]).to_numpy()
    np.testing.assert_allclose(total, joined["logit"].to_numpy(), atol=1e-6)
    np.testing.assert_allclose(total, logit(joined["probability_said"]), atol=1e-6)
    np.testing.assert_allclose(joined["share"].to_numpy(), 1.0)


def test_every_slice_and_series_is_that_of_a_slow_transcription(batch, heads):
    found = study_weights(batch.slices, batch.studies, batch.shards, heads, top_slices=99)
    names = list(heads.card["conditions"])
    blocks = {"t1": {"t1": 0}, "t2": {"t2": 0}, "all": {"t1": 0, "t2": 12}}
    seen = 0
    for row in found.iter_rows(named=True):
        head = heads.sets[row["sequence_set"]]
        column = names.index(row["condition"])
        start = blocks[row["sequence_set"]][row["route"]]
        own = batch.slices.filter(series_key=row["series_key"])
        n_series = batch.series.filter(study_key=row["study_key"], route=row["route"]).height
        if row["unit"] == "slice":
            own_rows = own.filter(slice_key=row["slice_key"])
        else:
            own_rows = own
            seen += 1
        expected = 0.0
        for vector in own_rows["vector"].to_list():
            for d, x in enumerate(vector):
                at = start + d
                z = (x - head.mean[at]) / head.scale[at]
                expected += head.slope[column] * z * head.weights[at, column] / own.height / n_series
        assert row["contribution"] == pytest.approx(expected, abs=1e-9)
    assert seen == 2 * batch.series.height
    assert found.filter(unit="slice").height == 2 * batch.slices.height


def test_blocks_of_all_add_up_over_routes(batch, heads):
    found = study_weights(batch.slices, batch.studies, batch.shards, heads, top_slices=0)
    both = found.filter(study_key="both")
    assert set(both["sequence_set"]) == {"all"}
    assert set(both["unit"]) == {"series"}
    by_route = both.group_by("condition", "route").agg(pl.col("contribution").sum())
    for (condition,), part in by_route.group_by("condition"):
        row = both.filter(condition=condition).row(0, named=True)
        assert part.height == 2
        assert row["constant"] + part["contribution"].sum() == pytest.approx(row["logit"], abs=1e-6)


def test_the_heaviest_slices_of_each_series_are_kept_and_no_more(batch, heads):
    whole = study_weights(batch.slices, batch.studies, batch.shards, heads, top_slices=99)
    found = study_weights(batch.slices, batch.studies, batch.shards, heads, top_slices=2).filter(unit="slice")
    assert found.group_by("series_key", "condition").len()["len"].max() == 2
    for (series, condition), part in whole.filter(unit="slice").group_by("series_key", "condition"):
        heaviest = part.sort(pl.col("contribution").abs(), descending=True).head(2)["slice_key"].to_list()
        kept = found.filter(series_key=series, condition=condition).sort("rank")
        assert kept["slice_key"].to_list() == heaviest
        assert kept["rank"].to_list() == list(range(1, len(heaviest) + 1))
    shares = whole.filter(unit="slice").group_by(CELL).agg(pl.col("share").sum())["share"].to_numpy()
    np.testing.assert_allclose(shares, 1.0)


def test_other_orders_of_rows_change_nothing(batch, heads):
    one = study_weights(batch.slices, batch.studies, batch.shards, heads, top_slices=2)
    mixed = batch.slices.sample(fraction=1.0, shuffle=True, seed=3)
    assert study_weights(mixed, batch.studies.reverse(), batch.shards, heads, top_slices=2).equals(one)


def test_series_of_a_route_without_heads_have_no_weight(batch, heads):
    other = batch.slices.filter(series_key="pair-a").with_columns(
        route=pl.lit("other"), series_key=pl.lit("pair-z"), model_version=pl.lit("m-other")
    )
    found = study_weights(pl.concat([batch.slices, other]), batch.studies, batch.shards, heads, top_slices=1)
    assert found.equals(study_weights(batch.slices, batch.studies, batch.shards, heads, top_slices=1))
    assert set(found["route"]) == {"t1", "t2"}
    assert set(found["contrast"]) == {"T1", "T2"}


def test_nothing_to_explain_gives_an_empty_table(batch, heads):
    found = study_weights(batch.slices.clear(), batch.studies.clear(), batch.shards, heads, top_slices=2)
    assert found.schema == WEIGHTS
    assert found.is_empty()


def test_vectors_of_another_encoder_are_refused(batch, heads):
    other = [frame.with_columns(model_version=pl.lit("new")) for frame in (batch.slices, batch.studies)]
    with pytest.raises(HeadsError, match="fitted on encoder version"):
        study_weights(*other, batch.shards, heads, top_slices=2)


def test_values_that_are_not_finite_are_refused(batch, heads):
    broken = batch.slices.with_columns(
        vector=pl.when(pl.col("slice_key") == "both-a01-0000")
        .then(pl.lit([float("nan")] * 12, pl.List(pl.Float32)))
        .otherwise(pl.col("vector"))
    )
    with pytest.raises(AttributionError, match="not finite"):
        study_weights(broken, batch.studies, batch.shards, heads, top_slices=2)


def test_slices_that_the_study_vectors_are_not_made_of_are_refused(batch, heads):
    with pytest.raises(AttributionError, match="not of one refresh"):
        study_weights(
            batch.slices.filter(pl.col("slice_key") != "both-b00-0000"),
            batch.studies,
            batch.shards,
            heads,
            top_slices=2,
        )
    with pytest.raises(AttributionError, match=r"no slice of \d studies has a vector"):
        study_weights(batch.slices.clear(), batch.studies, batch.shards, heads, top_slices=2)


def test_many_studies_are_those_one_by_one(batch, heads):
    """More studies than are held at once."""
    slices, studies = (
        pl.concat(
            [
                frame.with_columns(pl.col(name) + f"-{i:02d}" for name in frame.columns if name in renamed)
                for i in range(30)
            ]
        )
        for frame, renamed in (
            (batch.slices, ("study_key", "series_key", "slice_key")),
            (batch.studies, ("study_key",)),
        )
    )
    found = study_weights(slices, studies, batch.shards, heads, top_slices=2)
    once = study_weights(batch.slices, batch.studies, batch.shards, heads, top_slices=2)
    assert found.height == 30 * once.height
    for i in (0, 21, 29):
        part = found.filter(pl.col("study_key").str.ends_with(f"-{i:02d}"))
        np.testing.assert_array_equal(part["contribution"], once["contribution"])
        np.testing.assert_array_equal(part["rank"], once["rank"])


class Asking:
    """Heads that keep what they are asked."""

    def __init__(self, heads):
        self.heads, self.asked = heads, []

    def __getattr__(self, name):
        return getattr(self.heads, name)

    def predict(self, vectors):
        self.asked.append(vectors)
        return self.heads.predict(vectors)


def test_the_average_study_is_of_the_preprocessing_that_the_heads_know(heads):
    terms = terms_of(heads, "all", {"t1": DIM, "t2": DIM})
    asking = Asking(heads)
    said = constants(asking, "all", ["t1", "t2"], terms)
    assert asking.asked[0].select("route", "preprocessing_version").rows() == [("t1", "p1"), ("t2", "p1")]
    assert np.isfinite(said[0])
