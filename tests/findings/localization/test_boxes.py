"""Labels of patches, the ridge, and a bright square that must be found finer than the grid."""

from __future__ import annotations

import numpy as np
import pytest

from spine_models.findings.localization import boxes as b
from spine_models.findings.localization.rectangles import iou
from tests.findings.localization.conftest import PATCH, SIZE, Brightness

GRID = (6, 6)


def slow_label(y, x, box):
    """Overlap of one patch and one box, written out."""
    left, top = x / 6, y / 6
    w = min(left + 1 / 6, box[0] + box[2] / 2) - max(left, box[0] - box[2] / 2)
    h = min(top + 1 / 6, box[1] + box[3] / 2) - max(top, box[1] - box[3] / 2)
    area = max(w, 0) * max(h, 0)
    inside = left <= box[0] < left + 1 / 6 and top <= box[1] < top + 1 / 6
    if inside or area / min(1 / 36, box[2] * box[3]) >= 0.5:
        return 1
    return -1 if area > 0 else 0


def test_patch_labels_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    for _ in range(30):
        box = rng.uniform([0.1, 0.1, 0.05, 0.05], [0.9, 0.9, 0.4, 0.4])
        wanted = [slow_label(y, x, box) for y in range(6) for x in range(6)]
        assert b.patch_labels(GRID, box[None]).tolist() == wanted


def test_a_patch_points_to_the_nearest_box():
    boxes = np.array([[0.25, 0.25, 0.1, 0.2], [0.75, 0.75, 0.3, 0.3]])
    found = b.patch_offsets(GRID, boxes).reshape(6, 6, 4)
    np.testing.assert_allclose(found[1, 1], [0, 0, np.log(0.1), np.log(0.2)], atol=1e-12)
    np.testing.assert_allclose(found[1, 0, :2], [1, 0], atol=1e-12)
    np.testing.assert_allclose(found[4, 4], [0, 0, np.log(0.3), np.log(0.3)], atol=1e-12)


def test_ridges_are_the_closed_form_with_a_free_intercept():
    rng = np.random.default_rng(1)
    x, y, weights = rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), rng.uniform(0.05, 4, 40)
    for ridge, found in zip((0.01, 1.0), b.fit_ridges(x, y, (0.01, 1.0), weights), strict=True):
        w = weights / weights.mean()
        standard = (x - x.mean(axis=0)) / x.std(axis=0)
        # Normal equations of sum w (y - a - x b)^2 + penalty |b|^2, the intercept a as one more column.
        design = np.hstack([np.ones((40, 1)), standard])
        apart = standard - (w[:, None] * standard).sum(axis=0) / w.sum()
        penalty = ridge * (w[:, None] * apart**2).sum()
        normal = design.T @ (w[:, None] * design) + penalty * np.diag([0.0, 1, 1, 1])
        wanted = np.linalg.solve(normal, design.T @ (w[:, None] * y))
        np.testing.assert_allclose(found(x), design @ wanted, atol=1e-8)


def test_a_weighted_ridge_finds_a_line_that_all_rows_lie_on():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(30, 2))
    y = x @ np.array([[2.0], [-1.0]]) + 5.0
    (found,) = b.fit_ridges(x, y, (1e-12,), np.exp(x[:, 0]))
    np.testing.assert_allclose(found(x), y, atol=1e-6)


def test_a_sharp_peak_is_read_at_its_patch_and_a_flat_map_in_the_middle():
    said = np.tile([0.0, 0.0, np.log(0.2), np.log(0.1)], (36, 1))
    heat = np.full(GRID, -20.0)
    heat[2, 4] = 20
    np.testing.assert_allclose(b.box_of(heat, said, 1), [4.5 / 6, 2.5 / 6, 0.2, 0.1])
    np.testing.assert_allclose(b.box_of(heat, said, 99), [4.5 / 6, 2.5 / 6, 0.2, 0.1], atol=1e-9)
    np.testing.assert_allclose(b.box_of(np.zeros(GRID), said, 99)[:2], [0.5, 0.5])


def squares(count, seed):
    rng = np.random.default_rng(seed)
    images, boxes = rng.integers(8000, 20000, (count, SIZE, SIZE)).astype(np.uint16), []
    for image in images:
        left, top = rng.integers(2, SIZE - 12, 2)
        image[top : top + 10, left : left + 10] = 60000
        boxes.append([(left + 5) / SIZE, (top + 5) / SIZE, 10 / SIZE, 10 / SIZE])
    return Brightness().encode_patches(images), np.array(boxes)


def test_a_bright_square_is_found_to_a_fraction_of_a_patch():
    tokens, boxes = squares(60, 0)
    rng = np.random.default_rng(0)
    samples = [
        b.sample_patches(t, "sagittal", box[None], negatives=12, rng=rng)
        for t, box in zip(tokens, boxes, strict=True)
    ]
    head = b.fit_box_head(samples, strengths=(10.0,), ridges=(1e-4,))
    unseen, there = squares(30, 1)
    found = np.array([head.read(t, "sagittal")[0] for t in unseen])
    assert np.median(np.abs(found[:, :2] - there[:, :2])) * SIZE < PATCH / 3
    assert np.median(iou(found, there)) > 0.5
    every = head.read_all(unseen[0], "sagittal")
    assert every.shape == (1, 1, 2, 4)
    np.testing.assert_allclose(every[0, 0, 0], found[0])


def test_samples_hold_every_patch_on_the_box_and_so_many_off_it():
    tokens, boxes = squares(1, 2)
    drawn = b.sample_patches(tokens[0], "sagittal", boxes, negatives=5, rng=np.random.default_rng(0))
    assert (drawn.heat == 0).sum() == 5
    assert (drawn.heat == 1).sum() == (b.patch_labels(GRID, boxes) == 1).sum()
    np.testing.assert_array_equal(np.isfinite(drawn.offsets[:, 0]), drawn.heat == 1)
    assert drawn.features.shape[1] == 3 + b.PLACES


def test_without_a_patch_off_the_box_there_is_no_head():
    tokens, _ = squares(1, 3)
    all_of_it = np.array([[0.5, 0.5, 1.0, 1.0]])
    drawn = b.sample_patches(tokens[0], "axial", all_of_it, negatives=5, rng=np.random.default_rng(0))
    assert b.fit_box_head([drawn], strengths=(1.0,), ridges=(1.0,)) is None


@pytest.mark.parametrize("plane", ["sagittal", "axial", "coronal"])
def test_patch_features_end_with_the_places_of_their_plane(plane):
    found = b.patch_features(np.zeros((2, 2, 1), np.float32), plane)
    block = {"sagittal": 0, "axial": 1}.get(plane, 2)
    places = found[:, 1:].reshape(4, 3, 6)
    assert np.all(places[:, block, 0] == 1)
    np.testing.assert_allclose(places[:, block, 1:3], [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]])
