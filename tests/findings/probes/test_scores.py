"""Scores against scikit-learn, by hand, and their bootstrap over patients."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from spine_models.findings.probes.scores import (
    auroc,
    average_precision,
    brier,
    calibration_error,
    patient_draws,
)


def sample(seed: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(60) < 0.3).astype(int)
    scores = 1 / (1 + np.exp(-(labels + rng.normal(size=60))))
    return labels, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_scikit_learn(seed, ties):
    labels, scores = sample(seed, ties=ties)
    assert auroc(labels, scores)[0] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(labels, scores)[0] == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )
    assert brier(labels, scores) == pytest.approx(brier_score_loss(labels, scores), abs=1e-12)


def test_weighted_replicates_agree_with_scikit_learn():
    labels, scores = sample(7, ties=True)
    weights = np.random.default_rng(0).integers(0, 4, (6, 60)).astype(float)
    for row, roc, precision in zip(
        weights, auroc(labels, scores, weights), average_precision(labels, scores, weights), strict=True
    ):
        assert roc == pytest.approx(roc_auc_score(labels, scores, sample_weight=row), abs=1e-12)
        assert precision == pytest.approx(
            average_precision_score(labels, scores, sample_weight=row), abs=1e-12
        )


def test_one_class_has_no_score():
    labels = np.array([1, 1, 0])
    weights = np.array([[1.0, 1, 0], [0, 0, 1], [1, 1, 1]])
    for score in (auroc, average_precision):
        assert np.isnan(score(labels, np.array([0.2, 0.9, 0.1]), weights)).tolist() == [True, True, False]


def test_calibration_error_by_hand():
    # 20 studies, two bins of ten: probabilities .2 with 4 positives of 10, then .7 with 6 positives of 10.
    probabilities = np.repeat([0.2, 0.7], 10)
    labels = np.array([1] * 4 + [0] * 6 + [1] * 6 + [0] * 4)
    assert calibration_error(labels, probabilities) == pytest.approx(0.5 * 0.2 + 0.5 * 0.1)


def test_calibration_error_has_at_most_fifteen_bins_and_does_not_depend_on_order():
    rng = np.random.default_rng(0)
    probabilities = np.round(rng.random(400), 2)
    labels = (rng.random(400) < probabilities).astype(int)
    shuffled = rng.permutation(400)
    value = calibration_error(labels, probabilities)
    assert value == pytest.approx(calibration_error(labels[shuffled], probabilities[shuffled]), abs=1e-12)
    assert value < 0.08
    assert calibration_error(labels, np.full(400, 0.9)) == pytest.approx(0.9 - labels.mean())
    assert calibration_error(np.array([1, 0, 1]), np.array([0.5, 0.5, 0.8])) == pytest.approx(
        abs(1.8 - 2) / 3
    )


def test_draws_are_seeded_and_add_up():
    draws = patient_draws(30, 50, (0, 1))
    assert draws.shape == (50, 30)
    assert (draws.sum(axis=1) == 30).all()
    assert np.array_equal(draws, patient_draws(30, 50, (0, 1)))
    assert not np.array_equal(draws, patient_draws(30, 50, (1, 1)))
    assert patient_draws(0, 5, (0,)).shape == (5, 0)
