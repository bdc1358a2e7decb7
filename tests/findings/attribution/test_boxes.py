"""Boxes: where a drawn square lands in the preprocessed slice, and what of a map lies in it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import LocalizationSettings
from spine_models.corpus.deid.tables import ANNOTATIONS
from spine_models.corpus.shards.preprocess import preprocess
from spine_models.corpus.shards.tables import SLICES
from spine_models.findings.attribution.boxes import (
    Box,
    annotated_slices,
    coverage,
    mass_lift,
    patches_in,
    pointing,
    slice_boxes,
)
from spine_models.findings.localization.targets import boxes_of, build_targets

SPLITS = pl.DataFrame({"patient_key": ["p"], "split": ["test"]})
POINTS = LocalizationSettings(point_edges_mm={"canal": 10.0}, point_edge_mm=6.0)


def slices_of(size, shape, spacing, done, keys=("i1-0000",)):
    """Slices of one geometry, all of one study."""
    row = {
        "batch_key": "b", "patient_key": "p", "study_key": "s", "series_key": "e", "route": "t2",
        "size_px": size, "scale": done.scale, "pad_top_px": done.pad_top_px, "pad_left_px": done.pad_left_px,
        "pixel_spacing_mm": list(spacing), "source_rows": shape[0], "source_columns": shape[1],
        "output_spacing_mm": min(spacing) / done.scale,
    }  # fmt: skip
    rows = [
        row | {"slice_key": key, "instance_key": key[:-5], "frame": int(key[-4:]), "slice_index": n}
        for n, key in enumerate(keys)
    ]
    return pl.DataFrame(rows, schema=SLICES)


def annotations_of(*rows):
    """Every point with the label that makes it a finding."""
    common = {"study_key": "s", "patient_key": "p", "instance_key": "i1", "frame": 0, "level": "L4-L5"}
    found = [common | {"condition": "canal"} | row for row in rows]
    labels = {(row["condition"], row["level"]) for row in found if row["kind"] == "point"}
    found += [
        {"study_key": "s", "kind": "label", "condition": condition, "level": level, "grade": 2}
        for condition, level in sorted(labels)
    ]
    return pl.DataFrame(found, schema=ANNOTATIONS)


@pytest.mark.parametrize(
    ("shape", "spacing", "size"),
    [
        ((60, 60), (1.0, 1.0), 120),
        ((80, 40), (1.0, 1.0), 160),
        ((40, 60), (2.0, 1.0), 160),
        ((96, 64), (0.5, 0.75), 192),
    ],
)
def test_a_drawn_square_is_found_where_its_box_says(shape, spacing, size):
    """Pixels are drawn into the source, preprocessed, and looked for in the slice."""
    x, y, w, h = 12, 9, 16, 20
    source = np.zeros(shape)
    source[y : y + h, x : x + w] = 1.0
    done = preprocess(source, (0.0, 1.0), size, spacing_mm=spacing)
    drawn = {"kind": "box", "condition": "cyst", "x": float(x), "y": float(y), "w": float(w), "h": float(h)}
    slices = slices_of(size, shape, spacing, done)
    (row,) = annotated_slices(annotations_of(drawn), slices, SPLITS, points=POINTS).to_dicts()
    (box,) = slice_boxes(row, "cyst")
    bright = done.array > 32768
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    edges = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    # The drawn edge is blurred over a source pixel: half the height is crossed within a pixel of the slice.
    np.testing.assert_allclose(box, edges, atol=1.0)
    assert slice_boxes(row, "canal") == []


def test_a_point_becomes_a_square_in_millimetres_and_boxes_end_at_the_slice():
    """Source pixels of 1 mm, two pixels of the slice each; a point is the middle of its pixel."""
    done = preprocess(np.eye(50), (0.0, 1.0), 100, spacing_mm=(1.0, 1.0))
    slices = slices_of(100, (50, 50), (1.0, 1.0), done)
    annotations = annotations_of(
        {"kind": "point", "x": 25.0, "y": 20.0},
        {"kind": "point", "x": 25.0, "y": 20.0, "condition": "cyst"},
        {"kind": "box", "x": 45.0, "y": 45.0, "w": 90.0, "h": 90.0},
        {"kind": "box", "x": 70.0, "y": 70.0, "w": 3.0, "h": 3.0},
    )

    def boxes(condition, points=POINTS, slices=slices):
        found = annotated_slices(annotations, slices, SPLITS, points=points).to_dicts()
        return [np.round(box, 6).tolist() for row in found for box in slice_boxes(row, condition)]

    assert boxes("canal") == [[31, 41, 51, 61], [90, 90, 100, 100]]
    assert boxes("cyst") == [[35, 45, 47, 57]]
    # The lengths that localization learns and is judged with.
    assert boxes("canal", LocalizationSettings())[0] == [17, 27, 65, 75]
    unknown = slices.with_columns(output_spacing_mm=pl.lit(None, pl.Float64))
    assert boxes("canal", slices=unknown) == [[90, 90, 100, 100]]


def test_boxes_are_those_that_localization_is_judged_by():
    rng = np.random.default_rng(3)
    done = preprocess(rng.random((40, 60)), (0.0, 1.0), 160, spacing_mm=(2.0, 1.0))
    slices = slices_of(160, (40, 60), (2.0, 1.0), done)
    rows = [
        {"kind": "point", "x": float(x), "y": float(y), "condition": condition, "level": level}
        for condition in ("canal", "neuroforaminal", "subarticular", "cyst")
        for level, (x, y) in zip(("L3-L4", "L4-L5"), rng.uniform([0, 0], [59, 39], (2, 2)), strict=True)
    ]
    annotations, settings = annotations_of(*rows), LocalizationSettings()
    targets = build_targets(annotations, slices, SPLITS, settings=settings).frame
    assert targets.height == 8
    (row,) = annotated_slices(annotations, slices, SPLITS, points=settings).to_dicts()
    for condition in targets["condition"].unique():
        wanted = sorted(
            ((cy - bh / 2) * 160, (cx - bw / 2) * 160, (cy + bh / 2) * 160, (cx + bw / 2) * 160)
            for cx, cy, bw, bh in boxes_of(targets.filter(condition=condition))
        )
        np.testing.assert_allclose(sorted(slice_boxes(row, condition)), wanted, atol=1e-9)


def test_coverage_is_that_of_counted_pixels():
    rng = np.random.default_rng(0)
    for n in (1, 1, 1, 3):
        boxes = []
        fine = np.zeros((96, 96), dtype=bool)
        for _ in range(n):
            top, left = rng.integers(0, 60, 2)
            height, width = rng.integers(3, 30, 2)
            boxes.append(Box(top, left, top + height, left + width))
            # Half a patch of 12 pixels more on every side.
            fine[max(top - 6, 0) : top + height + 6, max(left - 6, 0) : left + width + 6] = True
        found = coverage(boxes, (8, 8), 96, widen=0.5)
        expected = fine.reshape(8, 12, 8, 12).mean(axis=(1, 3))
        np.testing.assert_allclose(found, expected, atol=1e-9 if n == 1 else 0.13)


def test_measures_of_overlap():
    covered = np.zeros((4, 4))
    covered[1, 1:3] = [1.0, 0.5]
    inside = patches_in(covered)
    assert inside.sum() == 2
    best, worst = np.zeros((4, 4)), np.zeros((4, 4))
    best[1, 1], worst[3, 3] = 2.0, 2.0
    assert (pointing(best, inside), pointing(worst, inside)) == (1.0, 0.0)
    assert pointing(np.zeros((4, 4)), inside) == 2 / 16
    assert mass_lift(best, covered) == pytest.approx(16 / 1.5)
    assert mass_lift(worst, covered) == 0.0
    assert mass_lift(np.ones((4, 4)), covered) == pytest.approx(1.0)
    assert mass_lift(np.where(best > 0, 1.0, -5.0), covered) == pytest.approx(16 / 1.5)
    assert mass_lift(-best, covered) is None
    assert mass_lift(best, np.zeros((4, 4))) is None
    small = np.zeros((4, 4))
    small[2, 2] = 0.01
    assert patches_in(small).sum() == 1


def test_marks_find_their_slices_and_points_count_where_something_is_found():
    done = preprocess(np.eye(10), (0.0, 1.0), 10, spacing_mm=(1.0, 1.0))
    slices = slices_of(10, (10, 10), (1.0, 1.0), done, ("i1-0000", "i1-0001", "i2-0000"))
    common = {"study_key": "s", "condition": "canal", "side": None}
    rows = [
        common | {"kind": "box", "instance_key": "i1", "frame": 1, "x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0},
        common | {"kind": "label", "level": "L4-L5", "grade": 2},
        common | {"kind": "label", "level": "L3-L4", "grade": 0},
        common | {"kind": "point", "instance_key": "i2", "level": "L4-L5", "x": 5.0, "y": 6.0},
        common | {"kind": "point", "instance_key": "i2", "level": "L3-L4", "x": 7.0, "y": 8.0},
        common | {"kind": "point", "instance_key": "i2", "level": "L4-L5", "x": float("nan"), "y": 6.0},
    ]  # fmt: skip
    annotations = pl.DataFrame(rows, schema=ANNOTATIONS)
    points = LocalizationSettings(point_edges_mm={"canal": 2.0})
    found = annotated_slices(annotations, slices, SPLITS, points=points)
    assert found["slice_key"].to_list() == ["i1-0001", "i2-0000"]
    boxes = [np.round(slice_boxes(row, "canal"), 6).tolist() for row in found.to_dicts()]
    assert boxes == [[[2, 1, 6, 4]], [[5.5, 4.5, 7.5, 6.5]]]
    assert annotated_slices(annotations.clear(), slices, SPLITS, points=points).is_empty()
