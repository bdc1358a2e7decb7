"""Means of means: series weigh equally, missing routes stay missing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.findings.embeddings import (
    EmbeddingError,
    MixedVersionsError,
    pool_series,
    pool_studies,
)
from spine_models.findings.embeddings.pooling import group_means, sound
from spine_models.findings.embeddings.tables import SERIES, SLICES, STUDIES


def slices(*rows: tuple, **changes: object) -> pl.DataFrame:
    """(study, series, slice, route, vector)"""
    return pl.DataFrame(
        [
            {
                "batch_key": "b",
                "patient_key": "p" + study,
                "study_key": study,
                "series_key": series,
                "slice_key": key,
                "route": route,
                "plane": "sagittal",
                "encoder": f"dinov3-{route}",
                "model_version": "v1",
                "preprocessing_version": "p1",
                "pixel_hash": key,
                "vector": vector,
            }
            | changes
            for study, series, key, route, vector in rows
        ],
        schema=SLICES,
    )


LONG = [("s1", "long", f"l{i}", "t2", [10.0, i]) for i in range(9)]
SHORT = [("s1", "short", "k0", "t2", [0.0, 2.0])]
LATER = [("s2", "third", "m0", "t1", [7.0])]


def test_series_vector_is_the_mean_of_its_slices():
    series = pool_series(slices(*LONG, *SHORT, *LATER))
    assert series.schema == SERIES
    found = {row["series_key"]: row for row in series.iter_rows(named=True)}
    assert found["long"]["vector"] == [10.0, 4.0]
    assert found["long"]["n_slices"] == 9
    assert found["third"]["vector"] == [7.0]


def test_a_long_series_does_not_outweigh_a_short_one():
    studies = pool_studies(pool_series(slices(*LONG, *SHORT)))
    assert studies.schema == STUDIES
    assert studies["vector"].to_list() == [[5.0, 3.0]]
    assert studies.select("n_series", "n_slices").row(0) == (2, 10)


def test_a_missing_route_is_a_missing_row():
    studies = pool_studies(pool_series(slices(*LONG, *LATER)))
    assert studies.select("study_key", "route").rows() == [("s1", "t2"), ("s2", "t1")]


def test_order_of_rows_makes_no_difference():
    frame = slices(*LONG, *SHORT, *LATER)
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=1)
    assert pool_series(shuffled).equals(pool_series(frame))
    series = pool_series(frame)
    assert pool_studies(series.reverse()).equals(pool_studies(series))


def test_empty_frames_keep_their_schema():
    series = pool_series(pl.DataFrame(schema=SLICES))
    assert (series.schema, series.height) == (SERIES, 0)
    assert pool_studies(series).schema == STUDIES


def test_versions_are_never_mixed():
    old, new = slices(*LONG), slices(*SHORT, model_version="v2")
    series = pl.concat([pool_series(old), pool_series(new)])
    with pytest.raises(MixedVersionsError, match="route 't2'"):
        pool_studies(series)
    renamed = new.with_columns(series_key=pl.lit("long"))
    with pytest.raises(MixedVersionsError, match="route 't2'"):
        pool_series(pl.concat([old, renamed]))


def test_a_series_of_several_planes_has_no_plane():
    mixed = pl.concat([slices(LONG[0]), slices(LONG[1], plane="axial")])
    assert pool_series(mixed)["plane"].to_list() == ["unknown"]


@pytest.mark.parametrize("route", ["t1", "t2", "other"])
@pytest.mark.parametrize("column", ["encoder", "model_version", "preprocessing_version"])
def test_no_route_mixes_models_or_preprocessings(route, column):
    one = slices(("s", "a", "k0", route, [1.0]))
    two = slices(("s", "a", "k1", route, [2.0])).with_columns(pl.lit("another").alias(column))
    with pytest.raises(MixedVersionsError, match=f"1 groups of route '{route}'"):
        pool_series(pl.concat([one, two]))
    elsewhere = two.with_columns(series_key=pl.lit("b"))
    with pytest.raises(MixedVersionsError, match=f"1 groups of route '{route}'"):
        pool_studies(pl.concat([pool_series(one), pool_series(elsewhere)]))


def test_a_series_is_of_one_route():
    mixed = slices(("s", "a", "k0", "t1", [1.0]), ("s", "a", "k1", "other", [2.0]), *LATER)
    with pytest.raises(MixedVersionsError, match="1 series have slices of two routes"):
        pool_series(mixed)


def test_routes_may_differ_in_width_and_other_is_pooled_like_the_rest():
    frame = slices(
        ("s", "a", "k0", "other", [1.0, 2.0, 3.0]), ("s", "b", "k1", "other", [3.0, 2.0, 1.0]), *LATER
    )
    studies = pool_studies(pool_series(frame))
    assert studies.select("study_key", "route", "vector").rows() == [
        ("s", "other", [2.0, 2.0, 2.0]),
        ("s2", "t1", [7.0]),
    ]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("vector", [[1.0, NAN], [INF, 1.0], [1.0, -INF], [1.0, None], [], None])
@pytest.mark.parametrize("route", ["t2", "other"])
def test_vectors_that_are_no_vectors_are_refused(vector, route):
    good = slices(("s", "a", "k0", route, [1.0, 2.0]))
    bad = slices(("s", "a", "k1", route, vector))
    with pytest.raises(
        EmbeddingError, match=f"1 vectors of route '{route}' are missing, empty or not finite"
    ):
        pool_series(pl.concat([good, bad]))
    series = pool_series(good)
    broken = series.with_columns(pl.Series("vector", [vector], dtype=pl.List(pl.Float32)))
    with pytest.raises(EmbeddingError, match="1 vectors"):
        pool_studies(broken)


def test_vectors_of_two_lengths_are_refused():
    with pytest.raises(MixedVersionsError, match=r"several lengths: \[1, 2\]"):
        pool_series(slices(("s", "a", "k0", "t1", [1.0]), ("s", "a", "k1", "t1", [1.0, 2.0])))


def test_sound_tells_rows_apart():
    column = pl.Series(
        [[1.0, 2.0], [], None, [NAN], [1.0, None], [0.0], [1.0, INF, 2.0]], dtype=pl.List(pl.Float32)
    )
    assert sound(column).to_list() == [True, False, False, False, False, True, False]
    assert sound(column.clear()).to_list() == []
    assert sound(pl.Series([[], None], dtype=pl.List(pl.Float32))).to_list() == [False, False]


def test_means_are_those_of_each_group():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 30)
    vectors = rng.normal(size=(lengths.sum(), 3)).astype(np.float32)
    expected, start = [], 0
    for n in lengths:
        total = np.zeros(3)
        for row in vectors[start : start + n]:
            total = total + row.astype(np.float64)
        expected.append((total / n).astype(np.float32))
        start += n
    np.testing.assert_array_equal(group_means(vectors, lengths), np.stack(expected))
