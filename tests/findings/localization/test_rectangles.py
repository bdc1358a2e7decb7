"""Boxes against plain slow transcriptions, and the maps to source and patient against ``corpus.shards.place``."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.corpus.shards import place
from spine_models.findings.localization import rectangles as r

SLICE = {
    "slice_key": "i-0000", "size_px": 112, "scale": 0.35, "pad_top_px": 6.5, "pad_left_px": 0.0,
    "iop": [0.0, 0.96, 0.28, 0.0, 0.28, -0.96], "ipp_mm": [3.0, -90.0, 140.0], "pixel_spacing_mm": [0.9, 0.6],
    "source_rows": 188, "source_columns": 320,
}  # fmt: skip


def slow_iou(a, b):
    """Areas counted on a fine grid of points."""
    at = (np.arange(2000) + 0.5) / 2000

    def inside(box):
        x = (at >= box[0] - box[2] / 2) & (at <= box[0] + box[2] / 2)
        y = (at >= box[1] - box[3] / 2) & (at <= box[1] + box[3] / 2)
        return y[:, None] & x[None]

    both, either = inside(a) & inside(b), inside(a) | inside(b)
    return both.sum() / either.sum()


def test_iou_is_that_of_counted_areas():
    rng = np.random.default_rng(0)
    for _ in range(10):
        a, b = rng.uniform([0.3, 0.3, 0.1, 0.1], [0.7, 0.7, 0.5, 0.5], (2, 4))
        assert r.iou(a, b) == pytest.approx(slow_iou(a, b), abs=2e-3)


def test_iou_of_equal_apart_and_empty_boxes():
    box = np.array([0.5, 0.5, 0.2, 0.4])
    assert r.iou(box, box) == pytest.approx(1)
    assert r.iou(box, box + np.array([0.3, 0, 0, 0])) == 0
    assert r.iou(np.zeros(4), np.zeros(4)) == 0


def test_error_is_the_mean_of_four_differences():
    assert r.normalised_error(
        np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.2, 0.2, 0.1, 0.5])
    ) == pytest.approx(0.1)


def test_boxes_go_to_the_source_and_back():
    rows = pl.DataFrame([SLICE] * 5)
    rng = np.random.default_rng(1)
    px = np.hstack([rng.uniform(0, 150, (5, 2)), rng.uniform(5, 30, (5, 2))])
    np.testing.assert_allclose(r.to_source(rows, r.from_source(rows, px)), px, atol=1e-9)


def test_places_are_those_of_the_shards():
    rng = np.random.default_rng(2)
    points = rng.uniform(0, 1, (6, 2))
    found = r.centres_mm(pl.DataFrame([SLICE] * 6), points)
    rows_first = points[:, ::-1] * SLICE["size_px"] - 0.5
    np.testing.assert_allclose(found, place.to_patient_mm(SLICE, rows_first), atol=1e-9)
    source = r.from_source(pl.DataFrame([SLICE]), np.array([[10.0, 20.0, 0.0, 0.0]]))[0, :2]
    out = place.to_output_px(SLICE, np.array([[19.5, 9.5]]))[0]
    np.testing.assert_allclose(source * SLICE["size_px"] - 0.5, out[::-1], atol=1e-9)


def test_a_slice_without_a_place_has_no_coordinates():
    rows = pl.DataFrame([SLICE, SLICE | {"iop": None}, SLICE | {"ipp_mm": [1.0, float("nan"), 0.0]}])
    found = r.centres_mm(rows, np.full((3, 2), 0.5))
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1:]).all()


def test_what_lies_in_the_padding_is_cut_at_the_image():
    found = r.to_source(pl.DataFrame([SLICE]), np.array([[0.5, 0.05, 0.2, 0.1]]))[0]
    assert found[1] == 0
    assert found[1] + found[3] <= SLICE["source_rows"]
