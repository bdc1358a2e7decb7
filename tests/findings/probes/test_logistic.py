"""The solver and the calibration against references."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from spine_models.findings.probes.calibration import MIN_SLOPE, fit_platt, log_loss, probabilities
from spine_models.findings.probes.logistic import Basis, fit

STRENGTHS = (1e-4, 1e-2, 1.0, 100.0)


def problem(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, d)) * rng.uniform(0.1, 30, d) + rng.normal(size=d) * 5
    labels = (rng.random((n, 3)) < [0.5, 0.2, 0.1]).astype(int)
    labels[:3] = [[1, 1, 1], [0, 0, 0], [1, 1, 1]]
    labels[rng.random((n, 3)) < 0.1] = -1
    return values, labels


@pytest.mark.parametrize(("n", "d"), [(60, 200), (150, 8), (40, 40)])
def test_every_column_equals_scikit_learn(n, d):
    values, labels = problem(n, d)
    values[:, 0] = 3.0
    new = problem(20, d, seed=1)[0]
    basis = Basis.of(values)
    columns = np.repeat(labels, len(STRENGTHS), axis=1)
    costs = np.tile(STRENGTHS, labels.shape[1])
    weights, bias = fit(basis, columns, costs)
    logits = basis.project(new) @ weights + bias
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale[0] = 1.0
    for column, cost in enumerate(costs):
        kept = columns[:, column] >= 0
        reference = LogisticRegression(C=cost, tol=1e-10, max_iter=20000)
        reference.fit(((values - mean) / scale)[kept], columns[kept, column])
        expected = reference.decision_function((new - mean) / scale)
        np.testing.assert_allclose(logits[:, column], expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


def test_basis_is_an_exact_rotation_of_the_standardised_rows():
    values, _ = problem(30, 90)
    basis = Basis.of(values)
    standard = (values - values.mean(0)) / values.std(0)
    np.testing.assert_allclose(basis.rows @ basis.directions.T, standard, atol=1e-8)
    np.testing.assert_allclose(basis.directions.T @ basis.directions, np.eye(basis.rows.shape[1]), atol=1e-6)
    np.testing.assert_allclose((basis.rows**2).sum(0), basis.spectrum, rtol=1e-6)


def test_vectors_without_any_difference_leave_the_prevalence():
    basis = Basis.of(np.ones((10, 4)))
    labels = np.array([[1]] * 3 + [[0]] * 7)
    weights, bias = fit(basis, labels, np.array([1.0]))
    assert weights.shape == (0, 1)
    assert bias[0] == pytest.approx(np.log(3 / 7))


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="one class only"):
        fit(Basis.of(np.eye(4)), np.array([[1], [1], [-1], [1]]), np.array([1.0]))


def test_platt_is_the_maximum_of_its_likelihood():
    rng = np.random.default_rng(0)
    labels = (rng.random((80, 4)) < 0.3).astype(int)
    logits = 3.0 * labels + rng.normal(size=(80, 4)) * [1, 2, 3, 6] - 4
    labels[rng.random((80, 4)) < 0.1] = -1
    slope, intercept = fit_platt(logits, labels)
    for k in range(4):
        kept = labels[:, k] >= 0
        positive, negative = (labels[kept, k] == 1).sum(), (labels[kept, k] == 0).sum()
        target = np.where(labels[kept, k] == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))

        def loss(at, values=logits[kept, k], target=target):
            mapped = at[0] * values + at[1]
            return np.sum(np.logaddexp(0, mapped) - target * mapped)

        best = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
        assert (slope[k], intercept[k]) == pytest.approx(tuple(best.x), abs=1e-4)


def test_platt_never_reverses_a_ranking_and_survives_separation():
    labels = np.array([[1, 1], [1, 1], [0, 0], [0, 0], [0, 0]])
    logits = np.array([[-2.0, 40], [-1, 50], [0, -40], [1, -50], [2, -60]])
    slope, intercept = fit_platt(logits, labels)
    assert (slope > 0).all()
    assert np.isfinite(slope).all()
    assert slope[0] == pytest.approx(MIN_SLOPE / logits[:, 0].std())
    assert probabilities(logits, slope, intercept)[:, 0].mean() == pytest.approx((2 * 3 / 4 + 3 * 1 / 5) / 5)
    assert (np.diff(probabilities(logits, slope, intercept)[:, 1]) > 0).tolist() == [
        True,
        False,
        False,
        False,
    ]


def test_log_loss_leaves_out_minus_one():
    logits = np.array([[0.0], [2.0], [-1.0]])
    assert log_loss(logits, np.array([[1], [0], [-1]]))[0] == pytest.approx(
        (np.log(2) + np.log1p(np.exp(2))) / 2
    )
