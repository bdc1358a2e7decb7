"""Slices by study: thinned evenly, stored whole, refused when damaged."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest

from spine_models.findings.probes.bags import collect, in_order, thinned
from spine_models.findings.probes.studies import ProbeInputError


def slices(plan: dict[tuple[str, str, str], int], dim: int = 3) -> pl.DataFrame:
    """(study, series, route) to a number of slices; the vector tells which slice it is."""
    rows = [
        (study, series, f"{series}-{i:03d}", route, [float(ord(series[0])), float(i), 1.0][:dim])
        for (study, series, route), n in plan.items()
        for i in range(n)
    ]
    schema = dict.fromkeys(("study_key", "series_key", "slice_key", "route"), pl.String)
    return pl.DataFrame(rows, schema=schema | {"vector": pl.List(pl.Float32)}, orient="row")


PLAN = {("s1", "a", "t1"): 3, ("s1", "b", "t2"): 30, ("s1", "c", "other"): 9, ("s2", "d", "t2"): 1}


def test_a_study_keeps_at_most_its_limit_evenly_over_its_series():
    counts = {}
    for limit in (1, 2, 3, 10, 12, 40, 100):
        kept = thinned(slices(PLAN), limit)
        counts[limit] = Counter(kept["series_key"].to_list())
        assert counts[limit]["d"] == 1
        assert counts[limit].total() - 1 == min(limit, 42)
    assert counts[12] == {"a": 3, "b": 5, "c": 4, "d": 1}
    assert counts[40] == {"a": 3, "b": 28, "c": 9, "d": 1}


def test_slices_that_stay_are_spread_over_their_series():
    kept = thinned(slices({("s", "a", "t1"): 100}), 10)["slice_key"].to_list()
    places = [int(key[-3:]) for key in kept]
    assert len(set(np.diff(places))) == 1
    assert places[-1] - places[0] == 90


def test_bags_hand_out_what_was_stored(tmp_path):
    frame = slices(PLAN)
    batches = [frame.filter(study_key=key).sample(fraction=1, shuffle=True, seed=1) for key in ("s2", "s1")]
    bags = collect(batches, limit=100, folder=tmp_path)
    assert bags.study_keys.tolist() == ["s1", "s2"]
    bag = bags.take([1, 0], ["t1", "t2"])
    assert bag.size == 2
    assert bag.vectors["t1"].tolist() == [[97.0, i, 1.0] for i in range(3)]
    assert bag.member["t1"].tolist() == [1, 1, 1]
    assert bag.member["t2"].tolist() == [0] + [1] * 30
    assert bag.vectors["t2"][0].tolist() == [100.0, 0.0, 1.0]
    assert bags.having(["t1"]).tolist() == [0]
    assert bags.having(["t1", "t2"]).tolist() == [0, 1]
    assert bags.having(["nowhere"]).tolist() == []
    assert bags.slices.height == 43


def test_only_the_studies_asked_for_are_kept(tmp_path):
    bags = collect([slices(PLAN)], limit=5, folder=tmp_path, studies=["s2", "s9"])
    assert bags.study_keys.tolist() == ["s2"]


def test_damaged_slices_are_refused(tmp_path):
    frame = slices(PLAN)
    broken = frame.with_columns(
        vector=pl.when(pl.col("series_key") == "c")
        .then(pl.lit([1.0, float("nan"), 0.0], dtype=pl.List(pl.Float32)))
        .otherwise("vector")
    )
    with pytest.raises(ProbeInputError, match="route 'other' hold numbers that are not finite"):
        collect([broken], limit=100, folder=tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(ProbeInputError, match="route 't1' have several lengths"):
        collect(
            [frame.filter(study_key="s1"), slices({("s3", "e", "t1"): 2}, dim=2)],
            limit=9,
            folder=tmp_path / "b",
        )
    (tmp_path / "c").mkdir()
    with pytest.raises(ProbeInputError, match="lie in two batches"):
        collect([frame, frame], limit=9, folder=tmp_path / "c")


def test_slices_are_spread_over_the_spine_and_not_over_their_keys():
    frame = slices({("s", "a", "t1"): 90})
    places = np.random.default_rng(0).permutation(90)
    placed = frame.select("slice_key").with_columns(slice_index=pl.Series(places, dtype=pl.Int32))
    held = in_order(frame, placed)
    assert held.drop("slice_index").equals(frame)
    for given in (held, held.sample(fraction=1.0, shuffle=True, seed=2)):
        kept = np.sort(thinned(given, 9)["slice_index"].to_numpy())
        assert set(np.diff(kept)) == {10}
    with pytest.raises(ProbeInputError, match="slices that the shards do not hold"):
        in_order(frame, placed.head(80))


@pytest.mark.parametrize("column", ["encoder", "model_version", "preprocessing_version"])
def test_slices_of_two_versions_are_refused_within_and_across_batches(tmp_path, column):
    told = {"encoder": "dinov3-t2", "model_version": "m1", "preprocessing_version": "p1"}
    frame = slices({("s1", "a", "t2"): 3, ("s2", "b", "t2"): 2, ("s3", "c", "t1"): 1})
    frame = frame.with_columns(**{name: pl.lit(value) for name, value in told.items()})
    (tmp_path / "a").mkdir()
    bags = collect([frame], limit=9, folder=tmp_path / "a")
    assert bags.versions == {"t1": told, "t2": told}
    one, two = (
        frame.filter(study_key="s1"),
        frame.filter(study_key="s2").with_columns(pl.lit("x").alias(column)),
    )
    for number, batches in enumerate(([one, two], [pl.concat([one, two])])):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(ProbeInputError, match=f"embeddings/slices, route 't2': {column} has 2 versions"):
            collect(batches, limit=9, folder=tmp_path / str(number))
    other = two.with_columns(route=pl.lit("t1"))
    (tmp_path / "b").mkdir()
    assert collect([one, other], limit=9, folder=tmp_path / "b").versions["t1"][column] == "x"
