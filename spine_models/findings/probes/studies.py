"""Studies as rows: their vectors per sequence set, their labels, their patients' splits.

A sequence set is ``t1``, ``t2`` or ``all``. The vector of ``all`` is the T1 vector followed by the T2 vector;
a study that lacks one of the two is left out of ``all`` and stays in the set that it has. Nothing is imputed
and no zero vector ever stands for a missing sequence.

Belongs here: the joins and their refusals. Does not belong here: standardisation, folds, fitting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.domain import Route, Split, condition_keys
from spine_models.findings.embeddings.pooling import stack

ROUTES_OF_SET: Final[dict[str, tuple[str, ...]]] = {
    "t1": (Route.T1.value,),
    "t2": (Route.T2.value,),
    "all": (Route.T1.value, Route.T2.value),
}


class ProbeInputError(ValueError):
    """Tables that do not fit together; the message names the table and the remedy."""


@dataclass(frozen=True)
class StudyVectors:
    """Vectors of one encoder and sequence set, sorted by study: keys [N] and values float32 [N, D]."""

    study_keys: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class StudyLabels:
    """Labelled studies by study key: keys and split [N], labels int8 [N, C] of 1, 0, -1 in file order."""

    study_keys: np.ndarray
    patient_keys: np.ndarray
    split: np.ndarray
    labels: np.ndarray

    def rows_of(self, study_keys: np.ndarray) -> np.ndarray:
        """Row of each key, -1 where the study is not labelled."""
        if len(self.study_keys) == 0:
            return np.full(len(study_keys), -1)
        at = np.searchsorted(self.study_keys, study_keys).clip(max=len(self.study_keys) - 1)
        return np.where(self.study_keys[at] == study_keys, at, -1)


def set_vectors(vectors: pl.DataFrame, sequence_set: str) -> StudyVectors:
    """The rows that have every route of the set, as one matrix.

    Args:
        vectors: study_key, route, vector of one encoder (embeddings.STUDIES or
            probes.BASELINES).
        sequence_set: t1, t2 or all.

    Raises:
        ProbeInputError: a study with two vectors of one route, or vectors of several lengths.
    """
    keys = None
    parts = {}
    for route in ROUTES_OF_SET[sequence_set]:
        rows = vectors.filter(pl.col("route") == route).sort("study_key")
        if rows["study_key"].n_unique() != rows.height:
            raise ProbeInputError(f"a study has two vectors of route {route!r}: give each study vector once")
        parts[route] = rows
        keys = rows["study_key"] if keys is None else keys.filter(keys.is_in(rows["study_key"].implode()))
    held = [rows.filter(rows["study_key"].is_in(keys.implode())) for rows in parts.values()]
    if keys is None or len(keys) == 0:
        return StudyVectors(np.empty(0, dtype=object), np.zeros((0, 0), dtype=np.float32))
    for rows in held:
        if rows["vector"].list.len().n_unique() != 1:
            raise ProbeInputError(
                "study vectors of one encoder have several lengths: embed all batches again"
            )
    values = np.hstack([stack(rows["vector"]) for rows in held])
    return StudyVectors(keys.to_numpy(), values)


def study_labels(labels: pl.DataFrame, splits: pl.DataFrame) -> StudyLabels:
    """Labels as a matrix; a condition without a row, or with a null label, counts as -1 (left out).

    Args:
        labels: labels.CONSENSUS.
        splits: patient_key and split (shards.PATIENTS or shards.SPLITS); patients not in it get no split.

    Raises:
        ProbeInputError: a patient with two splits, a study with two patients or two labels of one condition,
            a label other than 1, 0, -1.
    """
    ledger = splits.select("patient_key", "split").unique()
    if ledger["patient_key"].n_unique() != ledger.height:
        raise ProbeInputError("a patient is in two splits: rebuild the split ledger")
    rows = labels.select("study_key", "patient_key", "condition", "label")
    if rows.select("study_key", "condition").is_duplicated().any():
        raise ProbeInputError("a study has two labels of one condition: rebuild the consensus")
    if not rows["label"].drop_nulls().is_in([1, 0, -1]).all():
        raise ProbeInputError("labels are 1, 0 or -1: rebuild the consensus")
    studies = rows.select("study_key", "patient_key").unique().sort("study_key")
    if studies["study_key"].n_unique() != studies.height:
        raise ProbeInputError("a study belongs to two patients in the labels: rebuild the consensus")
    studies = studies.join(ledger, on="patient_key", how="left", maintain_order="left")
    names = condition_keys()
    known = rows.filter(pl.col("condition").is_in(names) & pl.col("label").is_not_null())
    matrix = np.full((studies.height, len(names)), -1, dtype=np.int8)
    keys = studies["study_key"].to_numpy()
    matrix[
        np.searchsorted(keys, known["study_key"].to_numpy()),
        known["condition"]
        .replace_strict({name: i for i, name in enumerate(names)}, return_dtype=pl.Int64)
        .to_numpy(),
    ] = known["label"].to_numpy()
    split = studies["split"].fill_null(Split.OUTSIDE.value).to_numpy()
    return StudyLabels(keys, studies["patient_key"].to_numpy(), split, matrix)


def model_versions(vectors: pl.DataFrame) -> dict[str, str]:
    """The one model version per route of embeddings.STUDIES.

    Raises:
        ProbeInputError: study vectors of one route come from two models or two preprocessings.
    """
    versions: dict[str, str] = {}
    pairs = (
        vectors.select("route", "model_version", "preprocessing_version")
        .unique()
        .sort("route", "model_version")
    )
    for route, model, _ in pairs.iter_rows():
        if route in versions:
            raise ProbeInputError(
                f"study vectors of route {route!r} come from two models or preprocessings: materialise the "
                "embeddings of every batch with the present encoder first"
            )
        versions[route] = model
    return versions
