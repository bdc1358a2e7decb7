from __future__ import annotations

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
