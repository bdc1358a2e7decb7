"""Recall of several vectors of the same studies: the same queries, the same draws, nothing gained over nothing."""

from __future__ import annotations

import numpy as np
import pytest

from spine_models.findings.retrieval.paired import Sides, paired_hits, paired_recall
from spine_models.findings.retrieval.ranking import drawn_queries, rank_pairs, score_retrieval
from tests.findings.retrieval.conftest import unit


def world(n=40, seed=5):
    rng = np.random.default_rng(seed)
    reports = unit(rng.normal(size=(n, 6)))
    near, far = (unit(reports + noise * rng.normal(size=reports.shape)) for noise in (0.3, 1.5))
    return reports, near, far, [f"p{i // 2}" for i in range(n)], np.arange(n)


def test_values_are_those_of_each_alone_and_differences_those_of_a_loop_over_the_same_draws():
    reports, near, far, patients, alike = world()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    rows = paired_recall(
        {"b": Sides(far, reports), "a": Sides(near @ turn, reports @ turn), "ours": Sides(near, reports)},
        "ours", patients, alike, bootstrap=200, seed=3,
    )  # fmt: skip
    assert [row.variant for row in rows] == ["ours", "a", "b"]
    ours, same, worse = rows
    for row, images in ((ours, near), (worse, far)):
        alone = score_retrieval(images, reports, patients, alike, bootstrap=200, seed=3)
        assert (row.value, row.low, row.high) == pytest.approx(
            (alone["recall_5"], alone["recall_5_low"], alone["recall_5_high"])
        )
        assert (row.n_queries, row.n_patients) == (40, 20)
    # Another basis is no other space: what a draw of patients costs one it costs the other.
    assert (same.difference, same.difference_low, same.difference_high) == (0.0, 0.0, 0.0)
    assert (same.relative_gain, same.relative_gain_low, same.relative_gain_high) == (0.0, 0.0, 0.0)
    mine, theirs = (rank_pairs(v, reports, patients, alike).ranks <= 5 for v in (near, far))
    apart, gains = [], []
    for row in drawn_queries(np.array(patients, dtype=object), 200, 3):
        asked = np.repeat(np.arange(40), row)
        apart.append(mine[asked].mean() - theirs[asked].mean())
        gains.append(mine[asked].mean() / theirs[asked].mean() - 1)
    assert worse.difference == pytest.approx(mine.mean() - theirs.mean())
    assert (worse.difference_low, worse.difference_high) == pytest.approx(np.percentile(apart, (2.5, 97.5)))
    assert worse.relative_gain == pytest.approx(mine.mean() / theirs.mean() - 1)
    assert (worse.relative_gain_low, worse.relative_gain_high) == pytest.approx(
        np.percentile(gains, (2.5, 97.5))
    )
    assert (ours.difference, ours.relative_gain, ours.reason) == (None, None, None)


def test_nothing_is_gained_over_nothing():
    n = 12
    who, alike = [str(i) for i in range(n)], np.arange(n)
    found, nothing = Sides(np.eye(n), np.eye(n)), Sides(np.eye(n), -np.eye(n))
    row = paired_recall({"ours": found, "x": nothing}, "ours", who, alike, bootstrap=20)[1]
    assert (row.value, row.difference, row.difference_low) == (0.0, 1.0, 1.0)
    assert (row.relative_gain, row.relative_gain_low, row.relative_gain_high) == (None, None, None)
    assert "nothing" in row.reason
    row = paired_recall({"ours": nothing, "x": nothing}, "ours", who, alike, bootstrap=20)[1]
    assert (row.difference, row.relative_gain) == (0.0, None)


def test_replicates_in_which_the_other_finds_nothing_are_left_out():
    """One of three patients is found by the other: 8 in 27 draws are without it, and none of them is a gain."""
    n = 3
    who = [str(i) for i in range(n)]
    ours = rank_pairs(np.eye(n), np.eye(n), who)
    others = np.eye(n)
    others[1:] *= -1
    ranked = {"ours": ours, "x": rank_pairs(others, np.eye(n), who)}
    row = paired_hits(ranked, "ours", k=1, bootstrap=2000, seed=0)[1]
    assert row.relative_gain == pytest.approx(2.0)
    assert (row.relative_gain_low, row.relative_gain_high) == (0.0, 2.0)
    assert row.reason is None


def test_other_queries_are_refused():
    reports, near, far, patients, alike = world()
    ours = rank_pairs(near, reports, patients, alike)
    fewer = ours.only(np.arange(40) < 20)
    with pytest.raises(ValueError, match="both have"):
        paired_hits({"ours": ours, "x": fewer}, "ours", k=5, bootstrap=10, seed=0)
    with pytest.raises(ValueError, match="same studies"):
        paired_recall(
            {"ours": Sides(near, reports), "x": Sides(far[:20], reports[:20])}, "ours", patients, alike
        )
    with pytest.raises(ValueError, match="give it too"):
        paired_recall({"x": Sides(near, reports)}, "ours", patients, alike)


def test_one_patient_has_a_reason_and_no_value():
    reports, near, far, _, alike = world(6)
    rows = paired_recall(
        {"ours": Sides(near, reports), "x": Sides(far, reports)}, "ours", ["p"] * 6, alike, bootstrap=10
    )
    assert {(row.value, row.difference, row.n_queries) for row in rows} == {(None, None, 0)}
    assert {row.reason for row in rows} == {"no query has an answer and a rival"}
