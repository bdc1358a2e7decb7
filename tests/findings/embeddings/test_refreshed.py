"""The report of a refresh against slices whose fate is known."""

from __future__ import annotations

import polars as pl
import pytest

from spine_models.findings.embeddings import refreshed
from spine_models.findings.embeddings.tables import REFRESHED, SLICES


def vectors(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "batch_key": "b",
                "patient_key": "p",
                "study_key": "s1",
                "series_key": "a",
                "route": "t1",
                "plane": "sagittal",
                "encoder": "e",
                "model_version": "m1",
                "preprocessing_version": "p1",
                "pixel_hash": row["slice_key"],
                "vector": [1.0, 2.0],
            }
            | row
            for row in rows
        ],
        schema=SLICES,
    )


def told(before: pl.DataFrame | None, after: pl.DataFrame) -> list[tuple]:
    frame = refreshed(before, after, batch_key="b")
    assert frame.schema == REFRESHED
    return frame.drop("batch_key").rows()


KEYS = ("k1", "k2", "k3")
FIRST = vectors(*({"slice_key": key} for key in KEYS))


def test_a_first_embedding_is_new_slices():
    assert told(None, FIRST) == [("t1", "new_slice", 3, 1, 1, None, "m1")]


def test_a_rerun_with_nothing_new_says_unchanged():
    assert told(FIRST, FIRST) == [("t1", "unchanged", 3, 1, 1, "m1", "m1")]


@pytest.mark.parametrize(
    ("change", "reason", "after"),
    [
        ({"pixel_hash": "x"}, "new_pixels", "m1"),
        (
            {"preprocessing_version": "p2", "pixel_hash": "x", "model_version": "m2"},
            "new_preprocessing",
            "m2",
        ),
        ({"pixel_hash": "x", "model_version": "m2"}, "new_pixels", "m2"),
        ({"model_version": "m2"}, "new_model", "m2"),
        ({"encoder": "another"}, "new_model", "m1"),
    ],
)
def test_the_reason_is_what_moved(change, reason, after):
    now = vectors({"slice_key": "k1"}, {"slice_key": "k2"}, {"slice_key": "k3"} | change)
    assert ("t1", reason, 1, 1, 1, "m1", after) in told(FIRST, now)
    assert ("t1", "unchanged", 2, 1, 1, "m1", "m1") in told(FIRST, now)


def test_series_and_studies_are_counted_once_each():
    now = vectors(
        {"slice_key": "n1", "series_key": "x", "study_key": "s2"},
        {"slice_key": "n2", "series_key": "x", "study_key": "s2"},
        {"slice_key": "n3", "series_key": "y", "study_key": "s2"},
        {"slice_key": "n4", "series_key": "z", "study_key": "s3"},
        *({"slice_key": key} for key in KEYS),
    )
    assert ("t1", "new_slice", 4, 3, 2, None, "m1") in told(FIRST, now)


def test_a_slice_of_another_route_is_new_there_and_gone_here():
    now = vectors(
        {"slice_key": "k1"}, {"slice_key": "k2"}, {"slice_key": "k3", "route": "other", "model_version": "f"}
    )
    assert told(FIRST, now) == [
        ("other", "new_slice", 1, 1, 1, None, "f"),
        ("t1", "unchanged", 2, 1, 1, "m1", "m1"),
        ("t1", "vanished", 1, 1, 1, "m1", None),
    ]


def test_a_route_whose_embedder_went_away_has_vanished():
    assert told(FIRST, FIRST.clear()) == [("t1", "vanished", 3, 1, 1, "m1", None)]


def test_two_models_before_are_two_rows():
    mixed = vectors({"slice_key": "k1", "model_version": "m0"}, {"slice_key": "k2"}, {"slice_key": "k3"})
    assert told(mixed, FIRST) == [
        ("t1", "new_model", 1, 1, 1, "m0", "m1"),
        ("t1", "unchanged", 2, 1, 1, "m1", "m1"),
    ]


def test_a_vector_that_was_not_finite_was_none():
    broken = vectors(
        {"slice_key": "k1", "vector": [1.0, float("nan")]}, {"slice_key": "k2"}, {"slice_key": "k3"}
    )
    assert ("t1", "new_slice", 1, 1, 1, None, "m1") in told(broken, FIRST)


def test_order_of_rows_makes_no_difference():
    now = vectors({"slice_key": "k1"}, {"slice_key": "k9"}, {"slice_key": "k3", "pixel_hash": "x"})
    assert told(FIRST.reverse(), now.reverse()) == told(FIRST, now)
