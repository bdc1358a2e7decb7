"""Gains over the best baseline and over no synthesizer, on the same studies and queries."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.findings.probes.tables import BASELINES
from spine_models.findings.retrieval.evaluate import Vectors, evaluate_retrieval
from tests.findings.retrieval.asking import SETTINGS, VERSIONS, others, row_of, run
from tests.findings.retrieval.conftest import DIM, make_space, unit


def test_gains_are_over_the_best_baseline_on_the_same_studies():
    weak = row_of(run(make_space(160), noise=30.0).gains, sequence_set="t2", query="t2")
    assert (weak["status"], weak["next_best"]) == ("evaluated", "pixel_pca")
    assert weak["gain"] == pytest.approx(weak["recall_5"] / weak["next_best_recall_5"] - 1)
    assert weak["gain_low"] > 0
    # A baseline that knows the report's vector itself beats a noisy alignment: the harness favours nobody.
    strong = row_of(run(make_space(160, noise=1.0), noise=0.0).gains, sequence_set="t2", query="t2")
    assert strong["gain"] < 0
    other = row_of(run(make_space(40)).gains, sequence_set="other", against="best_baseline")
    assert other["status"] == "not_evaluable"


def test_with_and_without_the_synthesizer_are_asked_the_same():
    """Studies of which one has no vector count for neither; without any, each is asked all that it has."""
    space = make_space(160)
    test = set(space.splits.filter(split="test")["patient_key"])
    keys = space.aligned.filter(pl.col("patient_key").is_in(test))["study_key"].unique().sort().to_list()
    gone = pl.col("study_key").is_in(keys[:6]) & (pl.col("modality") == "study")
    lone = pl.col("study_key").is_in(keys[6:9]) & pl.col("modality").is_in(["t1", "t2"])
    space.aligned = space.aligned.filter(~gone & ~lone)
    found = run(space)
    rows = found.scores.filter(
        pl.col("sequence_set") == "all", pl.col("encoder").str.contains("^clip|^synthesizer")
    )
    for task in ("image_to_report", "report_to_image"):
        own = rows.filter(task=task)
        assert own.height == 2
        assert set(own["n_queries"]) == set(own["n_gallery"]) == {len(keys) - 9}
        assert own["chance_recall_5"].n_unique() == 1
    gain = row_of(found.gains, sequence_set="all", against="without_synthesizer")
    by_query = dict(rows.filter(task="image_to_report").select("query", "recall_5").rows())
    assert (gain["recall_5"], gain["next_best_recall_5"]) == (by_query["study"], by_query["t1+t2"])
    assert gain["gain"] == pytest.approx(by_query["study"] / by_query["t1+t2"] - 1)
    assert gain["gain_low"] <= gain["gain"] <= gain["gain_high"]
    assert (gain["query"], gain["next_best"], gain["n_queries"]) == ("study", "t1+t2", len(keys) - 9)
    other = row_of(found.gains, sequence_set="other", against="without_synthesizer")
    assert (other["status"], other["gain"]) == ("not_evaluable", None)
    assert "ablations" in other["reason"]


def test_the_synthesizer_beats_what_knows_nothing_and_says_where_it_is_not():
    space = make_space(120)
    rng = np.random.default_rng(4)
    known = space.aligned["modality"].is_in(["t1", "t2"])
    vectors = [
        unit(rng.normal(size=DIM)).tolist() if blind else v
        for v, blind in zip(space.aligned["vector"].to_list(), known, strict=True)
    ]
    space.aligned = space.aligned.with_columns(pl.Series("vector", vectors, dtype=pl.List(pl.Float32)))
    gain = row_of(run(space).gains, sequence_set="all", against="without_synthesizer")
    assert gain["gain_low"] > 0
    space.aligned = space.aligned.filter(~pl.col("modality").is_in(["study", "other"]))
    absent = run(space, versions={"clip": "c1"}).gains.filter(against="without_synthesizer")
    assert set(absent["status"]) == {"not_evaluable"}
    assert set(absent["reason"]) == {"no synthesizer is aligned with the reports"}


def test_a_gain_over_a_baseline_that_finds_nothing_has_a_reason():
    """Ours are the reports themselves; the only baseline is the reports turned away."""
    space = make_space(200, noise=0.0)
    held = dict(space.aligned.filter(modality="report").select("study_key", "vector").rows())
    baselines = others(space, noise=0.0, seed=2)
    split = dict(space.splits.rows())
    turned = [
        (-np.array(held[s]) if split[p] == "test" else np.array(held[s])).tolist()
        for s, p in baselines.select("study_key", "patient_key").rows()
    ]
    space_vectors = Vectors(
        space.aligned,
        lambda: iter([space.slices]),
        others(space, noise=1.0, seed=1),
        baselines.with_columns(
            pl.Series("vector", turned, dtype=pl.List(pl.Float32)), encoder=pl.lit("turned")
        ).select(BASELINES.names()),
    )
    gains = evaluate_retrieval(
        space_vectors,
        splits=space.splits,
        reports=space.reports,
        consensus=pl.DataFrame(schema={"study_key": pl.String, "condition": pl.String, "label": pl.Int8}),
        sentences={},
        versions=VERSIONS,
        settings=SETTINGS,
    ).gains
    row = row_of(gains, sequence_set="t2", query="t2")
    assert (row["recall_5"], row["next_best_recall_5"]) == (1.0, 0.0)
    assert (row["status"], row["gain"], row["gain_low"], row["gain_high"]) == (
        "not_evaluable",
        None,
        None,
        None,
    )
    assert "nothing" in row["reason"]
