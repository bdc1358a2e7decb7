"""Which images are named as the source of a claim."""

from __future__ import annotations

import polars as pl
import pytest

from spine_models.reporting.agents.evidence import central, digest, evidence


@pytest.mark.parametrize(
    ("length", "count", "expected"),
    [(5, 3, [1, 2, 3]), (6, 3, [1, 2, 3]), (6, 2, [2, 3]), (2, 3, [0, 1]), (1, 1, [0]), (0, 3, [])],
)
def test_central_slices(length: int, count: int, expected: list[int]) -> None:
    keys = [str(i) for i in range(length)]
    assert central(keys, count) == [str(i) for i in expected]


def test_sources_follow_the_sequence_set(lumbar) -> None:
    only_t1 = evidence(lumbar.slices, "t1", slices_per_series=1)
    assert only_t1.source_series == ("study-s0",)
    assert only_t1.source_instances == ("study-s0-i2",)
    every = evidence(lumbar.slices, "all", slices_per_series=3)
    assert every.source_series == ("study-s0", "study-s1", "study-s2", "study-s3")
    assert len(every.source_instances) == 12
    assert every.source_instances[:3] == ("study-s0-i1", "study-s0-i2", "study-s0-i3")


def test_slice_order_decides_not_the_name(lumbar) -> None:
    backwards = lumbar.slices.with_columns(slice_index=4 - pl.col("slice_index"))
    assert evidence(backwards, "t1", slices_per_series=3).source_instances == (
        "study-s0-i3",
        "study-s0-i2",
        "study-s0-i1",
    )


def test_frames_of_one_instance_are_named_once(lumbar) -> None:
    single = lumbar.slices.with_columns(instance_key=pl.col("series_key") + "-multi")
    assert evidence(single, "t1", slices_per_series=3).source_instances == ("study-s0-multi",)


def test_digest_covers_every_slice_and_not_the_row_order(lumbar) -> None:
    before = evidence(lumbar.slices, "t1", slices_per_series=1).digest
    assert evidence(lumbar.slices.reverse(), "t1", slices_per_series=1).digest == before
    edge = pl.col("slice_key") == "study-s0-i0-0000"
    moved = lumbar.slices.with_columns(pixel_hash=pl.when(edge).then(pl.lit("other")).otherwise("pixel_hash"))
    assert evidence(moved, "t1", slices_per_series=1).digest != before


def test_digest_is_the_same_in_every_process() -> None:
    assert digest("a", ["b", None], 0.5) == "16274610738dc5e080c6d7815313db07"
    assert digest("a", "b") != digest("ab")
