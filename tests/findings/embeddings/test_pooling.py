"""Means of means: series weigh equally, missing routes stay missing."""

from __future__ import annotations

import polars as pl
import pytest

from spine_models.findings.embeddings import MixedVersionsError, pool_series, pool_studies
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
