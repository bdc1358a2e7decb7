from __future__ import annotations

import statistics

import pytest
import torch

from spine_models.encoder.clip.objective import Embedded
from spine_models.encoder.clip.retrieval import ranks, retrieval
from spine_models.encoder.clip.variants import pairs


def test_ranks_by_hand():
    gallery = torch.eye(3)
    queries = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert ranks(queries, gallery).tolist() == [1, 2, 3]


def test_a_collapsed_embedding_scores_chance():
    assert ranks(torch.ones(5, 4), torch.ones(5, 4)).tolist() == [3.0] * 5


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
    """Ranks and numbers of rivals, one query after the other."""
    found, rivals = [], []
    for i, query in enumerate(queries):
        others = [j for j in range(len(gallery)) if j != i and not set(labels[i]) & set(labels[j])]
        similar = [float(query @ gallery[j]) for j in others]
        own = float(query @ gallery[i])
        found.append(1 + sum(s > own for s in similar) + sum(s == own for s in similar) / 2)
        rivals.append(len(others) + 1)
    return found, rivals


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
        found, rivals = slow(rows[row["query"]][both], rows[row["gallery"]][both], own[both].tolist())
        assert row["n"] == len(found)
        assert row["recall_1"] == pytest.approx(statistics.mean(f <= 1 for f in found))
        assert row["recall_5"] == pytest.approx(statistics.mean(f <= 5 for f in found))
        assert row["median_rank"] == pytest.approx(statistics.median(found))
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
    assert retrieval(Embedded(vectors, present), pairs("tri_modal"))["recall_1"].to_list() == [0.0] * 4
