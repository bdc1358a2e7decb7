"""Variants that have a text side: test patients' studies and reports in each variant's own space.

An alignment reads the slices and the report that it would read in use; gates that are aligned with the reports share
the text side of the alignment in use. What was aligned with no report has no rows here.

Belongs here: both sides' vectors. Does not belong here: mean-pooled study vectors (``vectors``), ranks
(``findings.retrieval``), recall as a row of the table (``recall``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from spine_models.domain import Route, Split
from spine_models.encoder.clip.data import ClipStudy, report_texts
from spine_models.encoder.clip.model import ClipModel
from spine_models.encoder.clip.variants import IMAGE, REPORT, reads_reports
from spine_models.encoder.synthesizer.alignment import Alignment
from spine_models.findings.ablations.tables import ALIGNED
from spine_models.findings.ablations.variants import COMPARISONS, Question
from spine_models.findings.embeddings.aligned import ClipSide, checked_vectors, chosen_studies
from spine_models.findings.embeddings.aligned_choice import ReadVectors, chosen_slices
from spine_models.findings.embeddings.aligned_series import OTHER, series_vectors
from spine_models.findings.embeddings.pooling import as_lists, stack

SIDES: Final = {"t1": ("t1",), "t2": ("t2",), "all": ("t1", "t2")}
"""Routes that an alignment's image side reads, by sequence set."""


class Batch(NamedTuple):
    """What a batch holds: its key, shards.SLICES, study_key with report_text, slice vectors, its shard folder."""

    key: str
    slices: pl.DataFrame
    reports: pl.DataFrame
    read: ReadVectors
    shard_root: Path


def variants_beside_reports(
    batches: Iterable[Batch], clips: Mapping[str, ClipSide], gates: Mapping[str, Alignment], *, most: int
) -> pl.DataFrame:
    """ALIGNED of the test studies of all batches, sorted.

    Args:
        batches: one at a time.
        clips: trained alignments by variant; one without a text side gives no rows.
        gates: aligned synthesizers by variant; of one that is aligned with another clip than the reference of
            ``clips`` there is no text side, so it gives none.
        most: slices of a study that the synthesizer reads.

    Raises:
        AlignedError: slice vectors that are missing, not finite, or not of the encoders that a clip was trained on.
        EmbeddingError: a slice that is not in its shard.
    """
    frames = [pl.DataFrame(schema=ALIGNED)]
    in_use = clips.get(COMPARISONS[Question.ALIGNMENT].reference)
    for batch in batches:
        test = batch._replace(slices=batch.slices.filter(pl.col("split") == Split.TEST.value))
        if test.slices.is_empty():
            continue
        for variant, clip in clips.items():
            if reads_reports(clip.model.settings.variant):
                frames += _of_clip(test, variant, clip)
        for variant, alignment in gates.items():
            if in_use is not None and alignment.clip_version == in_use.version:
                frames += _of_gates(test, variant, alignment, in_use, most)
    return pl.concat(frames).sort("question", "variant", "side", "study_key")


def _of_clip(batch: Batch, variant: str, clip: ClipSide) -> Iterator[pl.DataFrame]:
    rows = chosen_slices(
        batch.slices.filter(pl.col("route").is_in(list(clip.model.dims))),
        clip.model.settings.max_slices,
        by_route=True,
    )
    if rows.is_empty():
        return
    studies = chosen_studies(rows, checked_vectors(rows, batch.read, clip))
    for side, routes in SIDES.items():
        asked = [
            ClipStudy(study.study_key, "", own, "")
            for study in studies
            if (own := {route: slices for route, slices in study.routes.items() if route in routes})
        ]
        found = _images(clip.model, asked)
        yield _rows(batch, Question.ALIGNMENT, variant, side, clip.version, found)
    yield _rows(batch, Question.ALIGNMENT, variant, REPORT, clip.version, _reports(batch, clip))


def _of_gates(
    batch: Batch, variant: str, alignment: Alignment, clip: ClipSide, most: int
) -> Iterator[pl.DataFrame]:
    own = batch.slices.filter(pl.col("route") == Route.OTHER.value)
    if own.is_empty():
        return
    aligned, _, _ = series_vectors(
        own, batch.key, alignment, most=most, read=batch.read, shard_root=batch.shard_root, previous=None,
        previous_slices=None,
    )  # fmt: skip
    # With no series but those of route other, modality study is the same vector again.
    other = aligned.filter(pl.col("modality") == OTHER)
    found = dict(zip(other["study_key"], stack(other["vector"]), strict=True))
    yield _rows(batch, Question.SYNTHESIZER, variant, OTHER, alignment.version, found)
    yield _rows(batch, Question.SYNTHESIZER, variant, REPORT, clip.version, _reports(batch, clip))


def _images(model: ClipModel, studies: list[ClipStudy]) -> dict[str, np.ndarray]:
    """By study the one image vector, or the mean of those of its routes at unit length (as ``studies.BOTH``)."""
    if not studies:
        return {}
    embedded = model.embed(studies)
    names = [IMAGE] if IMAGE in embedded.vectors else [name for name in ("t1", "t2") if name in model.dims]
    total = sum(
        embedded.vectors[name].double().numpy() * embedded.present[name].numpy()[:, None] for name in names
    )
    lengths = np.linalg.norm(total, axis=1)
    return {
        study.study_key: (row / length).astype(np.float32)
        for study, row, length in zip(studies, total, lengths, strict=True)
        if length > 1e-6
    }


def _reports(batch: Batch, clip: ClipSide) -> dict[str, np.ndarray]:
    """By test study the vector of its report; one that says nothing has none."""
    known = set(batch.slices["study_key"].to_list())
    texts = {key: text for key, text in sorted(report_texts(batch.reports).items()) if text and key in known}
    if not texts:
        return {}
    vectors, present = clip.model.embed_reports(list(texts.values()))
    return {
        key: vector.numpy()
        for key, vector, there in zip(texts, vectors, present.tolist(), strict=True)
        if there
    }


def _rows(
    batch: Batch, question: Question, variant: str, side: str, version: str, found: Mapping[str, np.ndarray]
) -> pl.DataFrame:
    if not found:
        return pl.DataFrame(schema=ALIGNED)
    patients = dict(batch.slices.select("study_key", "patient_key").unique().rows())
    return (
        pl.DataFrame({"patient_key": [patients[key] for key in found], "study_key": list(found)})
        .with_columns(
            question=pl.lit(question.value),
            variant=pl.lit(variant),
            side=pl.lit(side),
            model_version=pl.lit(version),
            vector=as_lists(np.stack(list(found.values()))),
        )
        .select(*ALIGNED)
    )
