"""How many of the nearest studies share a condition, against loops; the mean is over the same conditions throughout."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import RetrievalSettings
from spine_models.findings.probes.scores import INTERVAL, patient_draws
from spine_models.findings.retrieval.precision import EVERY, precision
from spine_models.findings.retrieval.tables import PRECISION
from tests.findings.retrieval.asking import SETTINGS as ASKING
from tests.findings.retrieval.asking import row_of

SETTINGS = RetrievalSettings(bootstrap=400, seed=3)


def test_precision_is_that_of_a_loop():
    rng = np.random.default_rng(2)
    n = 30
    vectors, patients = rng.normal(size=(n, 4)), [f"p{i // 2}" for i in range(n)]
    labels = rng.integers(-1, 2, size=(n, 2)).astype(np.int8)
    found = precision(vectors, patients, labels, ["x", "y"], encoder="e", sequence_set="t1", settings=ASKING)
    wanted, by_chance = [], []
    for i in np.flatnonzero(labels[:, 0] == 1):
        among = [j for j in range(n) if patients[j] != patients[i] and labels[j, 0] >= 0]
        cosine = {
            j: vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
            for j in among
        }
        nearest = sorted(among, key=lambda j: -cosine[j])[:5]
        wanted.append(np.mean(labels[nearest, 0] == 1))
        by_chance.append(np.mean(labels[among, 0] == 1))
    row = row_of(found, condition="x")
    assert row["precision_5"] == pytest.approx(np.mean(wanted))
    assert row["chance"] == pytest.approx(np.mean(by_chance))
    mean = np.mean(found.filter(pl.col("condition") != "all")["precision_5"].to_list())
    assert row_of(found, condition="all")["precision_5"] == pytest.approx(mean)
    nothing = precision(
        vectors, patients, labels * 0, ["x", "y"], encoder="e", sequence_set="t1", settings=ASKING
    )
    assert set(nothing["status"]) == {"not_evaluable"}


def mean_of(vectors, patients, labels, settings=SETTINGS):
    names = [f"c{i}" for i in range(labels.shape[1])]
    found = precision(vectors, patients, labels, names, encoder="e", sequence_set="t1", settings=settings)
    assert found.schema == PRECISION
    return found.row(by_predicate=pl.col("condition") == EVERY, named=True)


@pytest.fixture
def two_towns():
    """Studies of one patient each in two places; the first condition fills one, the second has one study in each.

    All that is near a study with the first has it, too; nothing near one with the second has.
    """
    vectors = np.repeat(np.eye(2), 10, axis=0)
    labels = np.zeros((20, 2), np.int8)
    labels[:10, 0] = 1
    labels[[0, 10], 1] = 1
    return vectors, [f"p{i:02d}" for i in range(20)], labels


def test_a_replicate_without_a_rare_condition_is_no_mean_of_the_others(two_towns):
    row = mean_of(*two_towns)
    draws = patient_draws(11, SETTINGS.bootstrap, [SETTINGS.seed])  # of those who ask
    assert (draws[:, [0, 10]].sum(axis=1) == 0).mean() > 0.05, "the rare one is missed often enough to show"
    assert [row[f"precision_5{end}"] for end in ("", "_low", "_high")] == [0.5, 0.5, 0.5]
    assert (row["n_conditions"], row["n_queries"], row["n_patients"]) == (2, 11, 11)


def test_the_interval_is_that_of_a_loop_over_whole_replicates():
    rng = np.random.default_rng(5)
    vectors, patients = rng.normal(size=(24, 3)), [f"p{i // 2:02d}" for i in range(24)]
    labels = (rng.random((24, 3)) < [0.5, 0.3, 0.12]).astype(np.int8)
    row = mean_of(vectors, patients, labels)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    hits = {}
    for i, c in np.argwhere(labels == 1).tolist():
        others = [j for j in range(24) if patients[j] != patients[i]]
        nearest = sorted(others, key=lambda j: -(unit[i] @ unit[j]))[:5]
        hits[i, c] = float(np.mean(labels[nearest, c]))
    asking = sorted({patients[i] for i, _ in hits})
    means = []
    for draw in patient_draws(len(asking), SETTINGS.bootstrap, [SETTINGS.seed]):
        times = dict(zip(asking, draw.tolist(), strict=True))
        of_condition = []
        for c in range(3):
            own = [(times[patients[i]], hit) for (i, k), hit in hits.items() if k == c]
            if sum(n for n, _ in own):
                of_condition.append(sum(n * hit for n, hit in own) / sum(n for n, _ in own))
        if len(of_condition) == 3:
            means.append(np.mean(of_condition))
    assert 0 < len(means) < SETTINGS.bootstrap
    low, high = np.percentile(means, INTERVAL)
    assert (row["precision_5_low"], row["precision_5_high"]) == pytest.approx((low, high))


def test_conditions_without_a_number_are_in_neither_and_the_row_says_how_many_are(two_towns):
    vectors, patients, labels = two_towns
    lone = np.zeros((20, 1), np.int8)
    lone[3] = 1  # of one patient: not evaluable
    with_lone = mean_of(vectors, patients, np.concatenate([labels, lone], axis=1))
    assert with_lone == mean_of(vectors, patients, labels)
    single = mean_of(vectors, patients, labels[:, :1])
    assert (single["n_conditions"], single["precision_5"]) == (1, 1.0)
    nothing = mean_of(vectors, patients, labels * 0)
    assert (nothing["status"], nothing["n_conditions"], nothing["precision_5"]) == ("not_evaluable", 0, None)


def test_without_a_whole_replicate_there_is_no_interval_rather_than_one_of_other_conditions(two_towns):
    vectors, patients, _ = two_towns
    labels = np.concatenate([np.eye(10, dtype=np.int8)] * 2)

    def whole(seed: int) -> int:
        return int(((patient_draws(20, 10, [seed]) @ labels) > 0).all(axis=1).sum())

    never, once = (next(seed for seed in range(1000) if whole(seed) == n) for n in (0, 1))
    row = mean_of(vectors, patients, labels, RetrievalSettings(bootstrap=10, seed=never))
    assert row["status"] == "evaluated"
    assert (row["precision_5_low"], row["precision_5_high"]) == (None, None)
    row = mean_of(vectors, patients, labels, RetrievalSettings(bootstrap=10, seed=once))
    assert row["precision_5_low"] == row["precision_5_high"] is not None
