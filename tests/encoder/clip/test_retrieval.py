from __future__ import annotations

import itertools
import math
import statistics

import polars as pl
import pytest
import torch

from spine_models.encoder.clip.health import clip_health
from spine_models.encoder.clip.objective import Embedded
from spine_models.encoder.clip.retrieval import retrieval, standing
from spine_models.encoder.clip.tables import CURVES, RETRIEVAL
from spine_models.encoder.clip.variants import Pair, pairs


def test_counts_by_hand():
    gallery = torch.eye(3)
    queries = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 2.0, 2.0]])
    above, tied = standing(queries, gallery)
    assert (above.tolist(), tied.tolist()) == ([0, 1, 0], [0, 0, 1])


def of(left, right, alike=None):
    """Both directions of one pair of modalities that all studies have."""
    there = torch.ones(len(left), dtype=torch.bool)
    both = Embedded({"t1": left, "report": right}, {"t1": there, "report": there})
    return retrieval(both, (Pair("t1", "report", 1.0),), alike).to_dicts()


def by_all_orders(queries, gallery):
    """Recall at 1 and 5 and the median of mean ranks, every query sorted in every order of the gallery."""
    hits, ranks = {1: [], 5: []}, []
    for i, query in enumerate(queries.tolist()):
        similar = [sum(a * b for a, b in zip(query, row, strict=True)) for row in gallery.tolist()]
        places = [
            sorted(order, key=lambda j: -similar[j]).index(i) + 1
            for order in itertools.permutations(range(len(similar)))
        ]
        ranks.append(statistics.mean(places))
        for k, found in hits.items():
            found.append(statistics.mean(place <= k for place in places))
    return statistics.mean(hits[1]), statistics.mean(hits[5]), statistics.median(ranks)


@pytest.mark.parametrize("seed", range(3))
def test_equal_similarities_are_the_mean_over_all_orders(seed):
    generator = torch.Generator().manual_seed(seed)
    # Whole numbers of few values: ties of every size, some with the answer and some not.
    left, right = torch.randint(-1, 2, (2, 7, 2), generator=generator).double()
    for row, (queries, gallery) in zip(of(left, right), ((left, right), (right, left)), strict=True):
        found = row["recall_1"], row["recall_5"], row["median_rank"]
        assert found == pytest.approx(by_all_orders(queries, gallery))


@pytest.mark.parametrize("n", [2, 5, 9, 11, 40])
def test_a_collapsed_embedding_scores_chance(n):
    """At every k: of nine equal vectors the mean rank is 5, but the answer is not always among the first five."""
    generator = torch.Generator().manual_seed(n)
    same = torch.nn.functional.normalize(torch.randn(1, 16, generator=generator), dim=1).expand(n, 16)
    for row in of(same, same):
        assert row["recall_1"] == pytest.approx(1 / n) == pytest.approx(row["chance_recall_1"])
        assert row["recall_5"] == pytest.approx(min(1, 5 / n)) == pytest.approx(row["chance_recall_5"])
        assert row["median_rank"] == row["chance_median_rank"] == (n + 1) / 2


def test_a_collapsed_embedding_of_nine_is_not_healthy():
    found = pl.DataFrame(of(torch.ones(9, 4), torch.ones(9, 4)), schema=RETRIEVAL)
    health = {finding.name: finding.passed for finding in clip_health(pl.DataFrame(schema=CURVES), found)}
    assert (health["pairs_are_found"], health["ranks_above_chance"]) == (False, False)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_found_by_chance_and_hides_nobody(broken):
    rows = torch.eye(6)
    for row in of(rows * broken, rows * broken):
        assert (row["recall_1"], row["recall_5"]) == pytest.approx((1 / 6, 5 / 6))
        assert row["median_rank"] == row["chance_median_rank"]
    some = rows.clone()
    some[4:] = broken
    # Four find themselves. Two that ask with nothing find by chance; two that are nothing stand behind the others.
    asked, sought = (row["recall_1"] for row in of(some, rows))
    assert (asked, sought) == pytest.approx((4 / 6 + 2 / 36, 4 / 6))


