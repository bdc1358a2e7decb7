"""Study vectors of the variants: pooled over slices and series exactly as SpineFM's.

Belongs here: one pass over the shards through all slice encoders, alignments over stored vectors. Does not belong here:
the encoders (``models``), scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from spine_models.domain import Route
from spine_models.encoder.clip.data import ClipStudy, clip_studies
from spine_models.encoder.clip.model import ClipModel
from spine_models.encoder.clip.variants import IMAGE
from spine_models.findings.ablations.models import Models
from spine_models.findings.ablations.tables import VECTORS
from spine_models.findings.ablations.variants import Question
from spine_models.findings.embeddings.images import stored_images
from spine_models.findings.embeddings.pooling import group_means
from spine_models.findings.probes.bags import Versions, enter_versions
from spine_models.findings.probes.studies import model_versions

BATCH = 64
ROUTES = (Route.T1.value, Route.T2.value, Route.OTHER.value)


def encoded_studies(
    slices: pl.DataFrame,
    shard_roots: Mapping[str, Path],
    models: Models,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """VECTORS of every study by every model, each slice read once.

    Args:
        slices: shards.SLICES of all batches.
        shard_roots: shard folder by batch key.
        models: by question and variant; one that has no encoder of a route gives no row for it.
        progress: called with (slices done, slices) after every batch of images.

    Raises:
        ValueError: a batch without a shard folder.
        EmbeddingError: shards and slice table do not belong together.
    """
    readers = {route: {name: m for name, m in models.items() if m.reads(route)} for route in ROUTES}
    wanted = [route for route in ROUTES if readers[route]]
    rows = slices.filter(pl.col("route").is_in(wanted)).sort("batch_key", "shard", "slice_key")
    if homeless := sorted(set(rows["batch_key"].to_list()) - set(shard_roots)):
        raise ValueError(f"no shard folder for batch {homeless[0]}: materialise shards of this batch")
    series_of = dict(zip(rows["slice_key"], rows["series_key"], strict=True))
    sums: dict[tuple[Question, str, str], dict[str, np.ndarray]] = {}
    done = 0
    for route, keys, images in _batches(rows, shard_roots):
        for name, model in readers[route].items():
            own = sums.setdefault((*name, route), {})
            for key, vector in zip(keys, model.encode(images, route).astype(np.float64), strict=True):
                series = series_of[key]
                own[series] = own[series] + vector if series in own else vector
        done += len(keys)
        if progress is not None:
            progress(done, rows.height)
    frames = [_pooled(rows, own, place, models[place[:2]].version(place[2])) for place, own in sums.items()]
    return pl.concat([pl.DataFrame(schema=VECTORS), *frames]).sort(
        "question", "variant", "route", "study_key"
    )


def aligned_studies(
    variant: str, model: ClipModel, version: str, slice_vectors: Iterable[pl.DataFrame], *, max_slices: int
) -> pl.DataFrame:
    """VECTORS of an alignment's image side, each route of a study on its own.

    Args:
        variant: name in the table.
        model: opened alignment.
        version: of it.
        slice_vectors: embeddings.SLICES, a batch at a time.
        max_slices: of one route of one study, as in training.

    Raises:
        ProbeInputError: slice vectors of one route from two models or preprocessings.
    """
    versions: Versions = {}
    rows: list[dict[str, object]] = []
    reports = pl.DataFrame(schema={"study_key": pl.String, "report_text": pl.String})
    for frame in slice_vectors:
        enter_versions(frame, versions)
        studies = clip_studies(frame, reports, max_slices=max_slices)
        for route in (Route.T1.value, Route.T2.value):
            held = [
                ClipStudy(s.study_key, s.patient_key, {route: s.routes[route]}, "")
                for s in studies
                if route in s.routes
            ]
            if not held:
                continue
            embedded = model.embed(held).vectors
            vectors = embedded[route if route in embedded else IMAGE].numpy()
            rows += [
                {
                    "patient_key": study.patient_key,
                    "study_key": study.study_key,
                    "question": Question.ALIGNMENT.value,
                    "variant": variant,
                    "route": route,
                    "model_version": version,
                    "vector": vector.tolist(),
                }
                for study, vector in zip(held, vectors, strict=True)
            ]
    return pl.DataFrame(rows, schema=VECTORS).sort("variant", "route", "study_key")


def stored_studies(studies: pl.DataFrame, question: Question, variant: str) -> pl.DataFrame:
    """VECTORS of what ``embeddings.STUDIES`` holds already, under a question's name for it.

    Raises:
        ProbeInputError: vectors of one route from two models or preprocessings.
    """
    model_versions(studies)
    routes = ("other",) if question is Question.SYNTHESIZER else ("t1", "t2")
    return (
        studies.filter(pl.col("route").is_in(routes))
        .with_columns(question=pl.lit(question.value), variant=pl.lit(variant))
        .select(*VECTORS)
    )


def _batches(
    rows: pl.DataFrame, shard_roots: Mapping[str, Path]
) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """Route, keys and images uint16 [n <= 64, S, S]; a route at a time, so that batches are full."""
    for (route,), of_route in rows.sort("route", maintain_order=True).group_by("route", maintain_order=True):
        keys: list[str] = []
        images: list[np.ndarray] = []
        for (batch,), part in of_route.group_by("batch_key", maintain_order=True):
            for key, image in stored_images(part, shard_roots[str(batch)]):
                keys.append(key)
                images.append(image)
                if len(keys) == BATCH:
                    yield str(route), keys, np.stack(images)
                    keys, images = [], []
        if keys:
            yield str(route), keys, np.stack(images)


def _pooled(
    rows: pl.DataFrame, sums: Mapping[str, np.ndarray], place: tuple[Question, str, str], version: str
) -> pl.DataFrame:
    """Sums over slices by series to study means."""
    question, variant, route = place
    series = (
        rows.filter(pl.col("route") == route)
        .group_by("study_key", "series_key")
        .agg(pl.col("patient_key").first(), pl.len().alias("n"))
        .sort("study_key", "series_key")
    )
    means = np.stack([sums[key] for key in series["series_key"]]) / series["n"].to_numpy()[:, None]
    studies = series.group_by("study_key", maintain_order=True).agg(
        pl.col("patient_key").first(), pl.len().alias("n_series")
    )
    vectors = group_means(means.astype(np.float32), studies["n_series"].to_numpy())
    return studies.with_columns(
        question=pl.lit(question.value),
        variant=pl.lit(variant),
        route=pl.lit(route),
        model_version=pl.lit(version),
        vector=pl.Series(vectors).cast(pl.List(pl.Float32)),
    ).select(*VECTORS)
