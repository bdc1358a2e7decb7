"""Vectors in the space of the reports as one more encoder of the probes.

Belongs here: which rows of ``embeddings/aligned`` are probed, and as what. Does not belong here: making them
(``findings.embeddings``).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from spine_models.findings.probes.studies import ROUTES_OF_SET, WHOLE_STUDY, model_versions

NO_CV: Final = "the reports of the train patients were in the alignment's training: only test is evaluable"


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
    model_versions(rows)
    return rows.select("study_key", "route", "vector")
