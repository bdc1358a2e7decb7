"""A training is judged by what was held out, where anything was."""

from __future__ import annotations

import math

import polars as pl

from spine_models.reporting.llava.health import llava_health
from spine_models.reporting.llava.tables import CURVES


def curves(losses, held_out=(), norm=1.0):
    rows = [
        {"step": i, "loss": loss, "grad_norm": norm, "val_loss": held_out[i] if i < len(held_out) else None}
        for i, loss in enumerate(losses)
    ]
    return pl.DataFrame([dict.fromkeys(CURVES) | row for row in rows], schema=CURVES)


def passed(frame):
    return {finding.name: finding.passed for finding in llava_health(frame)}


def test_losses_of_held_out_reports_decide():
    assert passed(curves([3.0, 2.0, 4.0], [3.0, None, 2.5]))["loss_falls"]
    assert not passed(curves([3.0, 2.0, 1.0], [3.0, None, 3.5]))["loss_falls"]


def test_without_any_the_steps_own_decide():
    assert passed(curves([3.0, 2.0, 1.0]))["loss_falls"]
    assert not passed(curves([1.0, 2.0, 3.0]))["loss_falls"]


def test_nothing_trained_passes_nothing_and_bad_steps_are_told():
    assert passed(pl.DataFrame(schema=CURVES)) == {"loss_falls": False, "no_step_skipped": True}
    assert not passed(curves([3.0, 2.0], norm=math.nan))["no_step_skipped"]
