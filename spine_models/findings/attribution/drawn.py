"""Which slices saliency is judged on: slices of test patients that have the finding, drawn with a seed.

Belongs here: who may be judged, and the draw. Does not belong here: what is measured (``judge``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from spine_models.config import AttributionSettings, LocalizationSettings
from spine_models.domain import Split, condition_keys
from spine_models.findings.attribution.boxes import annotated_slices
from spine_models.findings.attribution.terms import AttributionError


def drawn_slices(
    slices: pl.DataFrame,
    annotations: pl.DataFrame,
    labels: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    routes: list[str],
    preprocessings: Mapping[str, str],
    settings: AttributionSettings,
    points: LocalizationSettings,
) -> pl.DataFrame:
    """At most ``settings.max_slices`` slices a condition, as many patients as possible.

    A condition that is annotated anywhere among the test patients is judged on its annotated slices; any other one on
    slices of test studies that the consensus calls positive, wherever in the study they lie.

    Args:
        slices: shards.SLICES.
        annotations: deid.ANNOTATIONS.
        labels: labels.CONSENSUS.
        splits: patient_key and split.
        routes: with an encoder and heads.
        preprocessings: version by route of the slices that the heads were fitted on (``Heads``).
        settings: how many, seed.
        points: how large an annotated point is.

    Returns:
        shards.SLICES with ``condition``, ``annotated`` and ``marks`` (``boxes.annotated_slices``; null where not
        annotated), sorted by slice key and condition.

    Raises:
        AttributionError: a patient in two splits; slices of a route of two preprocessings, or of another one than the
            heads'.
    """
    ledger = splits.select("patient_key", "split").unique()
    if ledger["patient_key"].n_unique() != ledger.height:
        raise AttributionError("a patient is in two splits: rebuild the split ledger")
    test = ledger.filter(pl.col("split") == Split.TEST.value).select("patient_key")
    own = slices.filter(pl.col("route").is_in(routes)).join(test, on="patient_key", how="semi")
    _check_preprocessing(own, preprocessings)
    marked = annotated_slices(annotations, own, ledger, points=points)
    by_condition = marked.with_columns(
        condition=pl.col("marks")
        .list.eval(pl.element().struct.field("condition"))
        .list.unique()
        .list.drop_nulls()
    ).explode("condition")
    parts = []
    for number, condition in enumerate(condition_keys()):
        found = by_condition.filter(pl.col("condition") == condition)
        if found.is_empty():
            positive = labels.filter((pl.col("condition") == condition) & (pl.col("label") == 1))
            found = own.join(positive.select("study_key").unique(), on="study_key", how="semi").with_columns(
                marks=pl.lit(None, marked.schema["marks"]), condition=pl.lit(condition)
            )
        parts.append(_draw(found.with_columns(annotated=pl.col("marks").is_not_null()), number, settings))
    columns = [*slices.columns, "condition", "annotated", "marks"]
    return pl.concat([part.select(columns) for part in parts]).sort("slice_key", "condition")


def _check_preprocessing(slices: pl.DataFrame, preprocessings: Mapping[str, str]) -> None:
    """A map of pixels that were made otherwise explains no vector that the heads know."""
    held = slices.select("route", pl.col("preprocessing_version").fill_null("none")).unique().sort(pl.all())
    found: dict[str, str] = {}
    for route, version in held.iter_rows():
        if route in found:
            raise AttributionError(
                f"slices of route {route!r} are of two preprocessing versions, {found[route]} and {version}: "
                "materialise the shards of every batch again"
            )
        found[route] = version
        wanted = preprocessings.get(route, version)
        if version != wanted:
            raise AttributionError(
                f"these heads were fitted on preprocessing version {wanted} of route {route!r}, the slices are of "
                f"version {version}: fit the heads on vectors of these slices first (spineagent run --retrain)"
            )


def _draw(found: pl.DataFrame, number: int, settings: AttributionSettings) -> pl.DataFrame:
    """A slice of every patient before a second of any."""
    order = np.random.default_rng([settings.seed, number]).permutation(found.height)
    return (
        found.sort("slice_key")
        .with_columns(_order=pl.Series(order, dtype=pl.Int64))
        .with_columns(_turn=pl.col("_order").rank("ordinal").over("patient_key"))
        .sort("_turn", "_order")
        .head(settings.max_slices)
    )
