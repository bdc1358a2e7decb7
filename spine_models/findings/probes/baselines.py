"""Study vectors of the baselines, pooled exactly as SpineFM's: mean over slices, then mean over series.

Belongs here: which baselines there are, and the slices that PCA is fitted on. Does not belong here: the baselines
themselves (``featurizers``), the pass over the shards (``embeddings.study_means``), probes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import BackboneSettings, ProbeSettings
from spine_models.domain import Split
from spine_models.findings.embeddings.pooling import as_lists
from spine_models.findings.embeddings.study_means import ROUTES, in_reading_order, slice_batches, study_means
from spine_models.findings.probes.featurizers import featurizer
from spine_models.findings.probes.sources import source_name, source_of
from spine_models.findings.probes.tables import BASELINES

PCA_SLICES: Final = 4096
"""Train slices per route that PCA is fitted on, dealt out evenly over studies."""


def baseline_vectors(
    slices: pl.DataFrame,
    *,
    shard_roots: Mapping[str, Path],
    names: Sequence[str],
    backbone: BackboneSettings,
    settings: ProbeSettings,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """One vector per study, route and baseline, over the same slices that SpineFM embeds.

    Args:
        slices: shards.SLICES of all batches, every route.
        shard_roots: shard folder by batch key.
        names: baselines, as ``sources`` reads them.
        backbone: SpineFM's network, for ``random_init``.
        settings: PCA components, folder of weights, seed.
        progress: called with (slices done, slices) after every batch of images.

    Returns:
        probes.BASELINES sorted by encoder, route and study. A baseline has no row for a route that it could
        not be fitted on (``pixel_pca`` without train slices).

    Raises:
        ValueError: an unknown name, or a batch without a shard folder.
        WeightsError: a library model whose weights are not on disk.
        EmbeddingError: shards and slice table do not belong together.
    """
    for name in names:
        source_of(name)
    rows = in_reading_order(slices, shard_roots)
    if rows.is_empty() or not names:
        return pl.DataFrame(schema=BASELINES)
    train = _pca_slices(rows, shard_roots) if "pixel_pca" in names else {}
    models = {
        source_name(name): featurizer(name, backbone=backbone, settings=settings, routes=ROUTES, train=train)
        for name in dict.fromkeys(names)
    }
    encoders = {
        route: {name: partial(model.encode, route=route) for name, model in models.items()}
        for route in ROUTES
    }
    found = study_means(rows, shard_roots, encoders, progress=progress)
    frames = [
        own.studies.with_columns(
            encoder=pl.lit(own.name),
            model_version=pl.lit(models[own.name].version(own.route)),
            route=pl.lit(own.route),
            vector=as_lists(own.vectors),
        ).select(*BASELINES)
        for own in sorted(found, key=lambda own: (own.name, own.route))
    ]
    return pl.concat([pl.DataFrame(schema=BASELINES), *frames])


def _pca_slices(rows: pl.DataFrame, shard_roots: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Slices of split train by route: every study's first, then every study's second, up to the limit."""
    train = rows.filter(pl.col("split") == Split.TRAIN).with_columns(
        pl.col("slice_key").rank("ordinal").over("study_key", "route").alias("_turn")
    )
    chosen = {}
    for route in ROUTES:
        turns = train.filter(pl.col("route") == route).sort("_turn", "study_key").head(PCA_SLICES)
        images = [image for _, _, part in slice_batches(turns, shard_roots) for image in part]
        chosen[route] = np.stack(images) if images else np.zeros((0, 1, 1), dtype=np.uint16)
    return chosen
