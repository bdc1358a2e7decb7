"""What the heads of levels say of a batch, and the box that shows each place.

A place is shown on the slice of its part of the view: the middle slice, or one of the side that is meant. The box is
the mean box of the train annotations of the condition, where there are any, moved to the height of the level; else a
square of the same place. It says where to look, not how far a finding reaches.

Belongs here: the rows of ``tables.FINDINGS``. Does not belong here: probabilities (``heads``), what a draft makes of
them (``reporting.agents``).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.domain import Plane
from spine_models.findings.levelwise.heads import LevelHeads
from spine_models.findings.levelwise.places import CENTRE, LEFT, RIGHT
from spine_models.findings.levelwise.tables import FINDINGS
from spine_models.findings.localization import rectangles
from spine_models.findings.localization.models import Models
from spine_models.findings.localization.reading import MIDDLE_BOX
from spine_models.findings.localization.tokens import LocalizationError

SQUARE: Final = 0.15
"""Edge of a box in shares of the slice, where no annotation taught one."""


def judge(
    views: pl.DataFrame,
    slices: pl.DataFrame,
    heads: LevelHeads,
    models: Models,
    *,
    settings: LocalizationSettings,
) -> pl.DataFrame:
    """tables.FINDINGS of a batch, sorted by study, condition and rank.

    Args:
        views: tables.VIEWS of the batch.
        slices: shards.SLICES of the same studies.
        heads: of levels.
        models: of localization, for the boxes' size.
        settings: places that are published beside the flagged ones.

    Raises:
        LocalizationError: views of other versions than the heads were fitted on, views of slices that are not given,
            or vectors that are not finite.
    """
    said = heads.predict(views)
    ranked = said.sort(
        "study_key", "condition", "probability", "view", "side", descending=[False, False, True, False, False]
    ).with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("study_key", "condition"))
    kept = ranked.filter(pl.col("flagged") | (pl.col("rank") <= settings.levelwise.shown))
    part = pl.col("side").fill_null(CENTRE)
    shown = {CENTRE: "centre_slice", LEFT: "left_slice", RIGHT: "right_slice"}
    own = views.drop("centre", "left", "right", "study_key", "level").with_row_index("view")
    rows = kept.join(own, on="view", how="left", maintain_order="left").with_columns(
        slice_key=pl.coalesce(
            *(pl.when(part == name).then(pl.col(column)) for name, column in shown.items()),
            # Where no slice of the part shows the level, another of the study does.
            *shown.values(),
        )
    )
    known = slices.drop("batch_key", "patient_key", "study_key", "region", "preprocessing_version", "split")
    rows = rows.join(known, on="slice_key", how="left", maintain_order="left")
    if rows["series_key"].null_count() and rows.height:
        raise LocalizationError(
            "views of levels name slices that shards/slices lacks: materialise localization/level_views of this"
            " batch again"
        )
    return _with_boxes(rows, heads, models)


def _with_boxes(rows: pl.DataFrame, heads: LevelHeads, models: Models) -> pl.DataFrame:
    if rows.is_empty():
        return pl.DataFrame(schema=FINDINGS)
    boxes = np.stack([_box(models, condition) for condition in rows["condition"]])
    top, bottom = (
        rectangles.centres_mm(rows, np.tile([0.5, down], (rows.height, 1)))[:, 2] for down in (0.0, 1.0)
    )
    boxes[:, 1] = (rows["z_mm"].to_numpy() - top) / (bottom - top)
    boxes = rectangles.clipped(boxes)
    source = rectangles.to_source(rows, boxes)
    centres = rectangles.centres_mm(rows, boxes[:, :2])
    return (
        rows.with_columns(
            **{name: pl.Series(source[:, n]) for n, name in enumerate("xywh")},
            centre_mm=pl.Series(
                [list(at) if np.isfinite(at).all() else None for at in centres], dtype=pl.List(pl.Float64)
            ),
            level_uncertain=~pl.col("settled"),
            heads_version=pl.lit(heads.version),
        )
        .select(*FINDINGS)
        .cast(dict(FINDINGS))
    )


def _box(models: Models, condition: str) -> np.ndarray:
    mean = models.mean_boxes.get((condition, Plane.SAGITTAL.value))
    return np.array([*MIDDLE_BOX[:2], SQUARE, SQUARE]) if mean is None else mean.astype(np.float64).copy()
