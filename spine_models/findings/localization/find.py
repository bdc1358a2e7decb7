"""The 17 localization agents at work: where in a study the conditions that it may have are to be seen.

Belongs here: which studies and slices are searched, the rows of ``tables.FINDINGS``. Does not belong here: fitting,
whether a condition is there (``probes``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.domain import Side, condition_keys
from spine_models.findings.localization import rectangles
from spine_models.findings.localization.cohort import Pool
from spine_models.findings.localization.level_fit import features_of, view_rows, views_of
from spine_models.findings.localization.levels import LevelModel, View
from spine_models.findings.localization.models import Models
from spine_models.findings.localization.reading import MODEL, SUPERVISED, WEAK, Reader, best_slices
from spine_models.findings.localization.slices import with_extent
from spine_models.findings.localization.tables import FINDINGS
from spine_models.findings.localization.tokens import LocalizationError, Sources
from spine_models.findings.localization.versions import check_same_preprocessing
from spine_models.findings.localization.weak import check_heads, weak_heads
from spine_models.findings.probes.heads import Heads


def find(
    slices: pl.DataFrame,
    vectors: pl.DataFrame,
    studies: pl.DataFrame,
    models: Models,
    heads: Heads,
    sources: Sources,
    *,
    settings: LocalizationSettings,
    points: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """tables.FINDINGS of one batch.

    Every study is searched for every condition whose probability is at least ``min_probability`` or the condition's
    operating point, whichever is lower: whatever a draft may name. Conditions with heads of annotations are searched by
    those, the others by the probes' heads and marked ``weak``. A study has no row for a condition where none of its
    series is of a route and plane that the heads know.

    Args:
        slices: shards.SLICES of the batch.
        vectors: embeddings.SLICES of the batch.
        studies: embeddings.STUDIES of the batch.
        models: of localization.
        heads: of the probes.
        sources: encoders and shards of the batch.
        settings: caps and thresholds.
        points: probes.OPERATING_POINTS of these heads, or None for ``min_probability`` alone.

    Raises:
        LocalizationError: models or heads of other encoders or another preprocessing than the vectors, the slices or
            ``sources``; two of either in one route; vectors that are not finite; operating points of other heads.
    """
    models.check_encoders({route: encoder.version for route, encoder in sources.encoders.items()})
    models.check_rows(vectors)
    check_same_preprocessing(slices, vectors)
    check_heads(heads, vectors)
    asked = searched(heads.predict(studies), heads.version, points, settings)
    reader = Reader(models, weak_heads(heads), settings.weak_share)
    rows = with_extent(slices).join(
        vectors.select("slice_key", "model_version", "vector"), on="slice_key", how="inner"
    )
    chosen = _chosen(
        rows.sort("study_key", "series_key", "slice_index", "slice_key"), asked, reader, settings
    )
    if chosen.is_empty():
        return pl.DataFrame(schema=FINDINGS)
    views = _views(slices, set(chosen["study_key"]), models.levels, sources)
    found = _boxes(chosen, rows, reader, sources)
    return _finished(found, slices, views, models, heads, settings)


def searched(
    predictions: pl.DataFrame, heads_version: str, points: pl.DataFrame | None, settings: LocalizationSettings
) -> pl.DataFrame:
    """The rows of ``predictions`` (study_key, condition, sequence_set, probability) whose studies are searched.

    Raises:
        LocalizationError: operating points of other heads.
    """
    least = pl.lit(settings.min_probability)
    if points is None:
        return predictions.filter(pl.col("probability") >= least)
    if set(points["heads_version"]) - {heads_version}:
        raise LocalizationError(
            "the operating points belong to other heads: materialise probes/operating_points again"
        )
    own = points.select("condition", "sequence_set", _point="threshold")
    joined = predictions.join(own, on=["condition", "sequence_set"], how="left", maintain_order="left")
    return joined.filter(pl.col("probability") >= pl.min_horizontal("_point", least)).drop("_point")


def side_of(x_mm: float | None, midline_mm: float | None, settings: LocalizationSettings) -> str | None:
    """Side of the patient (LPS: x grows to the left); None near the midline or without a place."""
    if x_mm is None or midline_mm is None or abs(x_mm - midline_mm) < settings.midline_mm:
        return None
    return (Side.LEFT if x_mm > midline_mm else Side.RIGHT).value


def _chosen(
    rows: pl.DataFrame, asked: pl.DataFrame, reader: Reader, settings: LocalizationSettings
) -> pl.DataFrame:
    """Best slices: study_key, condition, rank, slice_key, route, supervision, probability, slice_score."""
    parts = []
    for condition in condition_keys():
        studies = asked.filter(pl.col("condition") == condition).select("study_key", "probability")
        if studies.is_empty():
            continue
        supervision = SUPERVISED if reader.routes(condition, SUPERVISED) else WEAK
        known = reader.routes(condition, supervision)
        pools = (
            (route, _pool(part.join(studies, on="study_key", how="semi", maintain_order="left")))
            for route, part in ((r, rows.filter(pl.col("route") == r)) for r in known)
        )
        best = best_slices(reader.candidates(condition, pools, supervision), settings.slices)
        parts.append(
            best.join(studies, on="study_key", how="left", maintain_order="left").with_columns(
                condition=pl.lit(condition), supervision=pl.lit(supervision)
            )
        )
    return pl.concat(parts) if parts else pl.DataFrame(schema={"study_key": pl.String})


def _pool(rows: pl.DataFrame) -> Pool:
    if rows.is_empty():
        return Pool(rows.drop("vector"), np.zeros((0, 0), np.float32), np.zeros(0, np.int8))
    lengths = rows["vector"].list.len().unique()
    matrix = rows["vector"].explode().to_numpy().reshape(rows.height, -1) if len(lengths) == 1 else None
    if matrix is None or not np.isfinite(matrix).all():
        raise LocalizationError(
            "slice vectors are not finite or of several lengths: materialise the embeddings of this batch again"
        )
    return Pool(rows.drop("vector"), matrix, np.zeros(rows.height, np.int8))


def _views(
    slices: pl.DataFrame, studies: set[str], model: LevelModel | None, sources: Sources
) -> dict[str, View]:
    if model is None:
        return {}
    rows = view_rows(slices.filter(pl.col("study_key").is_in(list(studies))), model.route)
    return views_of(rows, features_of(rows, sources), model)


def _boxes(chosen: pl.DataFrame, rows: pl.DataFrame, reader: Reader, sources: Sources) -> pl.DataFrame:
    """``chosen`` with cx, cy, bw, bh and the confidence, of those that a box was found on, ranked anew."""
    needed: dict[str, list[int]] = defaultdict(list)
    for number, key in enumerate(chosen["slice_key"]):
        needed[key].append(number)
    boxes, confidences = np.full((chosen.height, 4), np.nan), [None] * chosen.height
    conditions, planes = chosen["condition"].to_list(), chosen["plane"].to_list()
    routes, kinds = chosen["route"].to_list(), chosen["supervision"].to_list()
    scores = chosen["slice_score"].to_list()
    wanted = rows.filter(pl.col("slice_key").is_in(list(needed))).drop("vector")
    for key, tokens in sources.tokens(wanted):
        for n in needed[key]:
            found = reader.box((conditions[n], routes[n]), planes[n], tokens, kinds[n], MODEL)
            if found is not None:
                boxes[n] = rectangles.clipped(found[0])
                confidences[n] = reader.models.confidence(kinds[n], scores[n] + found[1])
    with_boxes = chosen.with_columns(
        **{name: pl.Series(boxes[:, n]) for n, name in enumerate(("cx", "cy", "bw", "bh"))},
        confidence_if_present=pl.Series(confidences, dtype=pl.Float64),
    )
    # A slice on which no box was found leaves no gap: the next best one takes its rank.
    rank = pl.col("rank").rank("ordinal").over("study_key", "condition").cast(chosen.schema["rank"])
    return with_boxes.filter(pl.col("cx").is_finite()).with_columns(rank=rank)


def _finished(
    found: pl.DataFrame,
    slices: pl.DataFrame,
    views: Mapping[str, View],
    models: Models,
    heads: Heads,
    settings: LocalizationSettings,
) -> pl.DataFrame:
    rows = found.join(
        slices.drop("study_key", "route", "plane"), on="slice_key", how="left", maintain_order="left"
    )
    boxes = found.select("cx", "cy", "bw", "bh").to_numpy().reshape(-1, 4)
    source = rectangles.to_source(rows, boxes)
    centres = rectangles.centres_mm(rows, boxes[:, :2])
    middles = rectangles.centres_mm(rows, np.full((len(boxes), 2), 0.5))
    low_high = rectangles.corners(boxes) * rows["size_px"].to_numpy()[:, None]
    output = np.hstack([low_high[:, :2], low_high[:, 2:] - low_high[:, :2]])
    levels, sides = [], []
    for study, condition, plane, at, middle in zip(
        rows["study_key"], rows["condition"], rows["plane"], centres, middles, strict=True
    ):
        view = views.get(study)
        placed = bool(np.isfinite(at).all())
        level = (
            None
            if models.levels is None
            else models.levels.level(view, condition, float(at[2]) if placed else None)
        )
        levels.append(level)
        midline = view.x_mm if view is not None else float(middle[0]) if plane != "sagittal" else None
        sides.append(side_of(float(at[0]) if placed else None, midline, settings))
    return (
        rows.with_columns(
            **{name: pl.Series(source[:, n]) for n, name in enumerate("xywh")},
            **{f"output_{name}": pl.Series(output[:, n]) for n, name in enumerate("xywh")},
            centre_mm=pl.Series(
                [list(at) if np.isfinite(at).all() else None for at in centres], dtype=pl.List(pl.Float64)
            ),
            level=pl.Series([x.level if x else None for x in levels], dtype=pl.String),
            level_confidence=pl.Series([x.confidence if x else None for x in levels], dtype=pl.Float64),
            level_uncertain=pl.Series([x.uncertain if x else True for x in levels], dtype=pl.Boolean),
            level_alternatives=pl.Series(
                [x.alternatives if x else [] for x in levels], dtype=pl.List(pl.String)
            ),
            side=pl.Series(sides, dtype=pl.String),
            models_version=pl.lit(models.version),
            model_version=pl.col("route").replace_strict(models.model_versions, default=None),
            heads_version=pl.lit(heads.version),
        )
        .select(*FINDINGS)
        .cast(dict(FINDINGS))
        .sort("study_key", "condition", "rank")
    )
