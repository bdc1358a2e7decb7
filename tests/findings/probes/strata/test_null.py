"""The null test: honest noise passes, a leak does not, and whole patients are shuffled."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.domain import condition_keys
from spine_models.findings.probes.strata import null as module
from spine_models.findings.probes.strata.null import null_test, passes, shuffled
from spine_models.findings.probes.strata.tables import NULL
from spine_models.findings.probes.studies import study_labels

PROBES = ProbeSettings(bootstrap=10, regularisation=(1e-2, 1e-1), folds=3)
SETTINGS = StratumSettings(null_repeats=8)
PREVALENCE = dict.fromkeys(condition_keys()[:4], 0.4)


def run(made, **changes):
    settings = SETTINGS.model_copy(update=changes)
    return null_test(made.vectors, made.labels, made.splits, probes=PROBES, settings=settings)


def test_a_strong_signal_is_gone_when_labels_are_shuffled(cohort):
    table = run(cohort(patients=160, signal=2.5, prevalence=PREVALENCE))
    assert table.schema == NULL
    assert table.height == 2
    for row in table.iter_rows(named=True):
        assert row["real"] > 0.9
        assert row["auroc_low"] <= 0.5 <= row["auroc_high"]
        assert row["auroc_high"] - row["auroc_low"] < 0.2
        assert (row["n_repeats"], row["n_conditions"]) == (8, 4)
    assert passes(table)


def test_a_leak_does_not_pass(cohort, monkeypatch):
    """A harness that sees the labels it is scored on."""
    fit = module.fit_set

    def leaky(frame, sequence_set, truth, folds, settings):
        names = dict(zip(truth.study_keys, truth.labels[:, :4].astype(np.float32).tolist(), strict=True))
        seen = [[*vector[4:], *names[key]] for key, vector in frame.select("study_key", "vector").iter_rows()]
        told = frame.with_columns(vector=pl.Series(seen, dtype=pl.List(pl.Float32)))
        return fit(told, sequence_set, truth, folds, settings)

    monkeypatch.setattr(module, "fit_set", leaky)
    table = run(cohort(patients=160, prevalence=PREVALENCE))
    assert not passes(table)
    assert table["auroc_low"].min() > 0.8


def test_whole_patients_move_within_their_split(cohort):
    made = cohort(patients=80, prevalence=PREVALENCE)
    truth = study_labels(made.labels, made.splits)
    moved = shuffled(truth, (0, 1))
    assert not np.array_equal(moved.labels, truth.labels)
    for split in ("train", "test"):
        here = truth.split == split
        before = {tuple(row) for row in truth.labels[here]}
        assert {tuple(row) for row in moved.labels[here]} <= before
        first = {
            key: tuple(row) for key, row in zip(truth.patient_keys[here], truth.labels[here], strict=True)
        }
        after = {
            key: tuple(row) for key, row in zip(moved.patient_keys[here], moved.labels[here], strict=True)
        }
        assert sorted(first.values()) == sorted(after.values())
    # Equal labels of a patient's studies stay equal.
    for patient in np.unique(truth.patient_keys):
        assert len({tuple(row) for row in moved.labels[moved.patient_keys == patient]}) == 1
    np.testing.assert_array_equal(moved.split, truth.split)
    assert np.array_equal(shuffled(truth, (0, 1)).labels, moved.labels)
    assert not np.array_equal(shuffled(truth, (0, 2)).labels, moved.labels)


def test_rows_are_cut_or_repeated_to_the_number_of_studies():
    from spine_models.findings.probes.studies import StudyLabels

    labels = np.array([[1], [0], [1], [0]], dtype=np.int8)
    truth = StudyLabels(
        np.array(["a", "b", "c", "d"], dtype=object), np.array(["p", "p", "p", "q"], dtype=object),
        np.array(["train"] * 4, dtype=object), labels,
    )  # fmt: skip
    seen = {tuple(shuffled(truth, (seed,)).labels[:, 0]) for seed in range(20)}
    assert seen == {(1, 0, 1, 0), (0, 0, 0, 1)}


def test_the_bias_of_many_nulls_is_small(cohort):
    """Over several cohorts of pure noise the mean stays at one half, out of fold too."""
    values = [
        run(cohort(patients=100, prevalence=PREVALENCE, seed=seed), null_repeats=3)["auroc"].to_list()
        for seed in range(6)
    ]
    assert np.mean(values, axis=0) == pytest.approx([0.5, 0.5], abs=0.035)


def test_pairs_of_one_fold_are_compared_and_all_of_them_stand_beside():
    """By hand: a fold judged by a model that puts all its studies higher counts in the pooled value alone."""
    label = np.array([1, 0, 1, 0, 1, 0, 1, 0, 1, 0], dtype=np.int8)
    chances = np.array([0.2, 0.1, 0.1, 0.2, 0.2, 0.1, 0.8, 0.9, 0.9, 0.8])
    folds = np.array([0] * 6 + [1] * 4)
    keys = np.array([f"p{i}" for i in range(10)], dtype=object)
    part = module.Scored(keys, keys, label[:, None], chances[:, None], (None,))
    within, pooled = module._aurocs(part, folds, 0, ProbeSettings(min_positive=2))
    low, high = (chances[(folds == 0) & (label == value)] for value in (1, 0))
    first = np.mean([(a > b) + 0.5 * (a == b) for a in low for b in high])
    assert within == pytest.approx((9 * first + 4 * 0.5) / 13)
    wins = [(a > b) + 0.5 * (a == b) for a in chances[label == 1] for b in chances[label == 0]]
    assert pooled == pytest.approx(np.mean(wins))


def test_too_few_positives_cannot_be_tested(cohort):
    table = run(cohort(prevalence={}))
    assert set(table["status"]) == {"not_evaluable"}
    assert not passes(table)
    assert not passes(table.clear())
