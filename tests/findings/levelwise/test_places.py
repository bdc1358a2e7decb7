"""Levels in view, slices with heights, sides, and the slice that shows a place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from spine_models.findings.levelwise.places import (
    EDGE,
    in_view,
    levels_in_view,
    part_of,
    sagittal_slices,
    showing,
    shown_on,
)
from spine_models.findings.localization.levels import View
from spine_models.findings.localization.slices import LinearMap
from spine_models.findings.localization.targets import LEVELS
from tests.findings.levelwise.conftest import HEIGHTS, NAMES, WHERE, level_model

VIEW = View("lumbar", 0.0, 100.0, 96.0, None)


def test_levels_lie_where_the_ladder_says_from_head_to_tail():
    found = levels_in_view(VIEW, level_model())
    assert list(found) == list(NAMES)
    assert list(found.values()) == [100.0 + height for height in HEIGHTS]
    assert list(found.values()) == sorted(found.values(), reverse=True)


@pytest.mark.parametrize(
    ("edge_mm", "count"),
    [(84.0 / (1 - 2 * EDGE) + 1e-6, 8), (84.0 / (1 - 2 * EDGE) - 1e-6, 6), (10.0, 0), (14.0, 2)],
)
def test_a_level_too_near_the_edge_is_not_in_view(edge_mm, count):
    found = levels_in_view(replace(VIEW, edge_mm=edge_mm), level_model())
    assert list(found) == list(NAMES[(8 - count) // 2 : 8 - (8 - count) // 2])


def test_the_studys_own_shift_moves_all_of_them():
    model = level_model()
    shift = LinearMap(np.array([[2.0]]), np.array([1.0]))
    model.ladders["lumbar"] = replace(model.ladders["lumbar"], shift=shift)
    found = levels_in_view(replace(VIEW, features=np.array([3.0], np.float32)), model)
    expected = {n: 107.0 + h for n, h in zip(NAMES, HEIGHTS, strict=True) if abs(h + 7.0) < 0.47 * 96}
    assert found == expected
    assert "L2" not in found
    # Without features the shift cannot be read.
    assert levels_in_view(VIEW, model)["L3"] == 118.0


def test_rungs_beyond_the_named_levels_are_none():
    model = level_model()
    last = max(LEVELS.values())
    places = np.array([last - 0.5, last, last + 0.5, last + 1.0])
    model.ladders["lumbar"] = replace(
        model.ladders["lumbar"], places=places, heights_mm=np.array([9.0, 3.0, -3, -9])
    )
    found = levels_in_view(VIEW, model)
    assert sorted(LEVELS[level] for level in found) == [last - 0.5, last]


@pytest.mark.parametrize("region", ["thoracic", "unknown", "cervical"])
def test_a_region_without_a_ladder_has_no_levels(region):
    assert levels_in_view(replace(VIEW, region=region), level_model()) == {}


def test_heights_of_slices_follow_the_direction_of_their_rows(spines):
    made = spines(
        {"study": "a", "name": "up"},
        {"study": "a", "name": "down", "flipped": True},
        {"study": "a", "name": "axial", "plane": "axial"},
        {"study": "b", "name": "other"},
    )
    found = sagittal_slices(made.slices, ["a"])
    assert set(found["series_key"]) == {"up", "down"}
    assert sorted(found.filter(series_key="up")["x_mm"]) == sorted(WHERE)
    edges = {
        key: set(rows.select("top_mm", "bottom_mm").iter_rows())
        for (key,), rows in found.group_by("series_key")
    }
    assert edges == {"up": {(48.5, -47.5)}, "down": {(-47.5, 48.5)}}


def test_slices_without_a_place_or_not_upright_have_no_heights(spines):
    made = spines({"study": "a", "name": "s"})
    flat, lost, unknown = (made.slices["slice_key"][i] for i in (0, 1, 2))
    key = pl.col("slice_key")
    odd = made.slices.with_columns(
        iop=pl.when(key == flat).then(pl.lit([0.0, 1.0, 0.0, 1.0, 0.0, 0.0])).otherwise("iop"),
        ipp_mm=pl.when(key == lost).then(None).otherwise("ipp_mm"),
        pixel_spacing_mm=pl.when(key == unknown).then(None).otherwise("pixel_spacing_mm"),
    )
    found = sagittal_slices(odd, ["a"])
    assert set(found["slice_key"]) == set(made.slices["slice_key"]) - {flat, lost, unknown}
    assert sagittal_slices(made.slices, []).height == 0
    assert sagittal_slices(made.slices.clear(), ["a"]).columns == found.columns


@pytest.mark.parametrize(
    ("x_mm", "part"),
    [(5.0, "centre"), (12.9, "centre"), (13.0, "left"), (40.0, "left"), (-3.0, "right"), (-2.9, "centre")],
)
def test_x_grows_to_the_patients_left(x_mm, part):
    assert part_of(x_mm, 5.0, 8.0) == part


def test_a_place_is_shown_on_the_nearest_slice_of_its_part_of_the_preferred_route(spines):
    made = spines(
        {"study": "a", "name": "s2", "route": "t2"},
        {"study": "a", "name": "s1", "route": "t1", "xs": (-17.0, -16.0, 0.5, 1.0, 16.0)},
    )
    rows = sagittal_slices(made.slices, ["a"])
    # A side is typically twice 8 mm away; the outermost of the seven slices are nearest to that.
    assert shown_on(rows, 0.0, 8.0, "t2") == {
        "centre": "s2i3-0000",
        "left": "s2i6-0000",
        "right": "s2i0-0000",
    }
    assert shown_on(rows, 0.0, 8.0, "t1") == {
        "centre": "s1i2-0000",
        "left": "s1i4-0000",
        "right": "s1i1-0000",
    }
    assert shown_on(rows, 0.0, 8.0, "other")["left"] == "s1i4-0000"
    # Another route shows what the preferred one does not.
    few = rows.filter((pl.col("route") == "t1") | (pl.col("x_mm") < 0))
    assert shown_on(few, 0.0, 8.0, "t2") == {"centre": "s2i2-0000", "left": "s1i4-0000", "right": "s2i0-0000"}
    assert shown_on(rows.filter(pl.col("x_mm") < -8), 0.0, 8.0, "t2") == {
        "centre": None, "left": None, "right": "s2i0-0000",
    }  # fmt: skip
    assert shown_on(rows.reverse(), 0.0, 8.0, "t2") == shown_on(rows, 0.0, 8.0, "t2")
    assert shown_on(rows.clear(), 0.0, 8.0, "t2") == dict.fromkeys(("centre", "left", "right"))


def test_only_slices_of_a_levels_height_show_it(spines):
    made = spines(
        {"study": "a", "name": "low"}, {"study": "a", "name": "high", "top_mm": 60.0, "flipped": True}
    )
    rows = sagittal_slices(made.slices, ["a"])
    for z_mm, series in ((0.0, {"low"}), (30.0, {"low", "high"}), (90.0, {"high"}), (200.0, set())):
        assert set(showing(rows, z_mm)["series_key"]) == series
    assert [in_view(share) for share in (EDGE, EDGE + 1e-9, 0.5, 1 - EDGE)] == [False, True, True, False]
