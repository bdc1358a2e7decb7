from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.corpus.labels import raters
from spine_models.corpus.labels.panel.raters import dawid_skene
from spine_models.corpus.labels.tables import RATERS

SENSITIVITY = np.array([0.95, 0.85, 0.7, 0.9])
SPECIFICITY = np.array([0.98, 0.9, 0.95, 0.8])


def simulated(studies: int, prevalence: float, missing: float = 0.1, seed: int = 0) -> np.ndarray:
    """Votes of labellers that err independently at known rates, some of them withheld."""
    draw = np.random.default_rng(seed)
    truth = draw.random(studies) < prevalence
    says = np.where(truth, SENSITIVITY[:, None], 1 - SPECIFICITY[:, None])
    votes = (draw.random(says.shape) < says).astype(float).T
    votes[draw.random(votes.shape) < missing] = np.nan
    return votes[~np.isnan(votes).all(axis=1)]


def slow(votes: np.ndarray, iterations: int, smoothing: float):
    """The E and M steps of the paper, one number at a time."""
    n, m = votes.shape
    present = []
    for i in range(n):
        given = [v for v in votes[i] if not np.isnan(v)]
        share = sum(given) / len(given)
        present.append(1.0 if share > 0.5 else 0.0 if share < 0.5 else 0.5)
    for _ in range(iterations):
        prevalence = (sum(present) + smoothing) / (n + 2 * smoothing)
        sensitivity, specificity = [], []
        for j in range(m):
            voted = [i for i in range(n) if not np.isnan(votes[i, j])]
            hits = sum(present[i] for i in voted if votes[i, j] == 1)
            misses = sum(present[i] for i in voted if votes[i, j] == 0)
            passes = sum(1 - present[i] for i in voted if votes[i, j] == 0)
            alarms = sum(1 - present[i] for i in voted if votes[i, j] == 1)
            sensitivity.append((hits + smoothing) / (hits + misses + 2 * smoothing))
            specificity.append((passes + smoothing) / (passes + alarms + 2 * smoothing))
        for i in range(n):
            yes, no = prevalence, 1 - prevalence
            for j in range(m):
                if votes[i, j] == 1:
                    yes *= sensitivity[j]
                    no *= 1 - specificity[j]
                elif votes[i, j] == 0:
                    yes *= 1 - sensitivity[j]
                    no *= specificity[j]
            present[i] = yes / (yes + no)
    return prevalence, sensitivity, specificity, present


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
@pytest.mark.parametrize("iterations", [1, 2, 25])
def test_it_is_the_plain_transcription(smoothing, iterations):
    votes = simulated(150, 0.3, missing=0.3, seed=3)
    fit = dawid_skene(votes, smoothing=smoothing, most_iterations=iterations)
    prevalence, sensitivity, specificity, present = slow(votes, len(fit.objective), smoothing)
    assert fit.prevalence == pytest.approx(prevalence)
    assert fit.sensitivity == pytest.approx(sensitivity)
    assert fit.specificity == pytest.approx(specificity)
    assert fit.present == pytest.approx(present)
    assert fit.converged == (len(fit.objective) < iterations)


@pytest.mark.parametrize("prevalence", [0.5, 0.15])
def test_known_error_rates_are_recovered(prevalence):
    fit = dawid_skene(simulated(20_000, prevalence))
    assert fit.converged
    assert fit.prevalence == pytest.approx(prevalence, abs=0.02)
    assert fit.sensitivity == pytest.approx(SENSITIVITY, abs=0.03)
    assert fit.specificity == pytest.approx(SPECIFICITY, abs=0.03)


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_what_it_climbs_never_falls(smoothing, seed):
    fit = dawid_skene(simulated(80, 0.2, missing=0.4, seed=seed), smoothing=smoothing)
    assert len(fit.objective) > 2
    assert (np.diff(fit.objective) >= -1e-9).all()


def as_labels(labels, votes: np.ndarray, condition: str = "canal") -> pl.DataFrame:
    status = {1.0: "present", 0.0: "absent"}
    return labels(
        (f"l{j}", f"s{i:04d}", condition, status.get(votes[i, j], "ambiguous"))
        for i in range(votes.shape[0])
        for j in range(votes.shape[1])
    )


def test_the_table_is_the_fit_and_doubt_is_no_vote(labels):
    votes = simulated(300, 0.3)
    table = raters(as_labels(labels, votes).sample(fraction=1.0, shuffle=True, seed=0))
    fit = dawid_skene(votes)
    assert table.schema == RATERS
    assert table["labeller"].to_list() == ["l0", "l1", "l2", "l3"]
    assert table["studies"].to_list() == (~np.isnan(votes)).sum(axis=0).tolist()
    assert table["sensitivity"].to_list() == pytest.approx(fit.sensitivity.tolist())
    assert table["prevalence"].to_list() == pytest.approx([fit.prevalence] * 4)
    # Smoothing aside, a labeller's errors are its misses and its false alarms.
    expected = fit.prevalence * (1 - fit.sensitivity) + (1 - fit.prevalence) * (1 - fit.specificity)
    assert table["error_rate"].to_list() == pytest.approx(expected.tolist(), abs=0.02)
    assert table["converged"].all()


def test_a_condition_that_nobody_sees_has_no_sensitivity(labels):
    table = raters(as_labels(labels, np.zeros((200, 3)), "cyst"))
    assert table["sensitivity"].to_list() == [None] * 3
    assert min(table["specificity"]) > 0.98
    assert max(table["error_rate"]) < 0.01
    assert table["converged"].all()


def test_fewer_than_three_voters_keep_the_schema(labels):
    three = as_labels(labels, simulated(30, 0.3)[:, :3])
    silent = three.with_columns(label=pl.when(labeller="l2").then(-1).otherwise("label").cast(pl.Int8))
    for frame in (three.clear(), three.filter(pl.col("labeller") != "l1"), silent):
        table = raters(frame)
        assert table.schema == RATERS
        assert table.is_empty()
    assert raters(three).height == 3