def test_both_directions_of_every_pair_among_those_that_have_both():
    rows = torch.eye(7)
    present = {
        "t1": torch.arange(7) < 6,
        "t2": torch.zeros(7, dtype=torch.bool),
        "report": torch.arange(7) > 0,
    }
    vectors = {"t1": rows, "t2": rows, "report": rows}
    found = retrieval(Embedded(vectors, present), pairs("tri_modal")).to_dicts()
    assert [(r["query"], r["gallery"], r["n"]) for r in found] == [
        ("t1", "report", 5),
        ("report", "t1", 5),
        ("t2", "report", 0),
        ("report", "t2", 0),
    ]
    assert found[0]["recall_1"] == 1.0
    assert found[0]["chance_recall_1"] == pytest.approx(0.2)
    assert found[0]["chance_recall_5"] == 1.0
    assert (found[0]["median_rank"], found[0]["chance_median_rank"]) == (1.0, 3.0)
    assert found[2]["recall_1"] is None


def slow(queries, gallery, labels):
    """Places that an answer may have and numbers of rivals, one query after the other."""
    places, rivals = [], []
    for i, query in enumerate(queries):
        others = [j for j in range(len(gallery)) if j != i and not set(labels[i]) & set(labels[j])]
        similar = [float(query @ gallery[j]) for j in others]
        own = float(query @ gallery[i])
        first = 1 + sum(s > own for s in similar)
        places.append(range(first, first + 1 + sum(s == own for s in similar)))
        rivals.append(len(others) + 1)
    return places, rivals


def test_studies_that_are_alike_do_not_compete():
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([[i // 2, 100 + i % 5] for i in range(12)])
    present = {n: torch.arange(12) != k for n, k in (("t1", 3), ("t2", 12), ("report", 12))}
    # Eighths, so that products and sums are exact and ties are ties.
    rows = {n: torch.randint(-8, 9, (12, 3), generator=generator).double() / 8 for n in present}
    table = retrieval(Embedded(rows, present), pairs("tri_modal", image_image_weight=1.0), labels).to_dicts()
    for row in table:
        own = labels if "report" in (row["query"], row["gallery"]) else labels[:, :1]
        both = present[row["query"]] & present[row["gallery"]]
        places, rivals = slow(rows[row["query"]][both], rows[row["gallery"]][both], own[both].tolist())
        assert row["n"] == len(places)
        for k in (1, 5):
            share = [sum(place <= k for place in each) / len(each) for each in places]
            assert row[f"recall_{k}"] == pytest.approx(statistics.mean(share))
        assert row["median_rank"] == pytest.approx(statistics.median(statistics.mean(p) for p in places))
        assert row["chance_recall_1"] == pytest.approx(statistics.mean(1 / m for m in rivals))
        assert row["chance_recall_5"] == pytest.approx(statistics.mean(min(5 / m, 1) for m in rivals))
        assert row["chance_median_rank"] == pytest.approx(statistics.median((m + 1) / 2 for m in rivals))


def test_a_report_under_every_study_is_a_right_answer_for_each():
    vectors = {"t1": torch.eye(4), "t2": torch.eye(4), "report": torch.ones(4, 4)}
    present = dict.fromkeys(vectors, torch.ones(4, dtype=torch.bool))
    same = torch.tensor([[i, 0] for i in range(4)])
    told = retrieval(Embedded(vectors, present), pairs("tri_modal"), same)
    assert told["recall_1"].to_list() == [1.0] * 4
    assert told["chance_recall_1"].to_list() == [1.0] * 4
    # Without labels the four equal reports stand in random order.
    assert retrieval(Embedded(vectors, present), pairs("tri_modal"))["recall_1"].to_list() == [0.25] * 4
