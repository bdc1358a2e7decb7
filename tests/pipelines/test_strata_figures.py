"""Figures of the strata: a PNG where there are numbers, a sentence where there are none."""

from __future__ import annotations

import base64
import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pipelines.runtime.figures import strata as figures
from spine_models.findings.probes.strata import tables


def rows(schema: pl.Schema, *given: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in given], schema=schema)


def interval(name: str, value: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1}


DONE = {"status": "evaluated", "encoder": "spinefm", "sequence_set": "all", "evaluation": "test"}
VENDOR = {name: DONE[name] for name in ("status", "encoder", "sequence_set")}
CASES = {
    "vendors": (
        figures.vendor_heat_map,
        tables.VENDORS,
        [
            {
                **VENDOR,
                "train_vendor": "GE",
                "test_vendor": "GE",
                "category": "every",
                **interval("auroc", 0.8),
            },
            {**VENDOR, "train_vendor": "GE", "test_vendor": "Canon", "category": "every", "auroc": 0.5},
            {
                **VENDOR,
                "train_vendor": "all",
                "test_vendor": "GE",
                "category": "every",
                "status": "not_evaluable",
            },
        ],
    ),
    "contrasts": (
        figures.contrast_plot,
        tables.CONTRASTS,
        [
            {
                **DONE,
                "condition": "canal",
                "expected": "t2",
                "agreement": "agrees",
                **interval("difference", -0.2),
            },
            {**DONE, "condition": "pars", "expected": "either", "difference": 0.1},
        ],
    ),
    "conformal": (
        figures.coverage_plot,
        tables.CONFORMAL,
        [
            {
                **DONE,
                "condition": "canal",
                "nominal": 0.9,
                "abstained": 0.3,
                **interval("coverage_positive", 0.8),
            },
            {**DONE, "condition": "pars", "nominal": 0.9, "abstained": 1.0},
        ],
    ),
    "subgroups": (
        figures.subgroup_plot,
        tables.SUBGROUPS,
        [
            {**DONE, "dimension": "sex", "subgroup": "F", "condition": "mean", "n_patients": 9}
            | interval("difference", 0.1)
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers_become_a_picture(name):
    draw, schema, given = CASES[name]
    shown = draw(rows(schema, *[{k: v for k, v in row.items() if k in schema} for row in given]))
    data = shown.value.partition("base64,")[2].rstrip(")")
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    assert image.shape[0] > 80
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize("name", CASES)
def test_no_numbers_become_a_sentence(name):
    draw, schema, given = CASES[name]
    assert draw(rows(schema)).value == figures.NOTHING
    blank = rows(schema, *[{k: v for k, v in row.items() if k in schema} for row in given])
    assert draw(blank.with_columns(status=pl.lit("not_evaluable"))).value == figures.NOTHING
