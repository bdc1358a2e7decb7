"""The box rule, the join to slices, and what is lost by reason."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from spine_models.findings.localization.rectangles import to_source
from spine_models.findings.localization.targets import LEVELS, boxes_of, build_targets
from tests.findings.localization.conftest import SETTINGS, SIZE


def build(world, annotations, slices=None):
    return build_targets(
        annotations, world.slices if slices is None else slices, world.splits, settings=SETTINGS
    )


def changed(world, **values):
    """The first annotation with other values."""
    return world.annotations.head(1).with_columns(**{name: pl.lit(value) for name, value in values.items()}).cast(
        dict(world.annotations.schema)
    )  # fmt: skip


def test_a_box_is_taken_as_it_is(world):
    found = build(world, world.annotations)
    assert found.frame.height == world.annotations.height
    assert found.lost.is_empty()
    assert found.frame["positive"].all()
    rows = found.frame.select("slice_key", "cx", "cy", "bw", "bh").join(world.slices, on="slice_key")
    back = to_source(rows, rows.select("cx", "cy", "bw", "bh").to_numpy())
    given = world.annotations.with_columns(slice_key=pl.col("instance_key") + "-0000")
    there = rows.select("slice_key").join(given, on="slice_key", maintain_order="left")
    np.testing.assert_allclose(back, there.select("x", "y", "w", "h").to_numpy(), atol=1e-9)
    assert set(found.frame["split"]) == {"train", "val", "test"}


def test_a_point_becomes_a_square_of_its_conditions_edge_around_its_pixel(world):
    point = changed(world, kind="point", condition="canal", x=40.0, y=30.0, w=None, h=None, grade=2)
    row = build(world, point).frame
    box = boxes_of(row)[0] * SIZE
    # Source pixel 40 has its centre at 40.5 of the edges' scale; two source pixels make one of the output.
    np.testing.assert_allclose(box[:2], [20.25, 15.25])
    np.testing.assert_allclose(box[2:], 24.0 / 2.0)
    assert row["y_mm"][0] == pytest.approx(-48 + 40)
    assert row["z_mm"][0] == pytest.approx(48 - 30)


def test_only_a_graded_point_is_a_finding_and_a_normal_one_still_tells_its_level(world):
    point = changed(world, kind="point", condition="canal", w=None, h=None)
    label = changed(world, kind="label", condition="canal", x=None, y=None, w=None, h=None)
    for grade, positive in ((2, True), (1, True), (0, False), (None, False)):
        graded = label.with_columns(grade=pl.lit(grade, pl.Int8))
        found = build(world, pl.concat([point, graded])).frame
        assert found["positive"].to_list() == [positive]
        assert found["level"].to_list() == ["L3-L4"]


def test_annotations_of_before_there_were_boxes_are_read(world):
    point = changed(world, kind="point", condition="canal", grade=1).drop("frame", "w", "h")
    assert build(world, point).frame["positive"].to_list() == [True]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"x": math.nan}, "not a number"),
        ({"w": 0.0}, "not a number"),
        ({"instance_key": "gone"}, "its slice is in no shard"),
        ({"frame": 3}, "its slice is in no shard"),
        ({"x": 500.0}, "outside its slice"),
    ],
)
def test_what_cannot_be_used_is_counted_by_reason(world, values, reason):
    found = build(world, changed(world, **values))
    assert found.frame.is_empty()
    assert found.lost.rows() == [("cyst", reason, 1)]


def test_a_point_on_a_slice_without_spacing_is_lost(world):
    slices = world.slices.with_columns(
        output_spacing_mm=pl.lit(None, pl.Float64), pixel_spacing_mm=pl.lit(None, pl.List(pl.Float64))
    )
    point = changed(world, kind="point", grade=1)
    assert build(world, point, slices).lost["reason"].to_list() == ["its slice has no pixel spacing"]
    box = build(world, changed(world), slices).frame
    assert (box.height, box["z_mm"][0]) == (1, None)


def test_no_annotations_are_no_error_and_an_unknown_condition_is(world):
    found = build(world, world.annotations.clear())
    assert found.frame.is_empty()
    assert found.lost.is_empty()
    with pytest.raises(ValueError, match=r"not in conditions\.yaml"):
        build(world, changed(world, condition="hiccups"))


def test_levels_lie_in_order_discs_between_vertebrae():
    assert LEVELS["C2"] < LEVELS["C2-C3"] < LEVELS["C3"]
    assert LEVELS["C7"] < LEVELS["C7-T1"] < LEVELS["T1"]
    assert LEVELS["L5"] < LEVELS["L5-S1"] < LEVELS["S1"]
