"""An alignment is judged against chance, on held-out studies."""

from __future__ import annotations

import math

import polars as pl
import pytest

from spine_models.encoder.clip.health import clip_health
from spine_models.encoder.clip.tables import CURVES, RETRIEVAL

CHANCE = {"chance_recall_1": 0.05, "chance_recall_5": 0.25, "chance_median_rank": 10.5}


def retrieval(*rows: tuple[int, float, float]) -> pl.DataFrame:
    wide = [
        dict.fromkeys(RETRIEVAL)
        | {"query": "t1", "gallery": "report", "n": n, "recall_5": r, "median_rank": m}
        | CHANCE
        for n, r, m in rows
    ]
    return pl.DataFrame(wide, schema=RETRIEVAL)


def curves(norm: float = 1.0) -> pl.DataFrame:
    return pl.DataFrame([dict.fromkeys(CURVES) | {"step": 1, "grad_norm": norm}], schema=CURVES)


def failed(*frames: pl.DataFrame) -> set[str]:
    return {finding.name for finding in clip_health(*frames) if not finding.passed}


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([(20, 0.5, 4.0), (20, 0.4, 6.0)], set()),
        ([(20, 0.3, 6.0)], {"pairs_are_found"}),
        ([(20, 0.25, 10.5)], {"pairs_are_found", "ranks_above_chance"}),
        ([(0, 0.0, 0.0)], {"pairs_are_found", "ranks_above_chance"}),
        ([(20, 0.5, 4.0), (0, 0.0, 99.0)], set()),
    ],
)
def test_held_out_pairs_must_beat_chance(rows, wanted):
    assert failed(curves(), retrieval(*rows)) == wanted


def test_skipped_steps_and_empty_frames_are_named():
    assert failed(curves(math.nan), retrieval((20, 0.5, 4.0))) == {"no_step_skipped"}
    assert failed(pl.DataFrame(schema=CURVES), pl.DataFrame(schema=RETRIEVAL)) == {
        "pairs_are_found",
        "ranks_above_chance",
    }
