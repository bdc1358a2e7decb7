"""All of the retrieval's numbers from the lake's tables.

Belongs here: which tables feed which score. Does not belong here: any score itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from spine_models.config import RetrievalSettings
from spine_models.domain import Split, condition_keys
from spine_models.encoder.clip.data import report_texts
from spine_models.encoder.clip.variants import reads_reports
from spine_models.findings.embeddings.aligned import ClipSide
from spine_models.findings.retrieval.comparison import OURS_OF_SET, SETS, compare
from spine_models.findings.retrieval.index import text_query
from spine_models.findings.retrieval.linear import side_by_side
from spine_models.findings.retrieval.pool import RetrievalError
from spine_models.findings.retrieval.precision import precision
from spine_models.findings.retrieval.scores import (
    SliceReader,
    condition_scores,
    condition_sentences,
    orientation_scores,
    slice_scores,
    study_scores,
)
from spine_models.findings.retrieval.studies import (
    Studies,
    gather_studies,
    one_encoder,
    one_of_each,
    one_space,
)
from spine_models.findings.retrieval.tables import PRECISION


class Vectors(NamedTuple):
    """embeddings.ALIGNED, ALIGNED_SLICES batch by batch, embeddings.STUDIES, probes.BASELINES."""

    aligned: pl.DataFrame
    slices: SliceReader
    frozen: pl.DataFrame
    baselines: pl.DataFrame


class Evaluated(NamedTuple):
    """tables.SCORES, GAINS and PRECISION."""

    scores: pl.DataFrame
    gains: pl.DataFrame
    precision: pl.DataFrame


def evaluate_retrieval(
    vectors: Vectors,
    *,
    splits: pl.DataFrame,
    reports: pl.DataFrame,
    consensus: pl.DataFrame,
    sentences: Mapping[str, np.ndarray],
    versions: Mapping[str, str],
    settings: RetrievalSettings,
) -> Evaluated:
    """Score on test patients alone; train patients fit the baselines' maps, val patients choose them.

    Args:
        vectors: of all batches.
        splits: patient_key and split.
        reports: study_key and report_text; one row a study at most.
        consensus: study_key, condition, label.
        sentences: of ``sentence_vectors``, made by the clip of ``versions``.
        versions: of the published space by family: clip, and synthesizer where one is aligned with it.
        settings: of the profile.

    Raises:
        RetrievalError: vectors of two versions or of other models than are published, or a patient in two splits.
    """
    one_space(vectors.aligned, versions)
    one_encoder(vectors.frozen)
    one_of_each(vectors.baselines)
    split_of = dict(splits.select("patient_key", "split").unique().rows())
    if len(split_of) != splits.select("patient_key", "split").n_unique():
        raise RetrievalError("a patient is in two splits: materialise shards again with one key")
    texts = report_texts(reports)
    test = gather_studies(vectors.aligned, _of_split(split_of, Split.TEST), texts)
    labels = {c: {} for c in condition_keys()} | {
        str(c): dict(part.select("study_key", "label").rows())
        for (c,), part in consensus.select("study_key", "condition", "label").group_by("condition")
    }
    everyone = gather_studies(vectors.aligned, [p for p, s in split_of.items() if s != Split.OUTSIDE], texts)
    in_split = [split_of[patient] for patient in everyone.patient_keys]
    compared = compare(everyone, in_split, vectors.frozen, vectors.baselines, settings)
    scores = [
        study_scores(test, settings),
        compared.scores,
        slice_scores(test, vectors.slices, settings),
        condition_scores(test, sentences, labels, vectors.slices, settings),
        orientation_scores(test, vectors.slices, settings),
    ]
    return Evaluated(
        pl.concat(scores), compared.gains, _precision(everyone, in_split, vectors, labels, settings)
    )


def sentence_vectors(clip: ClipSide | None) -> dict[str, np.ndarray]:
    """Unit vector [dim] of each condition's sentence; empty without a clip that reads reports."""
    if clip is None or not reads_reports(clip.model.settings.variant):
        return {}
    return {key: text_query(clip.model, text)[0] for key, text in condition_sentences().items()}


def _of_split(split_of: Mapping[str, str], split: Split) -> list[str]:
    return [patient for patient, own in split_of.items() if own == split.value]


def _precision(
    studies: Studies,
    splits: list[str],
    vectors: Vectors,
    labels: Mapping[str, Mapping[str, int]],
    settings: RetrievalSettings,
) -> pl.DataFrame:
    """PRECISION of our vectors, and of frozen and baseline vectors standardised on train patients."""
    names = list(condition_keys())
    split = np.asarray(splits, dtype=object)
    table = np.array(
        [[labels[name].get(key, -1) for name in names] for key in studies.study_keys], dtype=np.int8
    ).reshape(len(studies.study_keys), len(names))
    frozen = {"spinefm": vectors.frozen} | {
        str(name): part
        for (name,), part in vectors.baselines.sort("encoder").group_by("encoder", maintain_order=True)
    }
    parts = [pl.DataFrame(schema=PRECISION)]
    for sequence_set in SETS:
        found = [
            (f"{studies.encoders[own]}:{own}", studies.vectors[own].astype(np.float64), studies.present[own])
            for own in OURS_OF_SET[sequence_set]
            if own in studies.vectors
        ]
        for name, rows in frozen.items():
            found.append(
                (name, *side_by_side(rows, sequence_set, studies.study_keys, split == Split.TRAIN.value))
            )
        for encoder, values, present in found:
            asked = present & (split == Split.TEST.value)
            if asked.any():
                parts.append(
                    precision(
                        values[asked], studies.patients(asked), table[asked], names, encoder=encoder,
                        sequence_set=sequence_set, settings=settings,
                    )
                )  # fmt: skip
    return pl.concat(parts)
