"""Slice features, the fit with nearly free positions, and the choice of a penalty."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.findings.localization import slices as s
from spine_models.findings.probes.scores import auroc


def rows(counts, plane="sagittal"):
    return s.with_extent(
        pl.DataFrame(
            [
                {"series_key": f"e{n}", "slice_key": f"e{n}i{i}", "slice_index": i, "plane": plane}
                for n, count in enumerate(counts)
                for i in range(count)
            ]
        )
    )


def test_positions_run_from_minus_one_to_one_and_a_single_slice_is_in_the_middle():
    assert s.relative_positions(rows([5, 1])).tolist() == [-1, -0.5, 0, 0.5, 1, 0]


def test_features_are_the_difference_from_the_series_mean():
    rng = np.random.default_rng(0)
    frame, vectors = rows([4, 3]), rng.normal(size=(7, 5)).astype(np.float32)
    found = s.slice_features(frame, vectors)
    for part in (slice(0, 4), slice(4, 7)):
        np.testing.assert_allclose(found[part, :5], vectors[part] - vectors[part].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(s.slice_features(frame, vectors + 3.0)[:, :5], found[:, :5], atol=1e-5)
    assert found.shape[1] == 5 + s.POSITIONS


def test_every_plane_has_its_own_block():
    blocks = [
        s.position_features(rows([3], plane)).reshape(3, 3, 4) for plane in ("sagittal", "axial", "coronal")
    ]
    for number, block in enumerate(blocks):
        others = [n for n in range(3) if n != number]
        assert np.all(block[:, others] == 0)
        assert np.all(block[:, number, 0] == 1)


def test_position_alone_survives_a_penalty_that_silences_the_vectors():
    rng = np.random.default_rng(1)
    frame = rows([9] * 40)
    labels = (np.abs(s.relative_positions(frame)) < 0.2).astype(np.int8)
    features = s.slice_features(frame, rng.normal(size=(len(labels), 6)))
    free = s.fit_maps(features, labels, (1e-3,), free=s.POSITIONS)
    assert auroc(labels, free(features)[:, 0])[0] > 0.99
    assert np.abs(free.weights[:6]).max() < 0.05 * np.abs(free.weights[6:]).max()


def test_the_map_solves_its_objective():
    """Gradient of 0.5 |w|^2 + C sum log loss in the standardised features, intercept free: zero at the optimum."""
    rng = np.random.default_rng(2)
    features, labels = rng.normal(size=(60, 4)) * [1, 2, 3, 4], (rng.random(60) < 0.4).astype(np.int8)
    found = s.fit_maps(features, labels, (0.3,))
    chance = 1 / (1 + np.exp(-found(features)[:, 0]))
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    weights = found.weights[:, 0] * features.std(axis=0)
    np.testing.assert_allclose(weights + 0.3 * standard.T @ (chance - labels), 0, atol=1e-4)
    assert (chance - labels).sum() == pytest.approx(0, abs=1e-3)


def test_mean_auroc_is_that_of_each_study():
    labels, scores = np.array([1, 0, 0, 1, 0, 0]), np.array([3.0, 1, 2, 1, 1, 2])
    found = s.mean_auroc(labels, scores, np.array([0, 0, 0, 1, 1, 1]))
    assert found.tolist() == [1.0, 0.25]
    assert np.isnan(s.mean_auroc(np.ones(2), np.ones(2), np.zeros(2, int))).all()


def test_the_better_column_is_chosen_and_none_without_slices():
    labels, studies = np.array([1, 0, 0]), np.zeros(3, int)
    assert s.choose(labels, np.array([[0.0, 2], [1, 1], [2, 0]]), studies) == 1
    assert s.choose(labels[:0], np.zeros((0, 2)), studies[:0]) is None
    assert s.choose(np.zeros(3), np.zeros((3, 2)), studies) is None
