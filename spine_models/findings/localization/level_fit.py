"""Fitting of level ladders, and the middle sagittal slices that they are read from.

Belongs here: which slice is a study's view, its features, shifts out of fold, the guess of an unknown region. Does not
belong here: what a fitted ladder says (``levels``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    View,
    mean_ladder,
    region_of,
)
from spine_models.findings.localization.rectangles import centres_mm
from spine_models.findings.localization.slices import LinearMap, fit_maps
from spine_models.findings.localization.targets import LEVELS
from spine_models.findings.probes.folds import patient_folds

ROWS: Final = 16
COLUMNS: Final = 4
"""Tokens of a view are averaged to at most so many rows and columns: height matters, depth hardly does."""
FOLDS: Final = 5
REGION_STRENGTH: Final = 0.01


@dataclass(frozen=True)
class RegionGuess:
    """Logits of the three regions from a view's features, for studies whose header does not say."""

    map: LinearMap
    regions: tuple[str, ...]

    def __call__(self, features: np.ndarray, certain: float) -> str | None:
        """The likeliest region; None below ``certain``."""
        logits = self.map(features[None])[0]
        chance = np.exp(logits - np.logaddexp.reduce(logits))
        best = int(np.argmax(chance))
        return self.regions[best] if chance[best] >= certain else None


def view_rows(slices: pl.DataFrame, route: str) -> pl.DataFrame:
    """Per study the middle slice of its longest sagittal series of a route that has a place in the patient.

    Returns:
        Rows of ``slices`` with z_mm, edge_mm and study_region (by majority; "unknown" where no region is named).
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
        return sagittal.with_columns(z_mm=empty, edge_mm=empty, study_region=pl.lit("unknown"))
    middle = (
        sagittal.with_columns(
            _length=pl.len().over("series_key"),
            _away=(pl.col("slice_index") - pl.col("slice_index").mean().over("series_key")).abs(),
        )
        .sort("study_key", "_length", "series_key", "_away", "slice_key", descending=[False, True, False, False, False])
        .unique("study_key", keep="first", maintain_order=True)
        .drop("_length", "_away")
    )
    z = centres_mm(middle, np.full((middle.height, 2), 0.5))[:, 2]
    return (
        middle.with_columns(
            z_mm=pl.Series(z, dtype=pl.Float64),
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


def view_of(row: Mapping[str, object], features: np.ndarray | None, region: str | None = None) -> View:
    """View of a row of ``view_rows``; ``region`` where it was guessed."""
    return View(region or str(row["study_region"]), float(row["z_mm"]), float(row["edge_mm"]), features)  # type: ignore[arg-type]


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
) -> LevelModel:
    """Ladders of every region with enough annotated train patients.

    Args:
        known: ``heights``; rows of split train are used.
        features: of views by study key.
        by_vertebra: conditions named by vertebra.
        settings: least patients, ridges, seed.
    """
    train = known.filter(split=Split.TRAIN.value)
    ladders = {}
    for region in REGIONS:
        rows = train.filter(pl.col("region") == region, pl.col("study_key").is_in(list(features)))
        if rows["patient_key"].n_unique() >= settings.min_patients and rows["place"].n_unique() > 1:
            ladders[region] = _ladder(rows, features, settings)
    return LevelModel(ladders, by_vertebra, settings.level_confidence)


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
        patients, np.ones((len(keys), 1), np.int8), folds=min(FOLDS, len(np.unique(patients))), seed=settings.seed
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
