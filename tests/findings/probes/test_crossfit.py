"""Folds, and that nothing a held-out probability rests on has seen its own fold."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from spine_models.findings.probes.crossfit import crossfit
from spine_models.findings.probes.folds import patient_folds


def cohort(n: int = 90, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    patients = np.array([f"p{i:03d}" for i in rng.integers(0, n * 2 // 3, n)])
    labels = (rng.random((n, 4)) < [0.5, 0.3, 0.12, 0.08]).astype(np.int8)
    return patients, labels


def test_a_patient_is_never_in_two_folds():
    patients, labels = cohort(300)
    folds = patient_folds(patients, labels, folds=5, seed=0)
    assert set(folds) == set(range(5))
    for patient in np.unique(patients):
        assert len(set(folds[patients == patient])) == 1


def test_positive_patients_and_sizes_are_spread_evenly():
    rng = np.random.default_rng(1)
    patients = np.array([f"p{i:03d}" for i in range(120)])
    labels = (rng.random((120, 6)) < [0.5, 0.3, 0.2, 0.1, 0.08, 0.06]).astype(np.int8)
    folds = patient_folds(patients, labels, folds=5, seed=0)
    assert np.ptp(np.bincount(folds)) <= 4
    rare = labels.sum(axis=0).argmin()
    assert np.ptp([labels[folds == k, rare].sum() for k in range(5)]) <= 1
    for condition in range(6):
        assert np.ptp([labels[folds == k, condition].sum() for k in range(5)]) <= 4


def test_folds_depend_on_seed_and_patients_not_on_row_order():
    patients, labels = cohort()
    folds = patient_folds(patients, labels, folds=5, seed=0)
    order = np.random.default_rng(5).permutation(len(patients))
    assert np.array_equal(patient_folds(patients[order], labels[order], folds=5, seed=0), folds[order])
    assert not np.array_equal(patient_folds(patients, labels, folds=5, seed=1), folds)


def fitted(values, labels, folds, strengths=(0.01, 0.1)):
    return crossfit(
        values,
        labels,
        folds,
        n_folds=5,
        candidates=np.ones(labels.shape[1], dtype=bool),
        strengths=strengths,
    )


def test_held_out_ranking_equals_scikit_learn_fold_by_fold():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(100, 30))
    labels = (values[:, :2] + rng.normal(size=(100, 2)) > 0.5).astype(np.int8)
    folds = np.arange(100) % 5
    result = fitted(values, labels, folds, strengths=(0.05,))
    for k in range(5):
        scaler = StandardScaler().fit(values[folds != k])
        for condition in range(2):
            reference = LogisticRegression(C=0.05, tol=1e-10).fit(
                scaler.transform(values[folds != k]), labels[folds != k, condition]
            )
            logits = reference.decision_function(scaler.transform(values[folds == k]))
            held_out = result.held_out[folds == k, condition]
            # Platt scaling is a positive affine map of the logit.
            slope, intercept = np.polyfit(logits, np.log(held_out / (1 - held_out)), 1)
            assert slope > 0
            np.testing.assert_allclose(
                np.log(held_out / (1 - held_out)), slope * logits + intercept, atol=1e-4
            )


def test_a_fold_does_not_see_its_own_labels():
    """Swapping labels inside fold 0 (prevalence kept) changes no probability of fold 0."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(80, 60))
    labels = (rng.random((80, 2)) < 0.4).astype(np.int8)
    folds = np.arange(80) % 5
    swapped = labels.copy()
    swapped[folds == 0] = labels[folds == 0][::-1]
    assert not np.array_equal(swapped, labels)
    before, after = fitted(values, labels, folds), fitted(values, swapped, folds)
    np.testing.assert_array_equal(before.held_out[folds == 0], after.held_out[folds == 0])
    assert not np.allclose(before.held_out[folds == 1], after.held_out[folds == 1])


def test_a_fold_does_not_see_its_own_vectors():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(80, 60))
    labels = (rng.random((80, 2)) < 0.4).astype(np.int8)
    folds = np.arange(80) % 5
    first = np.flatnonzero(folds == 0)[0]
    moved = values.copy()
    moved[first] += 100.0
    before, after = fitted(values, labels, folds).held_out, fitted(moved, labels, folds).held_out
    others = (folds == 0) & (np.arange(80) != first)
    np.testing.assert_allclose(before[others], after[others], atol=1e-12)


def test_random_labels_of_patients_seen_twice_are_not_remembered():
    """Two equal studies a patient: a split by study would find them again (AUROC near 1)."""
    rng = np.random.default_rng(4)
    scores, remembered = [], []
    for _ in range(4):
        once = rng.normal(size=(60, 100))
        truth = (rng.random((60, 3)) < 0.4).astype(np.int8)
        values, labels = np.repeat(once, 2, axis=0), np.repeat(truth, 2, axis=0)
        patients = np.repeat([f"p{i:03d}" for i in range(60)], 2)
        grouped = fitted(values, labels, patient_folds(patients, labels, folds=5, seed=0)).held_out
        leaking = fitted(values, labels, np.random.default_rng(0).integers(0, 5, 120)).held_out
        for c in range(3):
            scores.append(roc_auc_score(labels[:, c], grouped[:, c]))
            remembered.append(roc_auc_score(labels[:, c], leaking[:, c]))
    assert np.mean(scores) == pytest.approx(0.5, abs=0.08)
    assert np.mean(remembered) > 0.75


def test_final_heads_reproduce_their_own_formula_and_are_calibrated():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(300, 10)) * 7 + 3
    chance = 1 / (1 + np.exp(-(values[:, 0] - 3) / 5))
    labels = (rng.random((300, 1)) < chance[:, None]).astype(np.int8)
    heads = fitted(values, labels, np.arange(300) % 5, strengths=(1e-4, 1e-2, 1.0)).heads
    found = heads.probabilities(values)[:, 0]
    assert np.abs(found - chance).mean() < 0.08
    assert found.mean() == pytest.approx(labels.mean(), abs=0.02)
    assert heads.strength[0] in (1e-4, 1e-2, 1.0)


def test_a_condition_that_a_training_part_lacks_is_not_fitted():
    values = np.random.default_rng(0).normal(size=(50, 5))
    folds = np.arange(50) % 5
    labels = np.zeros((50, 2), dtype=np.int8)
    labels[::3, 0] = 1
    labels[(folds == 0) | (folds == 1), 1] = 1
    result = fitted(values, labels, folds)
    assert result.heads.fitted.tolist() == [True, False]
    assert np.isnan(result.held_out[:, 1]).all()
    assert np.isnan(result.heads.probabilities(values)[:, 1]).all()


def test_two_folds_are_too_few():
    with pytest.raises(ValueError, match=r"probes\.folds is 2"):
        crossfit(
            np.zeros((4, 1)),
            np.zeros((4, 1)),
            np.arange(4) % 2,
            n_folds=2,
            candidates=np.array([True]),
            strengths=(1.0,),
        )


def test_vectors_that_say_nothing_rank_nothing():
    """Folds of unequal prevalence: what Platt's smoothing leaves of it must not order the folds."""
    rng = np.random.default_rng(6)
    folds = np.arange(95) % 5
    labels = (rng.random((95, 3)) < [0.12, 0.3, 0.5]).astype(np.int8)
    labels[:, 0] |= (folds == 2) & (rng.random(95) < 0.2)
    for values in (np.ones((95, 4)), np.full((95, 2), 3.7)):
        held_out = fitted(values, labels, folds, strengths=(0.01, 1.0)).held_out
        for c in range(3):
            assert roc_auc_score(labels[:, c], held_out[:, c]) == 0.5
