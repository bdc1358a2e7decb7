"""A batch's probabilities, each with its decision and the study's scope.

Belongs here: the table that a batch gets. Does not belong here: heads (``probes.heads``), guards (``guards``).
"""

from __future__ import annotations

import polars as pl

from spine_models.findings.probes.heads import Heads
from spine_models.findings.probes.strata.guards import Guards, GuardsError
from spine_models.findings.probes.strata.tables import PROBABILITIES
from spine_models.findings.probes.studies import ROUTES_OF_SET


def guarded(vectors: pl.DataFrame, heads: Heads, guards: Guards) -> pl.DataFrame:
    """probes.PROBABILITIES of a batch: every probability of the heads with its decision and the study's scope.

    Args:
        vectors: embeddings.STUDIES of the batch, of the encoders that the heads were fitted on.
        heads, guards: that belong together.

    Raises:
        HeadsError, GuardsError: vectors of another encoder, or guards of other heads.
    """
    if guards.heads_version != heads.version:
        raise GuardsError("guards and heads do not belong together: materialise probes/guards again")
    if vectors.is_empty():
        return pl.DataFrame(schema=PROBABILITIES)
    judged = guards.judge(vectors, heads.predict(vectors))
    read = vectors.filter(pl.col("route").is_in(list(heads.model_versions)))
    identity = vectors.select("batch_key", "patient_key", "study_key").unique()
    models = {
        name: pl.DataFrame(
            {"study_key": part["study_key"], "_models": part["model_version"], "sequence_set": name}
        )
        for name, routes in ROUTES_OF_SET.items()
        if not (
            part := read.filter(pl.col("route").is_in(list(routes))).sort("study_key", "route")
        ).is_empty()
    }
    if not models:
        return pl.DataFrame(schema=PROBABILITIES)
    named = pl.concat(models.values()).group_by("study_key", "sequence_set", maintain_order=True)
    versions = named.agg(model_versions=pl.col("_models").unique(maintain_order=True))
    joined = judged.join(identity, on="study_key", how="left", maintain_order="left").join(
        versions, on=["study_key", "sequence_set"], how="left", maintain_order="left"
    )
    return joined.with_columns(
        heads_version=pl.lit(heads.version), guards_version=pl.lit(guards.version)
    ).select(pl.col(name).cast(kind) for name, kind in PROBABILITIES.items())
