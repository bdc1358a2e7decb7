"""Fitting of level ladders, and the middle sagittal slices that they are read from.

Belongs here: which slice is a study's view, its features, shifts out of fold, the guess of an unknown region. Does not
belong here: what a fitted ladder says (``levels``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.domain import Plane, Split
from spine_models.findings.localization.boxes import fit_ridges
from spine_models.findings.localization.levels import (
    LEAST_SPREAD_MM,
    REGIONS,
    Ladder,
    LevelModel,
    RegionGuess,
    View,
    mean_ladder,
    region_of,
)
from spine_models.findings.localization.rectangles import centres_mm
from spine_models.findings.localization.slices import LinearMap, fit_maps
from spine_models.findings.localization.targets import LEVELS
from spine_models.findings.localization.tokens import Sources
from spine_models.findings.probes.folds import patient_folds

ROWS: Final = 16
COLUMNS: Final = 4
"""Tokens of a view are averaged to at most so many rows and columns: height matters, depth hardly does."""
FOLDS: Final = 5
REGION_STRENGTH: Final = 0.01


def view_rows(slices: pl.DataFrame, route: str) -> pl.DataFrame:
    """Per study the middle slice of its longest sagittal series of a route that has a place in the patient.

    Returns:
        Rows of ``slices`` with x_mm, z_mm, edge_mm and study_region (by majority; "unknown" where no region is named).
    """
    named = (
        slices.filter(pl.col("region").is_in(REGIONS))
        .group_by("study_key", "region")
        .len()
        .sort("study_key", "len", "region", descending=[False, True, False])
        .unique("study_key", keep="first", maintain_order=True)
        .select("study_key", study_region="region")
    )
    sagittal = slices.filter(
        pl.col("plane") == Plane.SAGITTAL.value,
        pl.col("route") == route,
        pl.col("pixel_spacing_mm").is_not_null(),
        pl.col("source_rows").is_not_null(),
    )
    if sagittal.is_empty():
        empty = pl.lit(None, dtype=pl.Float64)
        return sagittal.with_columns(x_mm=empty, z_mm=empty, edge_mm=empty, study_region=pl.lit("unknown"))
    middle = (
        sagittal.with_columns(
            _length=pl.len().over("series_key"),
            _away=(pl.col("slice_index") - pl.col("slice_index").mean().over("series_key")).abs(),
        )
        .sort(
            "study_key",
            "_length",
            "series_key",
            "_away",
            "slice_key",
            descending=[False, True, False, False, False],
        )
        .unique("study_key", keep="first", maintain_order=True)
        .drop("_length", "_away")
    )
    at = centres_mm(middle, np.full((middle.height, 2), 0.5))
    return (
        middle.with_columns(
            x_mm=pl.Series(at[:, 0], dtype=pl.Float64),
            z_mm=pl.Series(at[:, 2], dtype=pl.Float64),
            edge_mm=pl.col("source_rows") * pl.col("pixel_spacing_mm").list.get(0),
        )
        .filter(pl.col("z_mm").is_finite())
        .join(named, on="study_key", how="left", maintain_order="left")
        .with_columns(pl.col("study_region").fill_null("unknown"))
    )


def view_features(tokens: np.ndarray) -> np.ndarray:
    """Features float32 [F] of tokens [h, w, D]: means over at most 16 rows and 4 columns of patches."""
    for axis, most in ((0, ROWS), (1, COLUMNS)):
        parts = np.array_split(np.arange(tokens.shape[axis]), min(most, tokens.shape[axis]))
        tokens = np.stack([tokens.take(part, axis=axis).mean(axis=axis) for part in parts], axis=axis)
    return tokens.astype(np.float32).ravel()


def views_of(rows: pl.DataFrame, features: Mapping[str, np.ndarray], model: LevelModel) -> dict[str, View]:
    """Views by study key of rows of ``view_rows``, unknown regions guessed."""
    columns = rows.select("study_key", "study_region", "x_mm", "z_mm", "edge_mm").iter_rows()
    return {
        key: model.placed(View(region, x, z, edge, features.get(key))) for key, region, x, z, edge in columns
    }


def features_of(rows: pl.DataFrame, sources: Sources) -> dict[str, np.ndarray]:
    """Features of views by study key."""
    owner = dict(zip(rows["slice_key"], rows["study_key"], strict=True))
    return {owner[key]: view_features(tokens) for key, tokens in sources.tokens(rows)}


def named_by_vertebra(targets: pl.DataFrame) -> tuple[str, ...]:
    """Conditions whose train annotations name vertebrae more often than discs."""
    train = targets.filter(pl.col("split") == Split.TRAIN.value, pl.col("level").is_in(list(LEVELS)))
    share = train.group_by("condition").agg((~pl.col("level").str.contains("-")).mean().alias("share"))
    return tuple(share.filter(pl.col("share") > 0.5)["condition"].sort())


def fit_level_model(
    targets: pl.DataFrame, slices: pl.DataFrame, sources: Sources, *, settings: LocalizationSettings
) -> tuple[LevelModel, pl.DataFrame, dict[str, np.ndarray]]:
    """Ladders from annotated levels; the views and features of the annotated studies that they come from.

    Args:
        targets: tables.TARGETS with levels and places in the patient.
        slices: shards.SLICES of the annotated studies.
        sources: encoders and shards.
        settings: caps and numbers.
    """
    levelled = targets.filter(pl.col("level").is_in(list(LEVELS)), pl.col("z_mm").is_not_null())
    owners = levelled.select("patient_key", "study_key", "split").unique().sort("study_key")
    kept = owners[owners["study_key"].hash(settings.seed).arg_sort()].group_by("split", maintain_order=True)
    owners = kept.head(settings.max_studies)
    own = slices.drop("split").join(owners, on=["patient_key", "study_key"], how="inner")
    candidates = [(route, view_rows(own, route)) for route in sorted(sources.encoders, reverse=True)]
    # The route with most train studies; T2 before T1 where both have as many.
    route, rows = max(
        candidates, key=lambda one: one[1].filter(split=Split.TRAIN.value).height, default=("", None)
    )
    if rows is None:
        return LevelModel({}, (), settings.level_confidence, route), view_rows(own, route), {}
    features = features_of(rows, sources)
    known = heights(targets, rows)
    model = fit_levels(known, features, named_by_vertebra(targets), settings, route=route)
    return replace(model, guess=fit_region(known, rows, features)), rows, features


def heights(targets: pl.DataFrame, views: pl.DataFrame) -> pl.DataFrame:
    """Annotated levels above the middle of their study's view: one row per study and level, patient_key, study_key,
    split, region, place, height_mm."""
    usable = targets.filter(pl.col("level").is_in(list(LEVELS)), pl.col("z_mm").is_not_null())
    regions = [(key, region_of(part["level"].to_list())) for (key,), part in usable.group_by("study_key")]
    of_level = pl.DataFrame(regions, schema={"study_key": pl.String, "region": pl.String}, orient="row")
    return (
        usable.group_by("patient_key", "study_key", "split", "level")
        .agg(pl.col("z_mm").mean())
        .join(views.select("study_key", pl.col("z_mm").alias("middle_mm")), on="study_key", how="inner")
        .join(of_level, on="study_key", how="inner")
        .with_columns(
            place=pl.col("level").replace_strict(LEVELS, return_dtype=pl.Float64),
            height_mm=pl.col("z_mm") - pl.col("middle_mm"),
        )
        .sort("study_key", "place")
    )


def fit_levels(
    known: pl.DataFrame,
    features: Mapping[str, np.ndarray],
    by_vertebra: tuple[str, ...],
    settings: LocalizationSettings,
    *,
    route: str,
) -> LevelModel:
    """Ladders of every region with enough annotated train patients.

    Args:
        known: ``heights``; rows of split train are used.
        features: of views by study key.
        by_vertebra: conditions named by vertebra.
        settings: least patients, ridges, seed.
        route: whose slices the views are.
    """
    train = known.filter(split=Split.TRAIN.value)
    ladders = {}
    for region in REGIONS:
        rows = train.filter(pl.col("region") == region, pl.col("study_key").is_in(list(features)))
        if rows["patient_key"].n_unique() >= settings.min_patients and rows["place"].n_unique() > 1:
            ladders[region] = _ladder(rows, features, settings)
    return LevelModel(ladders, by_vertebra, settings.level_confidence, route)


def fit_region(
    known: pl.DataFrame, views: pl.DataFrame, features: Mapping[str, np.ndarray]
) -> RegionGuess | None:
    """Regions from views of train studies whose region the header or the annotated levels name; None of one alone."""
    by_level = dict(known.filter(split=Split.TRAIN.value).select("study_key", "region").iter_rows())
    by_header = dict(
        views.filter(pl.col("split") == Split.TRAIN.value, pl.col("study_region").is_in(REGIONS))
        .select("study_key", "study_region")
        .iter_rows()
    )
    named = by_header | by_level
    keys = sorted(key for key in named if key in features)
    regions = tuple(region for region in REGIONS if sum(named[key] == region for key in keys) > 1)
    if len(regions) < 2:
        return None
    matrix = np.stack([features[key] for key in keys])
    columns = [
        fit_maps(matrix, np.array([named[key] == region for key in keys], np.int8), (REGION_STRENGTH,))
        for region in regions
    ]
    return RegionGuess(
        LinearMap(np.hstack([c.weights for c in columns]), np.hstack([c.bias for c in columns])), regions
    )


def _ladder(rows: pl.DataFrame, features: Mapping[str, np.ndarray], settings: LocalizationSettings) -> Ladder:
    keys, member = np.unique(rows["study_key"].to_numpy(), return_inverse=True)
    place, height = rows["place"].to_numpy(), rows["height_mm"].to_numpy()
    places, rungs = mean_ladder(place, height, member)
    expected = rungs[np.searchsorted(places, place)]
    residual = height - expected
    counts = np.bincount(member)
    shifts = np.bincount(member, residual) / counts
    prior = max(LEAST_SPREAD_MM, float(np.sqrt((residual**2).mean())))
    ladder = Ladder(places, rungs, prior, prior, None)
    patients = rows.unique("study_key").sort("study_key")["patient_key"].to_numpy()
    folds = patient_folds(
        patients,
        np.ones((len(keys), 1), np.int8),
        folds=min(FOLDS, len(np.unique(patients))),
        seed=settings.seed,
    )
    matrix = np.stack([features[key] for key in keys])
    held_out = np.full((len(keys), len(settings.ridges)), np.nan)
    for fold in np.unique(folds):
        here = folds == fold
        maps = fit_ridges(matrix[~here], shifts[~here, None], settings.ridges, np.sqrt(counts[~here]))
        held_out[here] = np.hstack([one(matrix[here]) for one in maps])
    spreads = np.sqrt(((residual[:, None] - held_out[member]) ** 2).mean(axis=0))
    best = int(np.argmin(spreads))
    if spreads[best] >= prior:
        return ladder
    shift = fit_ridges(matrix, shifts[:, None], (settings.ridges[best],), np.sqrt(counts))[0]
    return replace(ladder, shift=shift, spread_mm=max(LEAST_SPREAD_MM, float(spreads[best])))
