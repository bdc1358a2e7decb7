"""Attribution's pictures are drawn of whatever there is to draw."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pipelines.runtime.figures.attribution import knockout_bars, saliency_curves, saliency_sheet
from spine_models.findings.attribution.boxes import Box
from spine_models.findings.attribution.judge import Example
from spine_models.findings.attribution.tables import KNOCKOUTS


def picture(metadata) -> np.ndarray:
    found = re.search(r"base64,([^)]+)\)", metadata.value)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB")).astype(int)


def test_a_sheet_shows_boxes_and_both_signs():
    found = np.zeros((4, 4))
    found[0, 0], found[3, 3] = 2.0, -2.0
    image = np.full((32, 32), 30000, np.uint16)
    shown = picture(saliency_sheet([Example("canal", "t2", image, {"tokens": found}, [Box(8, 8, 24, 20)])]))
    red, green, blue = shown[..., 0], shown[..., 1], shown[..., 2]
    assert ((green > 200) & (red < 100) & (blue < 100)).any(), "the box"
    assert (red - blue > 60).any(), "what speaks for the condition"
    assert (blue - red > 60).any(), "what speaks against it"
    black = Example("canal", "t2", np.zeros((32, 32), np.uint16), {"tokens": np.zeros((4, 4))}, [])
    assert picture(saliency_sheet([black])).size
    assert "no annotated slice" in saliency_sheet([]).value


def test_curves_are_drawn_and_none_is_said():
    curves = {
        (method, measure): (np.linspace(2.0, 1.0, 5), 4)
        for method in ("tokens", "random", "centre")
        for measure in ("deletion", "insertion")
    }
    assert picture(saliency_curves(curves)).std() > 0
    assert saliency_curves({}).value == "no slice was judged"


@pytest.mark.parametrize("after", [0.2, 0.9])
def test_bars_point_where_the_probability_goes(after):
    row = {
        "study_key": "s", "condition": "canal", "unit": "series", "key": "abcdef12", "route": "t2", "contrast": None,
        "probability_before": 0.5, "probability_after": after,
    }  # fmt: skip
    nothing = row | {"unit": "route", "key": "t2", "probability_after": None, "reason": "nothing is left"}
    shown = picture(knockout_bars(pl.DataFrame([row, nothing], schema=KNOCKOUTS)))
    red = (shown[..., 0] - shown[..., 2] > 80).sum()
    blue = (shown[..., 2] - shown[..., 0] > 80).sum()
    assert (red > blue) == (after > 0.5)
    assert (
        knockout_bars(pl.DataFrame([nothing], schema=KNOCKOUTS)).value == "no study has anything to leave out"
    )
