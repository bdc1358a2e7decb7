"""Studies as rows: their vectors per sequence set, their labels, their patients' splits.

A sequence set is ``t1``, ``t2``, ``other`` or ``all``. ``all`` takes every study that has at least one route: one
block of numbers a route, side by side, and one indicator a block. The numbers of a block that a study lacks are NaN,
"no number", and its indicator is 1; a head leaves NaN out of the sum, so that a missing block contributes its
indicator's weight and nothing else. Nothing is imputed and no zero vector ever stands for a missing sequence.

Belongs here: the joins and their refusals. Does not belong here: standardisation, folds, fitting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.domain import Route, Split, condition_keys
from spine_models.findings.embeddings.pooling import stack
from spine_models.findings.embeddings.versions import VERSIONS, Table, Versions, one_version

ROUTES_OF_SET: Final[dict[str, tuple[str, ...]]] = {
    "t1": (Route.T1.value,),
    "t2": (Route.T2.value,),
    "other": (Route.OTHER.value,),
    "all": (Route.T1.value, Route.T2.value, Route.OTHER.value),
}

WHOLE_STUDY: Final = "study"
"""Block of ``all`` of encoders that have a vector of the whole study beside those of single routes."""

EMBED_AGAIN: Final = "materialise the embeddings of every batch with the present encoder first"

Layout = tuple[tuple[str, int], ...]
"""Blocks of a matrix in their order: route and width."""


class ProbeInputError(ValueError):
    """Tables that do not fit together; the message names the table and the remedy."""


@dataclass(frozen=True)
class StudyVectors:
    """Vectors of one encoder and sequence set, sorted by study.

    Attributes:
        study_keys: [N].
        values: float32 [N, D]; for ``all`` the blocks (NaN where a study lacks one) and then one indicator a block,
            so D is the sum of widths plus the number of blocks.
        layout: the blocks.
    """

    study_keys: np.ndarray
    values: np.ndarray
    layout: Layout = ()


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


def set_vectors(vectors: pl.DataFrame, sequence_set: str, *, layout: Layout | None = None) -> StudyVectors:
    """The studies that have the set's route, or for ``all`` any route, as one matrix.

    Args:
        vectors: study_key, route, vector of one encoder (embeddings.STUDIES or
            probes.BASELINES).
        sequence_set: t1, t2, other or all.
        layout: the blocks to make, as heads were fitted on them; those of the frame if None. Other routes of the
            frame are ignored, a block without any row is missing everywhere.

    Raises:
        ProbeInputError: a study with two vectors of one route, vectors of several lengths, of another length than
            the layout's, or with numbers that are not finite.
    """
    names = (*ROUTES_OF_SET["all"], WHOLE_STUDY) if sequence_set == "all" else ROUTES_OF_SET[sequence_set]
    if layout is not None:
        names = tuple(route for route, _ in layout)
    parts = {route: _block(vectors, route) for route in names}
    widths = {route: values.shape[1] for route, (_, values) in parts.items() if len(values)}
    keys = np.unique(np.concatenate([keys for keys, _ in parts.values()])) if parts else np.empty(0, object)
    if layout is None:
        layout = tuple(widths.items())
    for route, width in layout:
        if widths.get(route, width) != width:
            raise ProbeInputError(
                f"vectors of {widths[route]} numbers, heads of {width} (route {route!r}): materialise probes again"
            )
    if len(keys) == 0:
        return StudyVectors(np.empty(0, dtype=object), np.zeros((0, 0), dtype=np.float32), layout)
    blocks = [np.full((len(keys), width), np.nan, dtype=np.float32) for _, width in layout]
    present = np.zeros((len(keys), len(layout)), dtype=bool)
    for number, (route, _) in enumerate(layout):
        held, values = parts[route]
        if len(held):
            at = np.searchsorted(keys, held)
            blocks[number][at], present[at, number] = values, True
    if sequence_set != "all":
        return StudyVectors(keys, blocks[0], layout)
    return StudyVectors(keys, side_by_side(blocks, present), layout)


def side_by_side(blocks: Sequence[np.ndarray], present: np.ndarray) -> np.ndarray:
    """The matrix of ``all``: blocks, NaN where missing whatever numbers stand there, then the indicators.

    Args:
        blocks: float32 [N, D_b] each.
        present: bool [N, B].

    Returns:
        float32 [N, sum of D_b + B]; an indicator is 1 where its block is missing.
    """
    masked = [np.where(present[:, [number]], block, np.nan) for number, block in enumerate(blocks)]
    return np.hstack([*masked, ~present]).astype(np.float32)


def _block(vectors: pl.DataFrame, route: str) -> tuple[np.ndarray, np.ndarray]:
    """Study keys, sorted, and float32 [N, D] of one route."""
    rows = vectors.filter(pl.col("route") == route).sort("study_key")
    if rows["study_key"].n_unique() != rows.height:
        raise ProbeInputError(f"a study has two vectors of route {route!r}: give each study vector once")
    if rows.is_empty():
        return np.empty(0, dtype=object), np.zeros((0, 0), dtype=np.float32)
    if rows["vector"].list.len().n_unique() != 1:
        raise ProbeInputError("study vectors of one encoder have several lengths: embed all batches again")
    values = stack(rows["vector"])
    if not np.isfinite(values).all():
        raise ProbeInputError(
            f"study vectors of route {route!r} hold numbers that are not finite: materialise the embeddings of "
            "their batch again"
        )
    return rows["study_key"].to_numpy(), values


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


def model_versions(vectors: pl.DataFrame, table: Table | None = None) -> dict[str, str]:
    """The one model version per route of study vectors.

    Args:
        vectors: route and model_version of one encoder; encoder and preprocessing_version where there are any, which
            must be one too.
        table: where they come from; None for embeddings/studies.

    Raises:
        ProbeInputError: study vectors of one route come from two models or two preprocessings.
    """
    return {route: told["model_version"] for route, told in _versions(vectors, table).items()}


def preprocessing_versions(vectors: pl.DataFrame) -> dict[str, str]:
    """The one preprocessing version per route of embeddings.STUDIES; empty for a frame that has none.

    Raises:
        ProbeInputError: as ``model_versions``.
    """
    name = "preprocessing_version"
    return {route: told[name] for route, told in _versions(vectors, None).items() if name in told}


def _versions(vectors: pl.DataFrame, table: Table | None) -> Versions:
    columns = ["model_version", *(n for n in VERSIONS if n in vectors.columns and n != "model_version")]
    return one_version(
        vectors, table or Table("embeddings/studies", EMBED_AGAIN, ProbeInputError), columns=columns
    )


def of_another_encoder(
    vectors: pl.DataFrame, models: Mapping[str, str], preprocessings: Mapping[str, str]
) -> str | None:
    """In what vectors differ from what a card says of its routes, in words, or None.

    Args:
        vectors: embeddings.STUDIES of the card's routes alone.
        models, preprocessings: by route, of the card.

    Raises:
        ProbeInputError: as ``model_versions``.
    """
    for told, found, name in (
        (models, model_versions(vectors), "encoder"),
        (preprocessings, preprocessing_versions(vectors), "preprocessing"),
    ):
        for route, version in found.items():
            if version != told.get(route, version):
                return (
                    f"fitted on {name} version {told[route]} of route {route!r}, the vectors are of version "
                    f"{version}: "
                )
    return None
