"""Everything that is fitted and scored once for the whole lake, batch by batch as far as memory goes.

Belongs here: the order of targets, fits and scores, and whom they were fitted on. Does not belong here: the parts,
files of the lake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.domain import Split
from spine_models.encoder.seen import PATIENTS
from spine_models.findings.embeddings.tables import SLICES as VECTORS
from spine_models.findings.localization.cohort import Cohort
from spine_models.findings.localization.evaluate import evaluate
from spine_models.findings.localization.fit import fit_models
from spine_models.findings.localization.level_fit import fit_level_model, views_of
from spine_models.findings.localization.level_scores import score_levels
from spine_models.findings.localization.levels import View
from spine_models.findings.localization.models import Models
from spine_models.findings.localization.targets import Targets, build_targets
from spine_models.findings.localization.tokens import Sources
from spine_models.findings.localization.weak import check_heads, weak_heads
from spine_models.findings.probes.heads import Heads


@dataclass(frozen=True)
class Learned:
    """What ``learn`` found.

    Attributes:
        models: fitted heads and ladders.
        scores: tables.SCORES.
        level_scores: tables.LEVEL_SCORES.
        patients: encoder.seen.PATIENTS: who was fitted on and who chose.
        boxes: predicted and annotated boxes of test slices, as ``evaluate`` returns them.
        targets: the boxes learned from, and what was lost.
        views: middle sagittal slices of annotated studies by study key.
        slices: rows of shards.SLICES of the annotated studies.
    """

    models: Models
    scores: pl.DataFrame
    level_scores: pl.DataFrame
    patients: pl.DataFrame
    boxes: pl.DataFrame
    targets: Targets
    views: dict[str, View]
    slices: pl.DataFrame


def annotated_studies(annotations: pl.DataFrame) -> pl.DataFrame:
    """batch_key and study_key of every study with a point or a box."""
    return (
        annotations.filter(pl.col("kind").is_in(["point", "box"]))
        .select("batch_key", "study_key")
        .unique()
        .sort("batch_key", "study_key")
    )


def learn(
    annotations: pl.DataFrame,
    slices: pl.DataFrame,
    splits: pl.DataFrame,
    vectors_of: Callable[[pl.DataFrame], Iterable[pl.DataFrame]],
    heads: Heads,
    sources: Sources,
    *,
    settings: LocalizationSettings,
) -> Learned:
    """Fit on train patients, choose by validation patients, score on test patients.

    Args:
        annotations: deid.ANNOTATIONS of all batches; none at all is no error: everything is then weak.
        slices: shards.SLICES of the annotated studies.
        splits: shards.SPLITS of all batches.
        vectors_of: given the slices wanted (batch_key, slice_key), frames of embeddings.SLICES, a batch at a time.
        heads: of the probes.
        sources: encoders and shards.
        settings: numbers.

    Raises:
        LocalizationError: encoders, vectors and heads that do not belong together, vectors that are not finite.
    """
    targets = build_targets(annotations, slices, splits, settings=settings)
    annotated = slices.join(
        targets.frame.filter("positive").select("series_key").unique(), on="series_key", how="semi"
    )
    frames = list(vectors_of(annotated.select("batch_key", "slice_key")))
    vectors = pl.concat(frames) if frames else pl.DataFrame(schema=VECTORS)
    cohort = Cohort.of(
        targets.frame,
        annotated,
        vectors.filter(pl.col("route").is_in(list(sources.encoders))),
        settings=settings,
    )
    check_heads(heads, cohort.slices)
    weak = weak_heads(heads)
    models = fit_models(cohort, sources, weak, settings=settings)
    scores, boxes = evaluate(models, cohort, sources, weak, settings=settings)
    models.levels, rows, features = fit_level_model(targets.frame, slices, sources, settings=settings)
    views = views_of(rows, features, models.levels)
    level_scores = score_levels(models.levels, targets.frame, views, settings=settings)
    models.card |= {"lost": targets.lost.to_dicts()}
    return Learned(models, scores, level_scores, patients_of(targets.frame), boxes, targets, views, slices)


def patients_of(targets: pl.DataFrame) -> pl.DataFrame:
    """encoder.seen.PATIENTS: train patients fit, validation patients choose and calibrate; ``n`` counts annotations."""
    roles = {Split.TRAIN.value: "train", Split.VAL.value: "held_out"}
    return (
        targets.filter(pl.col("split").is_in(list(roles)))
        .group_by("patient_key", "split")
        .agg(n=pl.len().cast(pl.Int32))
        .with_columns(
            training=pl.lit("localize"), route=pl.lit("all"), role=pl.col("split").replace_strict(roles)
        )
        .select(*PATIENTS)
        .sort("patient_key")
    )
