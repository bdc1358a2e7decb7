"""DeLong's test against a slow transcription, a simulation, and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from spine_models.findings.probes.delong import components, delong


def sample(seed: int, n: int = 60, effect: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.4).astype(int)
    shared = rng.normal(size=n)
    first, second = (labels + shared + rng.normal(size=n) + effect * k * labels for k in (1, 0))
    return labels, np.round(first, 1), np.round(second, 1)


def slow(labels, first, second):
    """The definition: all pairs, then the covariance matrices of DeLong et al. (1988)."""

    def kernel(x, y):
        return 1.0 if x > y else 0.5 if x == y else 0.0

    v10, v01, areas = [], [], []
    for scores in (first, second):
        positives, negatives = scores[labels == 1], scores[labels == 0]
        psi = np.array([[kernel(x, y) for y in negatives] for x in positives])
        v10.append(psi.mean(axis=1))
        v01.append(psi.mean(axis=0))
        areas.append(psi.mean())
    s = np.cov(v10) / len(v10[0]) + np.cov(v01) / len(v01[0])
    variance = s[0, 0] + s[1, 1] - 2 * s[0, 1]
    return areas[0] - areas[1], math.sqrt(variance)


@pytest.mark.parametrize("seed", range(4))
def test_one_study_a_patient_is_delong_as_published(seed):
    labels, first, second = sample(seed)
    difference, error, p = delong(labels, first, second, np.arange(60))
    assert (difference, error) == pytest.approx(slow(labels, first, second), abs=1e-12)
    assert difference == pytest.approx(roc_auc_score(labels, first) - roc_auc_score(labels, second))
    assert p == pytest.approx(math.erfc(abs(difference / error) / math.sqrt(2)))


def test_components_average_to_the_area_in_both_classes():
    labels, first, _ = sample(5)
    parts = components(labels, first)
    for value in (0, 1):
        assert parts[labels == value].mean() == pytest.approx(roc_auc_score(labels, first))


def test_studies_of_one_patient_count_as_one():
    """Every study three times under one patient: the error stays, up to the small-sample factor of none."""
    labels, first, second = sample(6)
    single = delong(labels, first, second, np.arange(60))
    tripled = [np.repeat(part, 3) for part in (labels, first, second, np.arange(60))]
    assert delong(*tripled) == pytest.approx(single, abs=1e-12)
    naive = delong(*tripled[:3], np.arange(180))
    assert naive[1] < 0.65 * single[1]


def test_equal_rankings_and_single_patients():
    labels, first, _ = sample(7)
    assert delong(labels, first, 3 * first + 1, np.arange(60)) == (0.0, 0.0, 1.0)
    alone = np.where(labels == 1, 0, np.arange(60) + 1)
    assert math.isnan(delong(labels, first, -first, alone)[2])


def test_p_is_uniform_where_nothing_differs_and_small_where_much_does():
    p = [delong(*sample(seed, n=120), np.arange(120))[2] for seed in range(300)]
    assert np.mean(np.array(p) < 0.1) == pytest.approx(0.1, abs=0.05)
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.09)
    assert np.mean([delong(*sample(s, n=120, effect=1.5), np.arange(120))[2] for s in range(30)]) < 0.02
