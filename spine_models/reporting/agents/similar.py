"""The two retrieval agents at work: reports like a study's images, and the study's slices that a finding's words mean.

Belongs here: neighbours by study. Does not belong here: search over the pool (``findings.retrieval``), results of
other agents (``results``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.domain import condition_keys
from spine_models.findings.embeddings.pooling import stack
from spine_models.reporting.agents.versions import AgentsError

ROUTES_ASKED: Final[Mapping[str, str]] = {"study": "all", "image": "all", "t1": "t1", "t2": "t2"}
"""Sequence set whose series a neighbour was asked with, by modality."""


class NoAnswer(StrEnum):
    """Why a retrieval or localization agent has nothing to say."""

    NO_SPACE = "no alignment of images and reports has been trained"
    NO_ALIGNED = "no image of this study lies in the space of the reports"
    NO_NEIGHBOUR = "no report of another patient is in the pool"
    NOT_AFFIRMED = "no condition is affirmed that could be looked for"
    CONDITION_NOT_AFFIRMED = "the condition is not affirmed, so that nothing was looked for"
    NOT_LOCALIZED = "the study was not searched"
    NOWHERE = "no series of a sequence and plane that the localizer knows, or no box on any of its slices"


Neighbour = dict[str, Any]


@dataclass(frozen=True)
class Alike:
    """Neighbours of one study, or why there are none; ``asked`` is the sequence set that reports were sought with."""

    neighbours: list[Neighbour]
    reason: StrEnum | None
    asked: str | None = None


def similar_reports(
    studies: Collection[str], neighbours: pl.DataFrame | None, space: Collection[str]
) -> dict[str, Alike]:
    """Reports of other patients by study, nearest first.

    Args:
        studies: whose answers are wanted.
        neighbours: retrieval.NEIGHBOURS, or None where retrieval was not run.
        space: versions of the alignment and of its synthesizer; none where nothing was trained.

    Raises:
        AgentsError: neighbours of another alignment.
    """
    if neighbours is None or not space:
        return {study: Alike([], NoAnswer.NO_SPACE) for study in studies}
    strange = set(neighbours["clip_version"].unique()) - set(space)
    if strange:
        raise AgentsError(
            f"retrieval/neighbours are of alignment {min(strange)}, published is another: materialise retrieval again"
        )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in neighbours.sort("study_key", "rank").iter_rows(named=True):
        found.setdefault(row["study_key"], []).append(row)
    answers = {}
    for study in studies:
        rows = found.get(study, [])
        named = [_neighbour("report", row["neighbour_study_key"], row["score"], row["rank"]) for row in rows]
        asked = ROUTES_ASKED.get(rows[0]["query"]) if rows else None
        answers[study] = Alike(named, None if rows else NoAnswer.NO_NEIGHBOUR, asked)
    return answers


def slices_by_text(
    affirmed: Mapping[str, Collection[str]],
    aligned_slices: pl.DataFrame | None,
    sentences: Mapping[str, np.ndarray] | None,
    *,
    space: Collection[str],
    count: int,
) -> dict[str, Alike]:
    """The study's own slices nearest to the sentence of each affirmed condition.

    Args:
        affirmed: conditions by study; every study whose answer is wanted is a key.
        aligned_slices: embeddings.ALIGNED_SLICES of these studies, or None.
        sentences: unit vector [dim] by condition (``findings.retrieval.evaluate.sentence_vectors``); None or empty
            without an alignment that reads reports.
        space: versions of the alignment and of its synthesizer.
        count: slices wanted of a condition.

    Raises:
        AgentsError: slices of another alignment.
    """
    if aligned_slices is None or not sentences or not space:
        return {study: Alike([], NoAnswer.NO_SPACE) for study in affirmed}
    strange = set(aligned_slices["model_version"].unique()) - set(space)
    if strange:
        raise AgentsError(
            f"embeddings/aligned_slices are of version {min(strange)}, published is another: materialise"
            " embeddings/aligned_slices of this batch again"
        )
    own = {
        str(study): rows
        for (study,), rows in aligned_slices.sort("study_key", "slice_key").group_by(
            "study_key", maintain_order=True
        )
    }
    answers = {}
    for study, named in affirmed.items():
        if not named:
            answers[study] = Alike([], NoAnswer.NOT_AFFIRMED)
        elif study not in own:
            answers[study] = Alike([], NoAnswer.NO_ALIGNED)
        else:
            wanted = [condition for condition in condition_keys() if condition in named]
            answers[study] = Alike(_nearest(own[study], wanted, sentences, count), None)
    return answers


def _nearest(
    rows: pl.DataFrame, conditions: list[str], sentences: Mapping[str, np.ndarray], count: int
) -> list[Neighbour]:
    vectors = stack(rows["vector"]).astype(np.float64)
    if not np.isfinite(vectors).all():
        raise AgentsError(
            "embeddings/aligned_slices hold numbers that are not finite: materialise them again"
        )
    places = rows.select("study_key", "series_key", "slice_key").rows()
    found = []
    for condition in conditions:
        scores = vectors @ np.asarray(sentences[condition], dtype=np.float64)
        # Rounded, so that slices of equal pixels stand in the order of their keys everywhere.
        order = np.argsort(-np.round(scores, 9), kind="stable")[:count]
        for rank, at in enumerate(order, start=1):
            study, series, key = places[int(at)]
            place = {"series_key": series, "slice_key": key, "condition": condition}
            found.append(_neighbour("slice", study, float(scores[at]), rank) | place)
    return found


def _neighbour(kind: str, study: str, score: float, rank: int) -> Neighbour:
    nothing = {"series_key": None, "slice_key": None, "condition": None}
    return {"kind": kind, "study_key": study, "score": score, "rank": rank} | nothing
