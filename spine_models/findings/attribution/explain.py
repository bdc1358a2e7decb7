"""One study explained, for a notebook: who speaks for a condition, what happens without them, where they look.

    from spine_models.findings.attribution.explain import explain_study
    told = explain_study(study_key, "canal", slice_vectors, slices, heads, sights, shard_roots)

Belongs here: putting the pieces together for one study and condition. Does not belong here: whole batches (the assets),
drawing (``pipelines.runtime.figures.attribution``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from spine_models.config import AttributionSettings
from spine_models.config.findings.attribution import SaliencyMethod
from spine_models.findings.attribution.knockouts import knockouts
from spine_models.findings.attribution.saliency import saliency_map
from spine_models.findings.attribution.sight import Sight, slice_heads
from spine_models.findings.attribution.terms import AttributionError, widths_of
from spine_models.findings.attribution.weights import study_weights
from spine_models.findings.embeddings.images import stored_images
from spine_models.findings.embeddings.pooling import pool_series, pool_studies
from spine_models.findings.probes.heads import Heads


@dataclass(frozen=True)
class SeenSlice:
    """A slice and its map.

    Attributes:
        slice_key: of the slice.
        route: of its series.
        contribution: of the slice to the study's calibrated logit.
        image: uint16 [S, S].
        saliency: float64 [h, w] over the patches, in calibrated logits of a study of this slice alone.
    """

    slice_key: str
    route: str
    contribution: float
    image: np.ndarray
    saliency: np.ndarray


@dataclass(frozen=True)
class Explanation:
    """A study's probability of one condition, and what it rests on.

    Attributes:
        probability: calibrated.
        weights: attribution.WEIGHTS of the study and condition, every slice.
        knockouts: attribution.KNOCKOUTS of the study and condition.
        slices: the slices that speak loudest for the condition, with their maps.
    """

    probability: float
    weights: pl.DataFrame
    knockouts: pl.DataFrame
    slices: list[SeenSlice]


def explain_study(
    study_key: str,
    condition: str,
    slice_vectors: pl.DataFrame,
    slices: pl.DataFrame,
    heads: Heads,
    sights: Mapping[str, Sight],
    shard_roots: Mapping[str, Path],
    *,
    method: SaliencyMethod = "occlusion",
    n_slices: int = 4,
    settings: AttributionSettings | None = None,
) -> Explanation:
    """Explain one probability of one study.

    Args:
        study_key: whose.
        condition: of what.
        slice_vectors: embeddings.SLICES with the study in it.
        slices: shards.SLICES with the study in it.
        heads: loaded heads.
        sights: encoder by route (``open_sights``); slices of other routes get no map.
        shard_roots: per batch, the folder that ``shard`` is relative to.
        method: of saliency.
        n_slices: how many slices to look into.
        settings: of saliency; the defaults if None.

    Raises:
        AttributionError: the study has no vectors, or no head judges it for the condition.
    """
    numbers = settings or AttributionSettings()
    own = slice_vectors.filter(pl.col("study_key") == study_key)
    if own.is_empty():
        raise AttributionError("the study has no slice vectors: materialise the embeddings of its batch")
    series = pool_series(own)
    weights = study_weights(own, pool_studies(series), slices, heads, top_slices=own.height).filter(
        pl.col("condition") == condition
    )
    if weights.is_empty():
        raise AttributionError(
            f"no head judges this study for {condition!r}: it has no such condition, or not its sequences"
        )
    loudest = (
        weights.filter(pl.col("unit") == "slice", pl.col("route").is_in(list(sights)))
        .sort("contribution", "slice_key", descending=[True, False])
        .head(n_slices)
    )
    rows = slices.join(loudest.select("slice_key"), on="slice_key", how="semi")
    images: dict[str, np.ndarray] = {}
    for (batch,), part in rows.group_by("batch_key"):
        images.update(stored_images(part, shard_roots[str(batch)]))
    widths = widths_of(own)
    found = {route: slice_heads(heads, sights[route], widths) for route in loudest["route"].unique()}
    seen = [
        SeenSlice(
            row["slice_key"],
            row["route"],
            row["contribution"],
            images[row["slice_key"]],
            saliency_map(
                sights[row["route"]],
                found[row["route"]][condition],
                images[row["slice_key"]],
                method,
                numbers,
            ),
        )
        for row in loudest.iter_rows(named=True)
        if row["slice_key"] in images and condition in found[row["route"]]
    ]
    without = knockouts(series, slices, heads).filter(pl.col("condition") == condition)
    return Explanation(float(weights["probability"][0]), weights, without, seen)
