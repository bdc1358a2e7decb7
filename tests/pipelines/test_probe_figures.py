"""Figures of the probes: their curves are the textbook's, and nothing is drawn of what could not be evaluated."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_curve

from pipelines.runtime.figures import probes as figures
from spine_models.findings.probes.tables import METRICS, PREDICTIONS, SUMMARY


def test_roc_is_scikit_learns_and_precision_is_that_of_the_threshold():
    rng = np.random.default_rng(0)
    label = (rng.random(80) < 0.4).astype(int)
    chance = np.round(label * 0.3 + rng.random(80), 1)
    weights = np.vstack([np.ones(80), rng.integers(0, 3, 80)]).astype(float)
    for weight, line in zip(weights, figures._curves(label, chance, weights, "roc"), strict=True):
        alarms, hits, _ = roc_curve(label, chance, sample_weight=weight, drop_intermediate=False)
        np.testing.assert_allclose(line[1:], np.interp(figures.GRID, alarms, hits)[1:], atol=1e-9)
    precision = figures._curves(label, chance, weights[:1], "pr")[0]
    for recall, found in zip(figures.GRID[1:], precision[1:], strict=True):
        called = next(
            chance >= t
            for t in np.unique(chance)[::-1]
            if label[chance >= t].sum() / label.sum() >= recall - 1e-9
        )
        assert found == pytest.approx(label[called].mean())
    assert np.isnan(figures._curves(np.ones(5), np.ones(5), np.ones((1, 5)), "roc")).all()


def rows(status: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(0)
    name = {"condition": "canal", "encoder": "spinefm", "head": "linear", "sequence_set": "all"}
    names = [name | {"evaluation": evaluation} for evaluation in ("cv", "test")]
    predictions = [
        row | {"patient_key": f"p{i}", "study_key": f"s{i}", "label": i % 2, "probability": rng.random()}
        for row in names
        for i in range(40)
    ]
    metrics = [row | {"status": status, "threshold": 0.5} for row in names]
    return (
        pl.DataFrame([{c: row.get(c) for c in PREDICTIONS} for row in predictions], schema=PREDICTIONS),
        pl.DataFrame([{c: row.get(c) for c in METRICS} for row in metrics], schema=METRICS),
    )


def test_what_was_evaluated_is_drawn_and_what_was_not_is_said():
    for status, start in (("evaluated", "![](data:image/png"), ("not_evaluable", figures.NOTHING)):
        predictions, metrics = rows(status)
        found = [
            figures.curves(predictions, metrics, "roc", bootstrap=10, seed=0),
            figures.curves(predictions, metrics, "pr", bootstrap=10, seed=0),
            figures.calibration(predictions, metrics),
            figures.confusion(predictions, metrics),
        ]
        assert all(figure.value.startswith(start) for figure in found)
    assert figures.means(pl.DataFrame(schema=SUMMARY)).value == figures.NOTHING
