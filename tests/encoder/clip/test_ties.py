"""Ties against every order of them, and against the plain answer where there are none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from spine_models.encoder.clip.ties import hits, mean_rank, mean_reciprocal, none_among


@pytest.mark.parametrize("above", [0, 1, 4])
@pytest.mark.parametrize(("tied", "tied_answers"), [(0, 1), (0, 3), (1, 1), (5, 1), (4, 2), (2, 3), (3, 3)])
def test_every_figure_is_the_mean_over_all_orders(above, tied, tied_answers):
    firsts = above + 1 + np.array(
        [
            min(order.index(answer) for answer in range(tied_answers))
            for order in itertools.permutations(range(tied + tied_answers))
        ]
    )  # fmt: skip
    counts = np.array([above]), np.array([tied]), np.array([tied_answers])
    assert mean_rank(*counts)[0] == pytest.approx(firsts.mean())
    assert mean_reciprocal(*counts)[0] == pytest.approx((1 / firsts).mean())
    for k in range(1, 12):
        assert hits(*counts, k)[0] == pytest.approx((firsts <= k).mean()), k


def test_without_ties_a_hit_is_one_or_nothing_exactly():
    above = np.arange(9)
    none, one = np.zeros(9, int), np.ones(9, int)
    assert mean_rank(above, none, one).tolist() == list(range(1, 10))
    for k in (1, 5):
        assert hits(above, none, one, k).tolist() == [float(a < k) for a in range(9)]


def test_hits_grow_with_the_places_and_never_leave_zero_to_one():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 6, 200), rng.integers(0, 50, 200), rng.integers(1, 5, 200)
    chances = np.stack([hits(*counts, k) for k in range(1, 70)])
    assert (np.diff(chances, axis=0) >= 0).all()
    assert (chances >= 0).all()
    assert (chances[-1] == 1).all()


def test_nothing_is_among_no_places_and_everything_is_among_all():
    rivals, answers = np.array([3, 3]), np.array([2, 2])
    assert none_among(rivals, answers, np.array([0, 4]), 4).tolist() == [1.0, 0.0]
