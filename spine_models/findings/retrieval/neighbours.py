"""For every study the most similar reports of other patients.

Belongs here: what a study is asked with, leaving its patient out. Does not belong here: the index (``index``), what an
agent says of the neighbours.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from spine_models.encoder.clip.variants import IMAGE, T1, T2
from spine_models.findings.embeddings.pooling import stack
from spine_models.findings.retrieval.index import RetrievalIndex
from spine_models.findings.retrieval.pool import RetrievalError
from spine_models.findings.retrieval.tables import NEIGHBOURS

ASKED_WITH: Final = ("study", IMAGE, T1, T2)
"""The first of these that a study has is its query: all its series where there is an aligned synthesizer."""


def neighbours(aligned: pl.DataFrame, index: RetrievalIndex, index_version: str, k: int) -> pl.DataFrame:
    """NEIGHBOURS of one batch: at most k rows a study, fewer where the pool holds fewer patients.

    Args:
        aligned: embeddings.ALIGNED of the batch.
        index: an opened index.
        index_version: of it.
        k: reports wanted.

    Raises:
        RetrievalError: vectors of another clip or synthesizer than the index.
    """
    if index.clip_version is None or aligned.is_empty():
        return pl.DataFrame(schema=NEIGHBOURS)
    order = {name: n for n, name in enumerate(ASKED_WITH)}
    queries = (
        aligned.filter(pl.col("modality").is_in(list(order)))
        .with_columns(pl.col("modality").replace_strict(order, return_dtype=pl.Int32).alias("_order"))
        .sort("study_key", "_order")
        .unique("study_key", keep="first", maintain_order=True)
    )
    strange = set(queries["model_version"].unique()) - {index.clip_version, index.synthesizer_version}
    if strange:
        raise RetrievalError(
            f"studies of version {min(strange)} are compared with an index of clip {index.clip_version}: materialise "
            "embeddings/aligned of this batch and retrieval/index again"
        )
    if queries.is_empty():
        return pl.DataFrame(schema=NEIGHBOURS)
    vectors = stack(queries["vector"])
    found = index.search(vectors, k, exclude_patients=[(patient,) for patient in queries["patient_key"]])
    studies, patients = index.reports.keys["study_key"], index.reports.keys["patient_key"]
    rows = []
    for row, hits, scores in zip(queries.iter_rows(named=True), found.rows, found.scores, strict=True):
        for rank, (hit, score) in enumerate(zip(hits.tolist(), scores.tolist(), strict=True), start=1):
            rows.append(
                (
                    row["batch_key"],
                    row["patient_key"],
                    row["study_key"],
                    row["modality"],
                    rank,
                    studies[hit],
                    patients[hit],
                    score,
                    index.clip_version,
                    index_version,
                )
            )
    return pl.DataFrame(rows, schema=NEIGHBOURS, orient="row")
