from __future__ import annotations

import math

import polars as pl
import pytest

from spine_models.encoder.backbone.health import health
from spine_models.encoder.backbone.tables import CURVES


def curves(dino=(2.7, 2.2, 1.9), ranks=(8.0, 7.0, 6.5), retrieval=(0.2, 0.9, 1.0), norms=(1.0, 1.0)):
    """K = 16: ln K is 2.77; chance of 8 probe slices is 0.125. The first row is the probe before training."""
    rows = [{"step": 0, "effective_rank": ranks[0], "view_retrieval": retrieval[0]}]
    n = 40
    for step in range(1, n + 1):
        share = step / n
        row = {
            "step": step,
            "dino": dino[0] + share * (dino[2] - dino[0]),
            "loss": 1.0,
            "grad_norm": norms[step % 2],
        }
        if step in (n // 2, n):
            row |= {"effective_rank": ranks[step // (n // 2)], "view_retrieval": retrieval[step // (n // 2)]}
        rows.append(row)
    return pl.DataFrame([dict.fromkeys(CURVES) | {"route": "t1"} | row for row in rows], schema=CURVES)


def verdicts(frame, settings):
    return {finding.name: finding.passed for finding in health(frame, settings)}


def test_a_good_run_passes_everything_with_its_bounds_as_data(settings):
    findings = {f.name: f for f in health(curves(), settings)}
    assert all(f.passed for f in findings.values())
    assert findings["dino_learns"].bound == pytest.approx(math.log(16) - 0.5)
    assert findings["dino_learns"].value == pytest.approx(1.91, abs=0.02)
    assert findings["views_found"].value == 1.0
    assert findings["no_step_skipped"].value == 0


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"dino": (2.77, 2.77, 2.76)}, "dino_learns"),
        ({"retrieval": (0.2, 0.5, 0.37)}, "views_found"),  # three times chance is 0.375
        ({"ranks": (8.0, 5.0, 1.5)}, "rank_kept"),
        ({"ranks": (8.0, 7.0, 5.0)}, "rank_kept"),
        ({"norms": (1.0, math.nan)}, "no_step_skipped"),
        ({"dino": (2.7, 2.7, math.nan)}, "dino_learns"),
    ],
)
def test_each_illness_is_found(settings, changes, failing):
    assert verdicts(curves(**changes), settings)[failing] is False


def test_empty_curves_pass_nothing_but_the_count(settings):
    found = verdicts(pl.DataFrame(schema=CURVES), settings)
    assert [name for name, passed in found.items() if passed] == ["no_step_skipped"]
