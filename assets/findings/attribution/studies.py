"""attribution of studies: contributions of series and slices, and knock-outs, of each batch.

Belongs here: wiring. Does not belong here: how a logit is shared out or a series left out
(``spine_models.findings.attribution``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.figures.attribution import knockout_bars
from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.resources import Hospital
from spine_models.findings.attribution import tables

LAYER = "findings"
CODE_VERSION = "1"
COMPLETE = dg.AssetCheckSpec(
    "every_probability_is_explained",
    asset=["attribution", "weights"],
    description="Every probability that the heads give has its series' contributions and its knock-outs.",
    blocking=True,
)


@dg.multi_asset(
    name="attribution",
    ins={
        "slice_vectors": dg.AssetIn(["embeddings", "slices"]),
        "series_vectors": dg.AssetIn(["embeddings", "series"]),
        "study_vectors": dg.AssetIn(["embeddings", "studies"]),
        "slices": dg.AssetIn(["shards", "slices"]),
    },
    deps=[["probes", "heads"]],
    outs={
        "weights": table_out(
            ("attribution", "weights"),
            tables.WEIGHTS,
            "What every series, and the heaviest slices of each, contribute to the logit of each condition.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "knockouts": table_out(
            ("attribution", "knockouts"),
            tables.KNOCKOUTS,
            "What each probability becomes without one series, or without a whole sequence.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    partitions_def=study_batches,
    check_specs=[COMPLETE],
)
def attribution(
    hospital: Hospital,
    slice_vectors: pl.DataFrame,
    series_vectors: pl.DataFrame,
    study_vectors: pl.DataFrame,
    slices: pl.DataFrame,
) -> Iterator[object]:
    """Share out every logit of the batch, and ask the heads about what is left without each part."""
    from spine_models.findings.attribution.knockouts import knockouts
    from spine_models.findings.attribution.weights import study_weights
    from spine_models.findings.probes.heads import load_heads

    heads = load_heads(hospital.current(("probes", "heads")))
    weights = study_weights(
        slice_vectors, study_vectors, slices, heads, top_slices=hospital.numbers.attribution.top_slices
    )
    without = knockouts(series_vectors, slices, heads)
    yield table_result(
        ("attribution", "weights"),
        weights,
        by_unit=counts(weights, "unit"),
        by_sequence_set=counts(weights.filter(unit="series"), "sequence_set"),
    )
    yield table_result(
        ("attribution", "knockouts"),
        without,
        by_unit=counts(without, "unit"),
        reasons=counts(without, "reason"),
        example=knockout_bars(without),
    )
    asked = heads.predict(study_vectors).select("study_key", "condition")
    missing = [asked.join(table, on=asked.columns, how="anti").height for table in (weights, without)]
    yield dg.AssetCheckResult(
        asset_key=["attribution", "weights"],
        check_name=COMPLETE.name,
        passed=missing == [0, 0],
        metadata={
            "probabilities": asked.height,
            "without_weights": missing[0],
            "without_knockouts": missing[1],
        },
    )
