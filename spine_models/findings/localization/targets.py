"""Annotations as boxes on the slices that the encoders see.

A row of kind ``box`` is taken as it is. A row of kind ``point`` becomes a square around the point whose edge is a
length in the patient, by condition (setting ``point_edges_mm``); it is a finding only where the study's label of the
same condition, side and level has grade 1 or more, else it tells where a level lies and nothing more.

Belongs here: the box rule, the join to slices, what could not be used and why. Does not belong here: reading
annotation files (``corpus.archive``), learning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.domain import DISCS, VERTEBRAE, condition_keys
from spine_models.findings.localization import rectangles
from spine_models.findings.localization.tables import TARGETS

LEVELS = {name: float(n) for n, name in enumerate(VERTEBRAE)} | {
    disc: n + 1.5 for n, disc in enumerate(DISCS)
}
"""Place of every level along the spine: C1 is 0, the disc below vertebra n is n + 0.5."""


@dataclass(frozen=True)
class Targets:
    """``frame`` as ``tables.TARGETS``; ``lost`` counts annotations that could not be used, by condition and reason."""

    frame: pl.DataFrame
    lost: pl.DataFrame


def build_targets(
    annotations: pl.DataFrame, slices: pl.DataFrame, splits: pl.DataFrame, *, settings: LocalizationSettings
) -> Targets:
    """Boxes of every usable point and box.

    Args:
        annotations: deid.ANNOTATIONS of any number of batches.
        slices: shards.SLICES; the series that are annotated are enough.
        splits: patient_key and split (shards.SPLITS). The patient's split counts, not the slice's: a third-party
            series without a stated region is ``outside`` for the encoders, and its points are still somebody's.
        settings: the point rule.

    Raises:
        ValueError: a condition that is none of the versioned list.
    """
    rows = _placed_rows(annotations)
    unknown = sorted(set(rows["condition"].drop_nulls()) - set(condition_keys()))
    if unknown:
        raise ValueError(f"annotations of condition {unknown[0]!r}: it is not in conditions.yaml")
    rows = _with_grades(rows, annotations)
    at = slices.select(
        "batch_key", "patient_key", "study_key", "series_key", "slice_key", "instance_key", "frame",
        "slice_index", "route", "plane", "region", *rectangles.GEOMETRY, "source_rows", "source_columns",
        "output_spacing_mm",
    ).join(splits.select("patient_key", "split").unique(), on="patient_key", how="left")  # fmt: skip
    joined = rows.join(
        at, on=["instance_key", "frame"], how="left", suffix="_slice", maintain_order="left"
    ).with_columns(pl.col("frame").fill_null(0))
    finite = pl.all_horizontal(pl.col(name).is_finite().fill_null(False) for name in ("x", "y"))
    sized = pl.all_horizontal((pl.col(n).is_finite() & (pl.col(n) > 0)).fill_null(False) for n in ("w", "h"))
    is_box = pl.col("kind") == "box"
    spaced = (pl.col("output_spacing_mm") > 0).fill_null(False)
    joined = joined.with_columns(
        pl.when(~finite | (is_box & ~sized))
        .then(pl.lit("not a number"))
        .when(pl.col("slice_key").is_null())
        .then(pl.lit("its slice is in no shard"))
        .when(~is_box & ~spaced)
        .then(pl.lit("its slice has no pixel spacing"))
        .alias("_reason")
    )
    usable = joined.filter(pl.col("_reason").is_null())
    lost = [joined.filter(pl.col("_reason").is_not_null()).select("condition", reason="_reason")]
    boxes = rectangles.clipped(_boxes(usable, settings))
    on_slice = (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
    lost.append(usable.filter(~pl.Series(on_slice)).select("condition", reason=pl.lit("outside its slice")))
    usable, boxes = usable.filter(pl.Series(on_slice)), boxes[on_slice]
    places = rectangles.centres_mm(usable, boxes[:, :2])
    frame = usable.drop("batch_key", "patient_key", "study_key", "series_key").rename(
        {f"{name}_key_slice": f"{name}_key" for name in ("batch", "patient", "study", "series")}
    )
    frame = frame.with_columns(
        positive=(is_box & (pl.col("grade").is_null() | (pl.col("grade") > 0)))
        | (pl.col("grade") > 0).fill_null(False),
        **{
            name: pl.Series(name, boxes[:, n], dtype=pl.Float64)
            for n, name in enumerate(("cx", "cy", "bw", "bh"))
        },
        **{f"{axis}_mm": pl.Series(places[:, n], dtype=pl.Float64) for n, axis in enumerate("xyz")},
    ).with_columns(pl.col("x_mm", "y_mm", "z_mm").fill_nan(None))
    order = ["patient_key", "study_key", "slice_key", "condition", "side", "level", "cx", "cy"]
    return Targets(
        frame.select(*TARGETS).sort(order, nulls_last=True),
        pl.concat(lost).group_by("condition", "reason").len("n").sort("condition", "reason"),
    )


def boxes_of(targets: pl.DataFrame) -> np.ndarray:
    """Boxes float64 [N, 4] of rows of TARGETS."""
    return targets.select("cx", "cy", "bw", "bh").to_numpy().astype(np.float64).reshape(-1, 4)


def _placed_rows(annotations: pl.DataFrame) -> pl.DataFrame:
    """Points and boxes; annotations of before there were boxes have no frame, width and height."""
    absent = {"frame": pl.Int32, "w": pl.Float64, "h": pl.Float64}
    for name, dtype in absent.items():
        if name not in annotations.columns:
            annotations = annotations.with_columns(pl.lit(None, dtype=dtype).alias(name))
    return (
        annotations.filter(pl.col("kind").is_in(["point", "box"]))
        .drop("description", strict=False)
        .with_columns(pl.col("frame").fill_null(0))
    )


def _with_grades(rows: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    keys = ["study_key", "condition", "side", "level"]
    labels = annotations.filter(kind="label").group_by(keys).agg(pl.col("grade").max().alias("_grade"))
    joined = rows.join(labels, on=keys, how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(
        grade=pl.when(pl.col("kind") == "point")
        .then(pl.coalesce("grade", "_grade"))
        .otherwise(pl.col("grade"))
    ).drop("_grade")


def _boxes(rows: pl.DataFrame, settings: LocalizationSettings) -> np.ndarray:
    """Boxes [N, 4] of usable rows; a point's pixel has its centre at whole numbers, as its site wrote it."""
    is_point = (rows["kind"] == "point").to_numpy()
    given = rows.select("x", "y", "w", "h").to_numpy().astype(np.float64).reshape(-1, 4)
    given[is_point, :2] += 0.5
    given[is_point, 2:] = 0.0
    boxes = rectangles.from_source(rows, given)
    edges = np.array(
        [settings.point_edges_mm.get(c, settings.point_edge_mm) for c in rows["condition"]], dtype=np.float64
    )
    spacing = rows["output_spacing_mm"].cast(pl.Float64).to_numpy()
    shares = edges / spacing / rows["size_px"].to_numpy()
    boxes[is_point, 2:] = shares[is_point, None]
    return boxes
