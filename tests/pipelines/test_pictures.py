"""Pictures are images of the right slices, and an empty table draws none."""

from __future__ import annotations

import base64
import io

import numpy as np
import polars as pl
from PIL import Image

from pipelines.runtime.pictures import brightest_patch, gate_plot, patch_sheet
from spine_models.encoder.synthesizer.tables import GATES


def picture(value) -> Image.Image:
    head = "![](data:image/png;base64,"
    assert value.value.startswith(head)
    return Image.open(io.BytesIO(base64.b64decode(value.value.removeprefix(head)[:-1])))


def test_the_patch_that_is_compared_is_tissue_and_not_the_edge():
    image = np.zeros((32, 32), np.uint16)
    image[:4] = 65535  # a bright border
    image[17:23, 9:15] = 40000
    assert brightest_patch(image, (8, 8)) in {(4, 2), (5, 3), (5, 2), (4, 3)}


def test_a_sheet_has_a_row_for_every_slice():
    rng = np.random.default_rng(0)
    heights = []
    for n in (1, 3):
        images = rng.integers(0, 65536, (n, 32, 32)).astype(np.uint16)
        before, after = rng.normal(size=(2, n, 4, 4, 8)).astype(np.float32)
        heights.append(picture(patch_sheet(images, before, after)).height)
    assert heights[1] > 2 * heights[0]


def test_gates_are_drawn_and_no_gates_are_said():
    rows = [
        (series, contrast, layer, 0.25, 0.75, 3)
        for series, contrast in (("a", "T1"), ("b", None))
        for layer in (0, 1)
    ]
    assert picture(gate_plot(pl.DataFrame(rows, schema=GATES, orient="row"))).width > 300
    assert gate_plot(pl.DataFrame(schema=GATES)).value == "no gates"
