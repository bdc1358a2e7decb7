"""Study vectors of the variants: pooled over slices and series exactly as SpineFM's.

Belongs here: which encoder reads which route, alignments over stored vectors. Does not belong here: the encoders
(``models``), the pass over the shards (``embeddings.study_means``), scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import polars as pl

from spine_models.domain import Route
from spine_models.encoder.clip.data import ClipStudy, clip_studies
from spine_models.encoder.clip.model import ClipModel
from spine_models.encoder.clip.variants import IMAGE
from spine_models.findings.ablations.models import Models
from spine_models.findings.ablations.tables import VECTORS
from spine_models.findings.ablations.variants import Question
from spine_models.findings.embeddings.pooling import as_lists
from spine_models.findings.embeddings.study_means import ROUTES, study_means
from spine_models.findings.probes.bags import Versions, enter_versions
from spine_models.findings.probes.studies import model_versions


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
    readers = {
        route: {
            name: partial(model.encode, route=route) for name, model in models.items() if model.reads(route)
        }
        for route in ROUTES
    }
    found = study_means(slices, shard_roots, readers, progress=progress)
    frames = [
        own.studies.with_columns(
            question=pl.lit(own.name[0].value),
            variant=pl.lit(own.name[1]),
            route=pl.lit(own.route),
            model_version=pl.lit(models[own.name].version(own.route)),
            vector=as_lists(own.vectors),
        ).select(*VECTORS)
        for own in found
    ]
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
