"""Ranks, chance and intervals against plain loops and against permutations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from spine_models.encoder.clip.objective import Embedded
from spine_models.encoder.clip.retrieval import retrieval
from spine_models.encoder.clip.variants import Pair
from spine_models.findings.retrieval.ranking import (
    Part,
    chance,
    rank_pairs,
    ranked,
    score_retrieval,
    summary,
)
from tests.findings.retrieval.conftest import unit


def world(n=30, seed=0, dim=6):
    rng = np.random.default_rng(seed)
    a = unit(rng.normal(size=(n, dim)))
    return a, unit(a + rng.normal(size=(n, dim))), [f"p{i // 2}" for i in range(n)], np.arange(n) // 3


def test_ranks_are_those_of_a_loop():
    a, b, patients, alike = world()
    found = rank_pairs(a, b, patients, alike)
    for i in range(30):
        own = float(a[i] @ b[i])
        rivals = [j for j in range(30) if patients[j] != patients[i] and alike[j] != alike[i]]
        assert found.ranks[i] == 1 + sum(float(a[i] @ b[j]) > own for j in rivals)
        assert (found.rivals[i], found.answers[i]) == (len(rivals), 1)


@pytest.mark.parametrize("digits", [8, 0])
def test_they_agree_with_the_training_s_own_measure(digits):
    """Rounded to whole numbers most vectors are tied."""
    a, b, patients, alike = world()
    a, b = (2 * a).round(digits), (2 * b).round(digits)
    labels = torch.tensor([[int(p[1:]), 1000 + x] for p, x in zip(patients, alike.tolist(), strict=True)])
    there = torch.ones(30, dtype=torch.bool)
    both = Embedded({"t1": torch.tensor(a), "report": torch.tensor(b)}, {"t1": there, "report": there})
    row = retrieval(both, (Pair("t1", "report", 1.0),), labels).row(0, named=True)
    ours = score_retrieval(a, b, patients, alike, bootstrap=10)
    for name in (
        "recall_1",
        "recall_5",
        "median_rank",
        "chance_recall_1",
        "chance_recall_5",
        "chance_median_rank",
    ):
        assert ours[name] == pytest.approx(row[name]), name


def test_a_gallery_in_parts_gives_the_same_ranks():
    rng = np.random.default_rng(1)
    queries, gallery = unit(rng.normal(size=(7, 5))), unit(rng.normal(size=(60, 5)))
    kind = rng.integers(0, 3, size=(7, 60))  # 0: rival, 1: answer, 2: not there

    def parts(size):
        return lambda: [
            Part(gallery[s : s + size], kind[:, s : s + size] == 1, kind[:, s : s + size] == 0)
            for s in range(0, 60, size)
        ]

    who = list("abcdefg")
    whole, cut = ranked(queries, parts(60), who), ranked(queries, parts(7), who)
    for i in range(7):
        similar = gallery @ queries[i]
        best = similar[kind[i] == 1].max()
        assert whole.ranks[i] == 1 + (similar[kind[i] == 0] > best).sum()
    np.testing.assert_array_equal(whole.ranks, cut.ranks)


def test_a_collapsed_embedding_scores_chance():
    same = np.ones((11, 4)) / 2
    row = score_retrieval(same, same, [f"p{i}" for i in range(11)], bootstrap=10)
    assert row["median_rank"] == row["chance_median_rank"] == 6
    # Two answers among nine rivals, all equal: the first comes after 3 of 9 on average.
    answers = np.zeros((1, 11), bool)
    answers[0, :2] = True
    found = ranked(same[:1], lambda: [Part(same, answers, ~answers)], ["p"])
    assert found.ranks.tolist() == [1 + 9 / 3]


@pytest.mark.parametrize(("answers", "rivals"), [(1, 5), (2, 4), (3, 3), (1, 1), (4, 2)])
def test_chance_is_the_mean_over_all_orders(answers, rivals):
    firsts = [
        min(order.index(a) for a in range(answers)) + 1
        for order in itertools.permutations(range(answers + rivals))
    ]
    found = chance(np.array([answers]), np.array([rivals]))
    for k in (1, 5, 10):
        assert found[f"chance_recall_{k}"] == pytest.approx(np.mean([first <= k for first in firsts]))
    assert found["chance_median_rank"] == pytest.approx(np.mean(firsts))


def test_queries_without_rivals_do_not_count():
    a, b, _, _ = world(6)
    found = rank_pairs(a, b, list("aabbcc"), np.array([0, 1, 2, 3, 4, 5]))
    assert found.kept.all()
    alone = rank_pairs(a, b, ["a"] * 6)
    assert not alone.kept.any()
    row = summary(alone, n_gallery=6, bootstrap=10, seed=0)
    assert (row["status"], row["n_queries"]) == ("not_evaluable", 0)
    assert "recall_5" not in row
    assert score_retrieval(a[:1], b[:1], ["a"], bootstrap=10)["status"] == "not_evaluable"
    assert score_retrieval(np.zeros((0, 3)), np.zeros((0, 3)), [], bootstrap=10)["status"] == "not_evaluable"


def test_intervals_are_those_of_drawing_patients_one_by_one():
    a, b, patients, alike = world(24)
    found = rank_pairs(a, b, patients, alike)
    row = summary(found, n_gallery=24, bootstrap=4000, seed=3)
    rng = np.random.default_rng(0)
    names = sorted(set(patients))
    recalls, medians = [], []
    for _ in range(4000):
        drawn = rng.choice(names, len(names))
        ranks = np.concatenate([found.ranks[[p == name for p in patients]] for name in drawn])
        recalls.append((ranks <= 5).mean())
        medians.append(np.median(ranks))
    for name, values in (("recall_5", recalls), ("median_rank", medians)):
        low, high = np.percentile(values, (2.5, 97.5))
        assert row[f"{name}_low"] == pytest.approx(low, abs=0.06 if name == "recall_5" else 1.0)
        assert row[f"{name}_high"] == pytest.approx(high, abs=0.06 if name == "recall_5" else 1.0)


@pytest.mark.parametrize(
    ("above", "tied", "tied_answers"), [(0, 8, 1), (2, 4, 2), (4, 3, 1), (5, 2, 3), (1, 0, 1), (3, 0, 2)]
)
def test_ties_are_the_mean_over_all_orders(above, tied, tied_answers):
    """Ranks, hits and reciprocal ranks of a tied block against every order of it."""
    rivals = above + tied
    values = np.r_[np.full(above, 2.0), np.ones(tied), np.ones(tied_answers), 0.5]
    is_answer = np.r_[np.zeros(rivals, bool), np.ones(tied_answers + 1, bool)]
    found = ranked(np.ones((1, 1)), lambda: [Part(values[:, None], is_answer[None], ~is_answer[None])], ["p"])
    firsts = np.array(
        [
            above + min(order.index(a) for a in range(tied_answers)) + 1
            for order in itertools.islice(itertools.permutations(range(tied + tied_answers)), 400_000)
        ]
    )
    assert found.ranks[0] == pytest.approx(firsts.mean())
    assert found.reciprocal[0] == pytest.approx((1 / firsts).mean())
    for k in (1, 5, 10):
        assert found.hits(k)[0] == pytest.approx((firsts <= k).mean()), k


@pytest.mark.parametrize("n", [2, 5, 9, 11, 40])
def test_equal_vectors_recall_what_chance_does(n):
    """At every k: of nine equal vectors the mean rank is 5, but the answer is not always among the first five."""
    same = np.ones((n, 4)) / 2
    row = score_retrieval(same, same, [f"p{i}" for i in range(n)], bootstrap=10)
    for k in (1, 5, 10):
        assert row[f"recall_{k}"] == pytest.approx(row[f"chance_recall_{k}"]) == pytest.approx(min(1, k / n))
    assert row["mrr"] == pytest.approx((1 / np.arange(1, n + 1)).mean())
    assert row["median_rank"] == row["chance_median_rank"]
    assert (row["recall_5_low"], row["recall_5_high"]) == pytest.approx([row["recall_5"]] * 2)


def test_values_that_are_not_finite_are_refused():
    a, b, patients, _ = world(6)
    for broken in ((a * np.nan, b), (a, b * np.inf)):
        with pytest.raises(ValueError, match="not finite"):
            rank_pairs(*broken, patients)
