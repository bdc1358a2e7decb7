"""All scores and their replicates at once, against single scores, scikit-learn and resampling by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from spine_models.findings.probes import bootstrap
from spine_models.findings.probes.bootstrap import SCORES, operating_threshold, replicate
from spine_models.findings.probes.scores import bin_edges, calibration_error, patient_draws


def sample(seed: int, *, ties: bool, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(int)
    chance = 1 / (1 + np.exp(-(labels + rng.normal(size=n))))
    return labels, np.round(chance, 1) if ties else chance, np.repeat(np.arange(n // 3), 3)


def slow_sensitivity(labels: np.ndarray, chance: np.ndarray, specificity: float) -> float:
    """Try every threshold; the best sensitivity among those that are specific enough."""
    best = 0.0
    for threshold in chance:
        called = chance >= threshold
        if np.mean(~called[labels == 0]) >= specificity - 1e-12:
            best = max(best, float(np.mean(called[labels == 1])))
    return best


def weights_of(patients: int, replicates: int) -> np.ndarray:
    return patient_draws(patients, replicates, (0,)).T.astype(np.float64)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_values_are_those_of_scikit_learn_and_of_the_definitions(seed, ties):
    labels, chance, patients = sample(seed, ties=ties)
    found = replicate(labels, chance, patients, weights_of(20, 3), specificity=0.8).values
    assert set(found) == set(SCORES)
    assert found["auroc"] == pytest.approx(roc_auc_score(labels, chance))
    assert found["auprc"] == pytest.approx(average_precision_score(labels, chance))
    assert found["brier"] == pytest.approx(brier_score_loss(labels, chance))
    assert found["ece"] == pytest.approx(calibration_error(labels, chance))
    assert found["sensitivity"] == pytest.approx(slow_sensitivity(labels, chance, 0.8))


@pytest.mark.parametrize("ties", [False, True])
def test_replicates_are_scores_of_resampled_patients(ties, monkeypatch):
    labels, chance, patients = sample(3, ties=ties)
    weights = weights_of(20, 40)
    found = replicate(labels, chance, patients, weights, specificity=0.9)
    edges = bin_edges(np.sort(chance))
    for b, draw in enumerate(weights.T.astype(int)):
        rows = np.concatenate([np.repeat(np.flatnonzero(patients == p), n) for p, n in enumerate(draw) if n])
        drawn, score = labels[rows], chance[rows]
        gaps = np.bincount(np.searchsorted(edges, score, side="right"), weights=score - drawn)
        expected = {
            "auroc": roc_auc_score(drawn, score),
            "auprc": average_precision_score(drawn, score),
            "brier": brier_score_loss(drawn, score),
            "ece": np.abs(gaps).sum() / len(rows),
            "sensitivity": slow_sensitivity(drawn, score, 0.9),
        }
        assert {name: draws[b] for name, draws in found.draws.items()} == pytest.approx(expected, abs=1e-9)
    monkeypatch.setattr(bootstrap, "CHUNK", 200)
    chunked = replicate(labels, chance, patients, weights, specificity=0.9)
    for name in SCORES:
        np.testing.assert_allclose(chunked.draws[name], found.draws[name], atol=1e-12)


def test_intervals_are_percentiles_and_contain_their_values():
    labels, chance, patients = sample(1, ties=False, n=150)
    found = replicate(labels, chance, patients, weights_of(50, 400), specificity=0.9)
    low, high = np.percentile(found.draws["auroc"], [2.5, 97.5])
    interval = found.interval("auroc")
    assert (interval.low, interval.high) == (low, high)
    for name in SCORES:
        interval = found.interval(name)
        assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_the_interval_of_the_calibration_error_is_moved_by_its_bias():
    rng = np.random.default_rng(0)
    chance = rng.random(300)
    labels = (rng.random(300) < chance).astype(int)
    found = replicate(labels, chance, np.arange(300), weights_of(300, 300), specificity=0.9)
    assert found.draws["ece"].mean() > found.values["ece"] * 1.2
    interval = found.interval("ece")
    low, high = np.percentile(found.draws["ece"], [2.5, 97.5])
    shift = found.draws["ece"].mean() - found.values["ece"]
    assert (interval.low, interval.high) == pytest.approx((max(0, low - shift), high - shift))


def test_a_replicate_of_one_class_has_no_score():
    labels, chance = np.array([1, 0, 0]), np.array([0.9, 0.2, 0.1])
    weights = np.array([[1.0, 0, 3], [1, 2, 0], [1, 1, 0]])
    found = replicate(labels, chance, np.arange(3), weights, specificity=0.9)
    for name in SCORES:
        assert np.isnan(found.draws[name]).tolist() == [False, True, True]


def test_operating_threshold_by_hand():
    labels = np.array([0] * 10 + [1] * 3 + [-1])
    chance = np.array([0.05, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.6, 0.7, 0.5, 0.65, 0.9, 0.62])
    # Nine of ten negatives lie below .65 (and below .7); .65 is the lower.
    assert operating_threshold(labels, chance, 0.9) == 0.65
    assert operating_threshold(labels, chance, 0.0) == 0.05
    assert operating_threshold(labels, chance, 1.0) == 0.9
    assert operating_threshold(1 - np.abs(labels), chance, 1.0) == np.inf
    assert operating_threshold(np.ones(14), chance, 0.9) == np.inf
