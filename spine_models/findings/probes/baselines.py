"""Study vectors of the baselines, pooled exactly as SpineFM's: mean over slices, then mean over series.

Belongs here: one pass over the shards through all baselines, and the slices that PCA is fitted on. Does not
belong here: the baselines themselves (``featurizers``), probes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import BackboneSettings, ProbeSettings
from spine_models.domain import Route, Split
from spine_models.findings.embeddings.images import stored_images
from spine_models.findings.embeddings.pooling import group_means
from spine_models.findings.probes.featurizers import featurizer
from spine_models.findings.probes.sources import source_name, source_of
from spine_models.findings.probes.tables import BASELINES

ROUTES: Final = (Route.T1.value, Route.T2.value, Route.OTHER.value)
BATCH: Final = 64
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
    rows = slices.filter(pl.col("route").is_in(ROUTES)).sort("batch_key", "shard", "slice_key")
    homeless = sorted(set(rows["batch_key"].to_list()) - set(shard_roots))
    if homeless:
        raise ValueError(f"no shard folder for batch {homeless[0]}: materialise shards of this batch")
    if rows.is_empty() or not names:
        return pl.DataFrame(schema=BASELINES)
    train = _pca_slices(rows, shard_roots) if "pixel_pca" in names else {}
    models = {
        source_name(name): featurizer(name, backbone=backbone, settings=settings, routes=ROUTES, train=train)
        for name in dict.fromkeys(names)
    }
    series_of = dict(zip(rows["slice_key"], rows["series_key"], strict=True))
    sums: dict[tuple[str, str, str], np.ndarray] = {}
    done = 0
    for route, keys, images in _batches(rows, shard_roots):
        for name, model in models.items():
            vectors = model.encode(images, route)
            if vectors is None:
                continue
            for key, vector in zip(keys, vectors.astype(np.float64), strict=True):
                place = (name, route, series_of[key])
                sums[place] = sums[place] + vector if place in sums else vector
        done += len(keys)
        if progress is not None:
            progress(done, rows.height)
    made = {place[:2] for place in sums}
    versions = {(name, route): models[name].version(route) for name, route in made}
    return _studies(rows, sums, versions)


def _batches(
    rows: pl.DataFrame, shard_roots: Mapping[str, Path]
) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """Route, keys and images uint16 [n <= 64, S, S]; a route at a time, so that batches are full."""
    for route in ROUTES:
        keys: list[str] = []
        images: list[np.ndarray] = []
        for (batch,), part in rows.filter(pl.col("route") == route).group_by(
            "batch_key", maintain_order=True
        ):
            for key, image in stored_images(part, shard_roots[str(batch)]):
                keys.append(key)
                images.append(image)
                if len(keys) == BATCH:
                    yield route, keys, np.stack(images)
                    keys, images = [], []
        if keys:
            yield route, keys, np.stack(images)


def _pca_slices(rows: pl.DataFrame, shard_roots: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Slices of split train by route: every study's first, then every study's second, up to the limit."""
    train = rows.filter(pl.col("split") == Split.TRAIN).with_columns(
        pl.col("slice_key").rank("ordinal").over("study_key", "route").alias("_turn")
    )
    chosen = {}
    for route in ROUTES:
        turns = train.filter(pl.col("route") == route).sort("_turn", "study_key").head(PCA_SLICES)
        images = [image for _, _, part in _batches(turns, shard_roots) for image in part]
        chosen[route] = np.stack(images) if images else np.zeros((0, 1, 1), dtype=np.uint16)
    return chosen


def _studies(
    rows: pl.DataFrame,
    sums: dict[tuple[str, str, str], np.ndarray],
    versions: Mapping[tuple[str, str], str],
) -> pl.DataFrame:
    series = rows.group_by("route", "study_key", "series_key").agg(
        pl.col("patient_key").first(), pl.len().alias("n_slices")
    )
    frames = [pl.DataFrame(schema=BASELINES)]
    for name, route in sorted(versions):
        held = [place[2] for place in sums if place[:2] == (name, route)]
        part = series.filter((pl.col("route") == route) & pl.col("series_key").is_in(held))
        part = part.sort("study_key", "series_key")
        means = np.stack([sums[name, route, key] for key in part["series_key"]])
        means = (means / part["n_slices"].to_numpy()[:, None]).astype(np.float32)
        studies = part.group_by("study_key", maintain_order=True).agg(
            pl.col("patient_key").first(), pl.len().alias("n_series")
        )
        vectors = group_means(means, studies["n_series"].to_numpy())
        frames.append(
            studies.with_columns(
                pl.lit(name).alias("encoder"),
                pl.lit(versions[name, route]).alias("model_version"),
                pl.lit(route).alias("route"),
                pl.Series("vector", vectors).cast(pl.List(pl.Float32)),
            ).select(*BASELINES)
        )
    return pl.concat(frames)
