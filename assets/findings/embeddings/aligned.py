"""embeddings/aligned: each batch's studies, reports and slices in the space of the reports.

Belongs here: wiring, opening both models. Does not belong here: which vectors are stale
(``spine_models.findings.embeddings.aligned``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.aligned import aligned_synthesizer, trained_clip
from pipelines.runtime.frozen import study_reports
from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from spine_models.findings.embeddings import aligned_tables as tables

LAYER = "findings"
CODE_VERSION = "1"
COMPLETE = dg.AssetCheckSpec(
    "every_study_is_in_the_space",
    asset=["embeddings", "aligned"],
    description="Studies that have slices of a route of clip have a vector, or a reason stands for the whole batch.",
)


@dg.multi_asset(
    name="aligned_embeddings",
    ins={"slices": dg.AssetIn(["shards", "slices"])},
    deps=[
        dg.AssetDep(["shards", "tars"]),
        dg.AssetDep(["deid", "reports"]),
        dg.AssetDep(["embeddings", "slices"]),
        dg.AssetDep(["backbone", "anchored"], partition_mapping=dg.AllPartitionMapping()),
        ["clip", "aligned"],
        ["synthesizer", "aligned"],
    ],
    outs={
        "aligned": table_out(
            ("embeddings", "aligned"),
            tables.ALIGNED,
            "Studies and reports in one space, by modality, with the version that made them.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "aligned_slices": table_out(
            ("embeddings", "aligned_slices"),
            tables.ALIGNED_SLICES,
            "The slices that stand for a study in the space of the reports.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    partitions_def=study_batches,
    check_specs=[COMPLETE],
    pool="gpu",
)
def aligned_embeddings(
    context: AssetExecutionContext, hospital: Hospital, slices: pl.DataFrame
) -> Iterator[object]:
    """Align what is stale and keep the rest; without a trained alignment, empty tables and the reason."""
    from spine_models.findings.embeddings.aligned import align_batch, studies_without_vector

    batch, clip = context.partition_key, trained_clip(hospital)
    vectors = pl.scan_parquet(hospital.lake.table_path(("embeddings", "slices"), batch))
    found = align_batch(
        slices,
        study_reports(hospital, pl.DataFrame({"batch_key": [batch]})),
        batch,
        clip=clip,
        alignment=aligned_synthesizer(hospital),
        synthesizer_slices=hospital.numbers.synthesizer.align.slices,
        read=lambda keys: vectors.filter(pl.col("slice_key").is_in(keys)).collect(engine="streaming"),
        shard_root=hospital.current(("shards", "tars"), batch),
        previous=hospital.previous(("embeddings", "aligned"), batch),
        previous_slices=hospital.previous(("embeddings", "aligned_slices"), batch),
        progress=reporter(f"aligned {batch}", "slices"),
    )
    yield table_result(
        ("embeddings", "aligned"),
        found.studies,
        computed=found.computed,
        encoded=found.encoded,
        by_modality=counts(found.studies, "modality"),
        reasons="; ".join(found.reasons) or "none",
    )
    yield table_result(("embeddings", "aligned_slices"), found.slices, by_route=counts(found.slices, "route"))
    missing = 0 if clip is None else studies_without_vector(slices, found.studies, list(clip.model.dims))
    yield dg.AssetCheckResult(
        asset_key=["embeddings", "aligned"],
        check_name=COMPLETE.name,
        passed=missing == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"without_a_vector": missing, "reasons": "; ".join(found.reasons) or "none"},
    )
