"""Vectors that know reports: those in the space of the reports as one more encoder, and routes of a synthesizer.

The gates of a synthesizer are aligned with the reports of the train patients (``encoder.synthesizer.align``), so the
vector of a train study of that route may carry its own report. Labels are read from reports: held-out probabilities of
such vectors are no evaluation.

Belongs here: which rows of ``embeddings/aligned`` are probed, and as what; which vectors saw reports. Does not belong
here: making them (``findings.embeddings``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import polars as pl

from spine_models.findings.embeddings.versions import Table
from spine_models.findings.probes.studies import (
    ROUTES_OF_SET,
    WHOLE_STUDY,
    ProbeInputError,
    model_versions,
)

NO_CV: Final = "the reports of the train patients were in the alignment's training: only test is evaluable"

SYNTHESIZER: Final = "synthesizer-"
"""How the names of encoders begin whose gates were aligned with reports; there is no other kind in use."""


def aligned_routes(aligned: pl.DataFrame) -> pl.DataFrame:
    """study_key, route, vector of the image sides: t1, t2, other where there is one, and the whole study.

    Args:
        aligned: study_key, modality, model_version, vector; other modalities (the reports') are left out.

    Raises:
        ProbeInputError: vectors of one modality from two models.
    """
    probed = pl.col("modality").is_in([*ROUTES_OF_SET["all"], WHOLE_STUDY])
    rows = aligned.filter(probed).select(
        "study_key", pl.col("modality").alias("route"), "model_version", "vector"
    )
    model_versions(
        rows,
        Table("embeddings/aligned", "materialise embeddings/aligned of every batch again", ProbeInputError),
    )
    return rows.select("study_key", "route", "vector")


def reports_seen(vectors: pl.DataFrame, studies: Iterable[str]) -> frozenset[str]:
    """Routes of these studies whose vectors an encoder made that was trained with the train patients' reports.

    Args:
        vectors: embeddings.STUDIES or SLICES; a frame without ``encoder`` names nobody.
        studies: keys, of the train studies.
    """
    if "encoder" not in vectors.columns:
        return frozenset()
    wanted = pl.Series(list(studies), dtype=pl.String).implode()
    aligned = pl.col("encoder").str.starts_with(SYNTHESIZER) & pl.col("study_key").is_in(wanted)
    return frozenset(vectors.filter(aligned)["route"].to_list())


def no_cv_of(sequence_set: str, seen: frozenset[str]) -> str | None:
    """Why a set that holds such a route has no cross-validation, or None."""
    held = [route for route in ROUTES_OF_SET[sequence_set] if route in seen]
    if not held:
        return None
    return (
        f"the reports of the train patients were in the training of the encoder of {', '.join(held)}: only test is "
        "evaluable"
    )
