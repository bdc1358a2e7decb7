from __future__ import annotations

import json

import numpy as np
import pytest

from spine_models.corpus.sequences.calibration import Calibration, expected_calibration_error, fit_calibration


def overconfident(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are three times as sure as they may be."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, 4)) * 2
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(4, p=row) for row in p])
    return scores * 3, truth


def test_a_held_out_answer_is_right_as_often_as_its_confidence_says():
    scores, truth = overconfident(4000, 1)
    fitted = fit_calibration(scores, truth, np.ones(len(truth)))
    assert fitted.temperature == pytest.approx(3, rel=0.1)
    fresh, fresh_truth = overconfident(4000, 2)
    p = fitted.probabilities(fresh)
    right = p.argmax(axis=1) == fresh_truth
    raw = Calibration(1.0, (0.0, 1.0), (0.0, 1.0)).probabilities(fresh)
    before = expected_calibration_error(raw.max(axis=1), right)
    after = expected_calibration_error(fitted.confidence(p.max(axis=1)), right)
    assert before > 0.15
    assert after < 0.03


def test_confidence_rises_with_probability_and_never_reaches_one():
    scores, truth = overconfident(500, 3)
    fitted = fit_calibration(scores * 10, truth, np.ones(len(truth)))
    assert all(a <= b for a, b in zip(fitted.right, fitted.right[1:], strict=False))
    assert fitted.confidence(np.array([1.0]))[0] <= 0.995
    assert Calibration.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


def test_the_error_of_calibration_by_hand():
    assert expected_calibration_error([0.9, 0.9, 0.1, 0.1], [True, True, False, False]) == pytest.approx(0.1)
    assert expected_calibration_error([1.0, 1.0], [True, False]) == pytest.approx(0.5)
    assert np.isnan(expected_calibration_error([], []))
