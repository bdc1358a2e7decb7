"""The linear map to the reports: ridge regression, fitted on train studies alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.findings.retrieval.linear import side_by_side, to_reports
from tests.findings.retrieval.conftest import DIM, make_space, unit


def test_a_map_never_sees_the_test_studies():
    space = make_space(80)
    rng = np.random.default_rng(0)
    n = 60
    values, reports = rng.normal(size=(n, 5)), unit(rng.normal(size=(n, DIM)))
    fit, choose = np.arange(n) < 30, (np.arange(n) >= 30) & (np.arange(n) < 45)
    who, alike = [str(i) for i in range(n)], np.arange(n)
    first = to_reports(values, reports, fit, choose, who, alike, [0.1, 1.0])
    reports[45:] = unit(rng.normal(size=(15, DIM)))
    np.testing.assert_array_equal(first, to_reports(values, reports, fit, choose, who, alike, [0.1, 1.0]))
    assert to_reports(values, reports, fit & (np.arange(n) < 5), choose, who, alike, [1.0]) is None
    assert space.aligned.height


@pytest.mark.parametrize("d", [4, 40])
def test_the_map_is_ridge_regression(d):
    """Solved plainly, for fewer and for more columns than studies."""
    rng = np.random.default_rng(1)
    n, penalty = 30, 0.7
    values, reports = rng.normal(size=(n, d)) + 3, unit(rng.normal(size=(n, DIM)))
    fit, nobody = np.arange(n) < 20, np.zeros(n, bool)
    found = to_reports(values, reports, fit, nobody, [str(i) for i in range(n)], np.arange(n), [penalty])
    centre, middle = values[fit].mean(axis=0), reports[fit].mean(axis=0)
    x, y = values[fit] - centre, reports[fit] - middle
    weights = np.linalg.solve(x.T @ x + penalty * 20 * np.eye(d), x.T @ y)
    np.testing.assert_allclose(found, unit((values - centre) @ weights + middle), atol=1e-9)


def test_missing_blocks_contribute_nothing_and_are_marked():
    rows = [("a", "t1", [1.0, 2.0]), ("a", "t2", [5.0]), ("b", "t1", [3.0, 2.0]), ("c", "t2", [7.0])]
    table = pl.DataFrame(rows, schema=["study_key", "route", "vector"], orient="row")
    values, present = side_by_side(table, "all", ["a", "b", "c", "d"], np.array([True, True, True, True]))
    assert present.tolist() == [True, True, True, False]
    np.testing.assert_allclose(values, [[-1, 0, 0, -1, 0], [1, 0, 0, 0, 1], [0, 0, 1, 1, 0], [0, 0, 1, 0, 1]])
    only, present = side_by_side(table, "t2", ["a", "b"], np.array([True, True]))
    assert (only.shape, present.tolist()) == ((2, 2), [True, False])
