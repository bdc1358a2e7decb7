"""Draws of patients and what is made of replicates, with numbers that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from spine_models.findings.probes import draws as module
from spine_models.findings.probes.draws import Bootstrap, Replicated, difference, mean_of, mean_of_whole
from spine_models.findings.probes.scores import auroc, average_precision

NAN = float("nan")


def test_a_drawn_patient_brings_all_its_studies(monkeypatch):
    rng = np.random.default_rng(0)
    patients = np.array([f"p{i % 20:02d}" for i in range(50)], dtype=object)
    labels, chances = rng.integers(0, 2, 50), rng.random(50)
    bootstrap = Bootstrap.of(patients, 30, (4, 2))
    assert bootstrap.draws.sum(axis=1).tolist() == [20] * 30
    for measure, plain in ((auroc, roc_auc_score), (average_precision, average_precision_score)):
        found = bootstrap.score(measure, labels, chances, patients)
        assert found.value == pytest.approx(plain(labels, chances))
        for drawn, value in zip(bootstrap.draws, found.replicates, strict=True):
            again = np.repeat(np.arange(50), [drawn[int(key[1:])] for key in patients])
            assert value == pytest.approx(plain(labels[again], chances[again]))
    whole = bootstrap.auroc(labels, chances, patients)
    monkeypatch.setattr(module, "CHUNK", 150)  # three replicates at a time
    assert bootstrap.auroc(labels, chances, patients).replicates.tobytes() == whole.replicates.tobytes()


def test_draws_are_of_the_seed_and_of_the_patients_alone():
    some = Bootstrap.of(np.array(["b", "a", "b"]), 10, (1,))
    assert some.patients.tolist() == ["a", "b"]
    assert np.array_equal(some.draws, Bootstrap.of(np.array(["a", "b"]), 10, (1,)).draws)
    assert not np.array_equal(some.draws, Bootstrap.of(np.array(["a", "b"]), 10, (2,)).draws)
    assert np.array_equal(some.weights(np.array(["b", "a"])), some.draws[:, ::-1])


def test_a_condition_that_drops_out_of_a_replicate_does_not_shift_it():
    """One condition told perfectly by one patient, one not at all: without the first a replicate is no worse."""
    labels = np.array([[1, 0], [0, 1], [0, 0], [0, 1]])
    chances = np.array([[0.9, 0.5], [0.1, 0.5], [0.2, 0.5], [0.3, 0.5]])
    who = np.array(["a", "b", "c", "d"])
    bootstrap = Bootstrap(who, np.array([[1, 1, 1, 1], [0, 2, 1, 1]]))
    parts = [bootstrap.auroc(labels[:, c], chances[:, c], who) for c in (0, 1)]
    found = mean_of(parts)
    assert found.value == pytest.approx(0.75)
    np.testing.assert_allclose(found.replicates, [0.75, 0.75])
    np.testing.assert_allclose(mean_of_whole(parts).replicates, [0.75, NAN])
    nothing = mean_of([Replicated(0.5, np.array([NAN])), Replicated(0.7, np.array([NAN]))])
    assert nothing.columns("x") == {"x": pytest.approx(0.6), "x_low": None, "x_high": None}


def test_differences_and_gains_are_replicate_by_replicate():
    one, other = Replicated(0.9, np.array([0.8, 0.6, 0.5])), Replicated(0.6, np.array([0.4, 0.6, 0.0]))
    apart = one - other
    assert apart.value == pytest.approx(0.3)
    np.testing.assert_allclose(apart.replicates, [0.4, 0.0, 0.5])
    gain = one.gain_over(other)
    assert gain.value == pytest.approx(0.5)
    np.testing.assert_allclose(gain.replicates, [1.0, 0.0, NAN])
    assert (gain.interval.low, gain.interval.high) == pytest.approx(np.percentile([1.0, 0.0], (2.5, 97.5)))
    assert np.isnan(one.gain_over(Replicated(0.0, np.zeros(3))).value)
    shared = difference({1: one, 2: one}, {2: other, 3: other})
    np.testing.assert_allclose(shared.replicates, apart.replicates)
    assert difference({1: one}, {2: other}) is None
