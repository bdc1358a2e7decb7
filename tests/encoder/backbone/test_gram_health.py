"""The anchoring is judged by its Gram loss and by what it must not lose."""

from __future__ import annotations

import math

import polars as pl
import pytest

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.gram_health import gram_health
from spine_models.encoder.backbone.tables import CURVES

SETTINGS = BackboneSettings(prototypes=128)


def curves(**changes: object) -> pl.DataFrame:
    steps = range(21)
    columns = {
        "gram": [None, *(0.1 - 0.002 * s for s in steps[1:])],
        "dino": [None, *([3.0] * 20)],
        "grad_norm": [None, *([1.0] * 20)],
        "view_retrieval": [0.5, *([None] * 19), 0.45],
        "effective_rank": [20.0, *([None] * 19), 18.0],
    } | changes
    rows = [dict.fromkeys(CURVES) | {"route": "t1", "step": s} for s in steps]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return pl.DataFrame(rows, schema=CURVES)


def failed(frame: pl.DataFrame) -> set[str]:
    return {finding.name for finding in gram_health(frame, SETTINGS) if not finding.passed}


def test_a_good_run_passes():
    assert failed(curves()) == set()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"gram": [None, *(0.1 + 0.001 * s for s in range(20))]}, "gram_falls"),
        ({"gram": [None, *([0.1] * 20)]}, "gram_falls"),
        ({"dino": [None, *([4.6] * 20)]}, "dino_kept"),
        ({"view_retrieval": [0.5, *([None] * 19), 0.39]}, "views_still_found"),
        ({"effective_rank": [20.0, *([None] * 19), 15.0]}, "rank_kept"),
        ({"grad_norm": [None, *([1.0] * 19), math.nan]}, "no_step_skipped"),
    ],
)
def test_each_loss_is_named(changes, name):
    assert failed(curves(**changes)) == {name}


def test_a_stage_that_did_not_run_passes_nothing_but_the_last():
    empty = pl.DataFrame(schema=CURVES)
    assert failed(empty) == {"gram_falls", "dino_kept", "views_still_found", "rank_kept"}
