"""Figures of the retrieval are pictures, also of little, and say so where there is nothing."""

from __future__ import annotations

import base64

import numpy as np
import polars as pl

from pipelines.runtime.figures.retrieval import FoundSlice, recall_plot, slice_sheet
from spine_models.findings.retrieval.tables import SCORES


def is_png(value: object) -> bool:
    return base64.b64decode(value.value.split("base64,")[1][:-1]).startswith(b"\x89PNG")


def row(task: str, **changes: object) -> list[object]:
    known = {name: 0.5 for name, kind in SCORES.items() if kind == pl.Float64}
    own = {
        "task": task,
        "encoder": "clip-tri_modal",
        "query": "t1",
        "gallery": "report",
        "sequence_set": "t1",
    }
    values = known | own | {"status": "evaluated", "n_queries": 3} | changes
    return [values.get(name) for name in SCORES]


def test_recall_is_drawn_for_the_tasks_that_have_numbers():
    absent = dict.fromkeys((name for name, kind in SCORES.items() if kind == pl.Float64), None)
    rows = [
        row("image_to_report"),
        row("image_to_report", encoder="pixel_pca+linear"),
        row("report_to_image", query="report", gallery="t1"),
        row("orientation", query="sagittal", gallery="axial", status="not_evaluable", **absent),
    ]
    assert is_png(recall_plot(pl.DataFrame(rows, schema=SCORES, orient="row")))
    assert recall_plot(pl.DataFrame(schema=SCORES)).value == "nothing was evaluated"


def test_slices_are_drawn_beside_their_query():
    image = np.full((8, 8), 30000, np.uint16)
    found = {
        "canal": [FoundSlice(image, 0.5, True), FoundSlice(image, 0.4, None)],
        "cyst": [FoundSlice(image, 0.3, False)],
    }
    assert is_png(slice_sheet(found))
    assert slice_sheet({"canal": []}).value == "no text was asked for"
