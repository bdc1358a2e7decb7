"""Where the levels of a study lie on its sagittal slices.

Belongs here: levels in view, slices with their heights, which slice shows a side. Does not belong here: the ladder
(``localization.levels``), what is seen there (``views``).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
import polars as pl

from spine_models.domain import Plane
from spine_models.findings.localization.levels import LevelModel, View, name_of_disc, name_of_vertebra
from spine_models.findings.localization.rectangles import centres_mm

CENTRE: Final = "centre"
LEFT: Final = "left"
RIGHT: Final = "right"
PARTS: Final = (CENTRE, LEFT, RIGHT)
EDGE: Final = 0.03
"""A level nearer than this share of a slice to its upper or lower edge is not in view on it."""
TYPICAL: Final = 2.0
"""A side is shown on the slice nearest to so many times the distance from which on slices belong to it."""


def levels_in_view(view: View, model: LevelModel) -> dict[str, float]:
    """Height in the patient (LPS z, mm) of every level that the study's middle slice shows, from head to tail.

    Empty where the region is unknown or has no ladder.
    """
    ladder = model.ladders.get(view.region)
    if ladder is None:
        return {}
    heights = view.z_mm + ladder.heights_mm + ladder.shift_of(view)
    reach = (0.5 - EDGE) * view.edge_mm
    return {
        level: float(height)
        for place, height in zip(ladder.places, heights, strict=True)
        if (level := name_of_disc(place) or name_of_vertebra(place)) and abs(height - view.z_mm) < reach
    }


def sagittal_slices(slices: pl.DataFrame, studies: Collection[str]) -> pl.DataFrame:
    """Sagittal slices of these studies that have a place in the patient, with x_mm, top_mm and bottom_mm (LPS).

    Args:
        slices: shards.SLICES.
        studies: study keys.
    """
    rows = slices.filter(
        pl.col("plane") == Plane.SAGITTAL.value,
        pl.col("study_key").is_in(list(studies)),
        pl.col("pixel_spacing_mm").is_not_null(),
    )
    top, bottom = (centres_mm(rows, np.tile([0.5, down], (rows.height, 1))) for down in (0.0, 1.0))
    return rows.with_columns(
        x_mm=pl.Series((top[:, 0] + bottom[:, 0]) / 2, dtype=pl.Float64),
        top_mm=pl.Series(top[:, 2], dtype=pl.Float64),
        bottom_mm=pl.Series(bottom[:, 2], dtype=pl.Float64),
    ).filter(
        pl.all_horizontal(pl.col("x_mm", "top_mm", "bottom_mm").is_finite()),
        # A slice that is not upright has no level a row.
        (pl.col("top_mm") - pl.col("bottom_mm")).abs() > 1.0,
    )


def in_view(share: float) -> bool:
    """Whether a height in shares of a slice, from its upper edge, is in view on it."""
    return EDGE < share < 1 - EDGE


def showing(slices: pl.DataFrame, z_mm: float) -> pl.DataFrame:
    """Those of ``sagittal_slices`` that a height is in view on; series of one study may show different parts of it."""
    share = (z_mm - pl.col("top_mm")) / (pl.col("bottom_mm") - pl.col("top_mm"))
    return slices.filter((share > EDGE) & (share < 1 - EDGE))


def part_of(x_mm: float, midline_mm: float, lateral_mm: float) -> str:
    """Which part of a view a slice belongs to (LPS: x grows to the patient's left)."""
    away = x_mm - midline_mm
    return CENTRE if abs(away) < lateral_mm else LEFT if away > 0 else RIGHT


def shown_on(slices: pl.DataFrame, midline_mm: float, lateral_mm: float, route: str) -> dict[str, str | None]:
    """Slice key by part: the nearest to the midline, or to where a side typically is, of ``route`` if it has one.

    Args:
        slices: ``sagittal_slices`` of one study.
        midline_mm: its midline.
        lateral_mm: distance from which on slices belong to a side.
        route: preferred.
    """
    wanted = {CENTRE: 0.0, LEFT: TYPICAL * lateral_mm, RIGHT: -TYPICAL * lateral_mm}
    found: dict[str, str | None] = {}
    parts = [part_of(x, midline_mm, lateral_mm) for x in slices["x_mm"]]
    for part, away in wanted.items():
        near = slices.filter(pl.Series(parts, dtype=pl.String) == part).sort(
            pl.col("route") != route, (pl.col("x_mm") - midline_mm - away).abs(), "slice_key"
        )
        found[part] = near["slice_key"][0] if near.height else None
    return found
