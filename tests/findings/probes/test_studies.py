"""Sequence sets as matrices: a block that a study lacks is masked, and never evidence."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from spine_models.findings.probes.crossfit import crossfit
from spine_models.findings.probes.logistic import Basis, fit
from spine_models.findings.probes.studies import WHOLE_STUDY, ProbeInputError, set_vectors, side_by_side

LAYOUT = (("t1", 12), ("t2", 12))


def test_all_is_every_route_side_by_side_with_an_indicator_of_what_is_missing(cohort):
    made = cohort(patients=9)
    gone = made.vectors["study_key"].unique().sort()
    vectors = made.vectors.filter(
        ~((pl.col("route") == "t1") & (pl.col("study_key") == gone[0]))
        & ~((pl.col("route") == "t2") & (pl.col("study_key") == gone[1]))
    )
    joined = set_vectors(vectors.sample(fraction=1.0, shuffle=True, seed=2), "all")
    assert joined.layout == LAYOUT
    assert joined.study_keys.tolist() == gone.to_list()
    assert joined.values.shape == (len(gone), 12 + 12 + 2)
    for i, study in enumerate(joined.study_keys):
        for number, route in enumerate(("t1", "t2")):
            part = joined.values[i, 12 * number : 12 * (number + 1)]
            rows = vectors.filter(study_key=study, route=route)
            assert joined.values[i, 24 + number] == float(rows.is_empty())
            expected = [np.nan] * 12 if rows.is_empty() else rows["vector"][0].to_list()
            np.testing.assert_array_equal(part, np.array(expected, dtype=np.float32))


def test_single_routes_hold_the_studies_that_have_them(cohort):
    made = cohort(patients=6)
    vectors = made.vectors.filter(~((pl.col("route") == "t1") & (pl.col("study_key") == "s0000")))
    assert "s0000" not in set_vectors(vectors, "t1").study_keys
    assert set_vectors(vectors, "t1").values.shape[1] == 12
    assert len(set_vectors(vectors, "other").study_keys) == 0
    other = vectors.with_columns(route=pl.lit("other")).filter(pl.col("encoder") == "dinov3-t2")
    assert set_vectors(other, "other").values.shape == (other.height, 12)


def test_a_vector_of_the_whole_study_is_a_block_of_all_alone(cohort):
    made = cohort(patients=6)
    whole = made.vectors.filter(route="t1").with_columns(route=pl.lit(WHOLE_STUDY))
    joined = set_vectors(pl.concat([made.vectors, whole]), "all")
    assert [route for route, _ in joined.layout] == ["t1", "t2", "study"]


def test_blocks_are_those_of_the_layout(cohort):
    made = cohort(patients=6)
    wide = (("t1", 12), ("t2", 12), ("other", 5))
    joined = set_vectors(made.vectors, "all", layout=wide)
    assert joined.values.shape[1] == 12 + 12 + 5 + 3
    assert np.isnan(joined.values[:, 24:29]).all()
    assert (joined.values[:, 31] == 1).all()
    narrow = set_vectors(made.vectors.filter(route="t2"), "all", layout=LAYOUT)
    assert np.isnan(narrow.values[:, :12]).all()
    with pytest.raises(ProbeInputError, match="vectors of 12 numbers, heads of 7"):
        set_vectors(made.vectors, "all", layout=(("t1", 7),))


def test_numbers_that_are_not_finite_are_refused(cohort):
    made = cohort(patients=4)
    rows = made.vectors.to_dicts()
    rows[3]["vector"][2] = float("nan")
    with pytest.raises(ProbeInputError, match="route 't1' hold numbers that are not finite"):
        set_vectors(pl.DataFrame(rows, schema=made.vectors.schema), "t1")


def problem(seed: int = 0) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    blocks = [
        rng.normal(size=(120, 6)).astype(np.float32) * 3 + 1,
        rng.normal(size=(120, 9)).astype(np.float32),
    ]
    present = rng.random((120, 2)) < 0.8
    present[~present.any(axis=1)] = True
    labels = (rng.random((120, 2)) < 0.4).astype(np.int8)
    return blocks, present, labels


def heads_of(values: np.ndarray, labels: np.ndarray):
    return crossfit(
        values,
        labels,
        np.arange(len(labels)) % 5,
        n_folds=5,
        candidates=np.ones(2, bool),
        strengths=(0.05, 0.5),
    )


def test_numbers_in_a_missing_block_change_nothing_anywhere():
    blocks, present, labels = problem()
    first = heads_of(side_by_side(blocks, present), labels)
    for filling in (0.0, 1e6, np.nan):
        other = [np.where(present[:, [n]], block, filling) for n, block in enumerate(blocks)]
        again = heads_of(side_by_side(other, present), labels)
        np.testing.assert_array_equal(first.held_out, again.held_out)
        np.testing.assert_array_equal(first.heads.weights, again.heads.weights)


def test_a_missing_block_contributes_its_own_intercept_and_nothing_else():
    blocks, present, labels = problem()
    heads = heads_of(side_by_side(blocks, present), labels).heads
    study = [block[:1] for block in blocks]
    both, lacking = (heads.logits(side_by_side(study, np.array([[True, has]]))) for has in (True, False))
    block = ((study[1].astype(np.float64) - heads.mean[6:15]) / heads.scale[6:15]) @ heads.weights[6:15]
    indicator = heads.weights[16] / heads.scale[16]
    np.testing.assert_allclose(both - block + indicator, lacking, atol=1e-9)


def test_blocks_are_standardised_on_the_rows_that_have_them():
    blocks, present, _labels = problem()
    basis = Basis.of(side_by_side(blocks, present))
    for number, (block, place) in enumerate(zip(blocks, (slice(0, 6), slice(6, 15)), strict=True)):
        np.testing.assert_allclose(basis.mean[place], block[present[:, number]].mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(basis.scale[place], block[present[:, number]].std(axis=0), rtol=1e-5)


def test_the_masked_problem_is_solved_to_its_optimum():
    """Against a direct minimisation of the same objective, written out study by study."""
    blocks, present, labels = problem(3)
    values = side_by_side(blocks, present)
    basis = Basis.of(values)
    weights, bias = fit(basis, labels[:, :1], np.array([0.3]))

    def objective(at: np.ndarray) -> float:
        total = 0.5 * float(at[1:] @ at[1:])
        for row, label in zip(values, labels[:, 0], strict=True):
            logit = at[0]
            for weight, number, mean, scale in zip(at[1:], row, basis.mean, basis.scale, strict=True):
                if not np.isnan(number):
                    logit += weight * (number - mean) / scale
            total += 0.3 * (np.logaddexp(0, logit) - label * logit)
        return total

    best = minimize(objective, np.zeros(values.shape[1] + 1), method="BFGS", options={"gtol": 1e-4})
    np.testing.assert_allclose(basis.directions @ weights[:, 0], best.x[1:], atol=2e-3)
    assert bias[0] == pytest.approx(best.x[0], abs=2e-3)


def test_a_block_that_no_training_row_has_is_silent():
    blocks, present, labels = problem()
    present = np.column_stack([np.ones(120, bool), np.zeros(120, bool)])
    result = heads_of(side_by_side(blocks, present), labels)
    study = [block[:1] for block in blocks]
    logits = [result.heads.logits(side_by_side(study, np.array([[True, has]]))) for has in (True, False)]
    np.testing.assert_array_equal(*logits)
