"""embeddings: slice, series and study vectors of each batch; only stale rows are computed, and a report says which.

Belongs here: wiring of the refresh. Does not belong here: what makes a row stale
(``spine_models.findings.embeddings``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.metadata import counts, markdown, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from spine_models.findings.embeddings import tables

LAYER = "findings"
CODE_VERSION = "2"
COMPLETE = dg.AssetCheckSpec(
    "every_routed_slice_has_a_vector",
    asset=["embeddings", "slices"],
    description="Every slice of a route that has an encoder has one finite vector of that encoder's version.",
    blocking=True,
)
FITS = dg.AssetCheckSpec(
    "synthesizer_fits_its_encoders",
    asset=["embeddings", "slices"],
    description="A synthesizer that was trained embeds route other; it was fused from the encoders in use.",
)


@dg.multi_asset(
    name="embeddings",
    ins={"slices": dg.AssetIn(["shards", "slices"])},
    deps=[
        dg.AssetDep(["shards", "tars"]),
        dg.AssetDep(["backbone", "anchored"], partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(["synthesizer", "aligned"]),
    ],
    outs={
        "refreshed": table_out(
            ("embeddings", "refreshed"),
            tables.REFRESHED,
            "What the last embedding of the batch computed, kept and dropped, and why.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "slices": table_out(
            ("embeddings", "slices"),
            tables.SLICES,
            "One vector per slice, with the versions that made it.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "series": table_out(
            ("embeddings", "series"),
            tables.SERIES,
            "One vector per series: the mean of its slices.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "studies": table_out(
            ("embeddings", "studies"),
            tables.STUDIES,
            "One vector per study and route; a missing route is no row.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    partitions_def=study_batches,
    check_specs=[COMPLETE, FITS],
    pool="gpu",
)
def embeddings(context: AssetExecutionContext, hospital: Hospital, slices: pl.DataFrame) -> Iterator[object]:
    """Embed what is stale, keep the rest, pool."""
    from spine_models.findings.embeddings import (
        embed_slices,
        missing_vectors,
        pool_series,
        pool_studies,
        refreshed,
    )
    from spine_models.findings.embeddings.encoders import usable_embedders

    batch = context.partition_key
    embedders = usable_embedders(*hospital.embedder_folders())
    previous = hospital.previous(("embeddings", "slices"), batch)
    with hospital.journal(("embeddings", "slices"), batch) as journal:
        vectors, computed = embed_slices(
            slices,
            shard_root=hospital.current(("shards", "tars"), batch),
            encoders=embedders.by_route,
            previous=previous,
            settings=hospital.numbers.embeddings,
            journal=journal,
            progress=reporter(f"embeddings {batch}", "slices"),
        )
        told = refreshed(previous, vectors, batch_key=batch)
        series = pool_series(vectors)
        studies = pool_studies(series)
        # Before the vectors, so that a run that is killed between the two tells the whole story when it runs again.
        yield table_result(("embeddings", "refreshed"), told, refreshed=markdown(told))
        yield table_result(
            ("embeddings", "slices"),
            vectors,
            computed=computed,
            reused=vectors.height - computed,
            refreshed=markdown(told),
            by_encoder=counts(vectors, "encoder"),
            by_model_version=counts(vectors, "model_version"),
        )
    yield table_result(("embeddings", "series"), series)
    yield table_result(("embeddings", "studies"), studies, by_route=counts(studies, "route"))
    missing = missing_vectors(slices, vectors, embedders.by_route)
    yield dg.AssetCheckResult(
        asset_key=["embeddings", "slices"],
        check_name=COMPLETE.name,
        passed=missing == 0,
        metadata={"missing": missing, "vectors": vectors.height, "computed": computed},
    )
    yield dg.AssetCheckResult(
        asset_key=["embeddings", "slices"],
        check_name=FITS.name,
        passed=not embedders.broken,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"route_other": embedders.without_other or "is embedded"},
    )
