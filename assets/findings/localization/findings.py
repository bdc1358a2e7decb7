"""localization: boxes, levels and sides of what each study of a batch may have.

Belongs here: wiring. Does not belong here: which slices are searched and how
(``spine_models.findings.localization.find``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from spine_models.findings.localization import tables

LAYER = "findings"
CODE_VERSION = "4"
INSIDE = dg.AssetCheckSpec(
    "boxes_lie_on_their_slices",
    asset=["localization", "findings"],
    description="Every box has an area and lies inside the preprocessed slice.",
    blocking=True,
)


@dg.multi_asset(
    name="localization",
    ins={
        "slices": dg.AssetIn(["shards", "slices"]),
        "vectors": dg.AssetIn(["embeddings", "slices"]),
        "studies": dg.AssetIn(["embeddings", "studies"]),
        "points": dg.AssetIn(["probes", "operating_points"]),
    },
    deps=[
        ["shards", "tars"],
        ["probes", "heads"],
        ["localization", "models"],
        dg.AssetDep(["backbone", "anchored"], partition_mapping=dg.AllPartitionMapping()),
    ],
    outs={
        "findings": table_out(
            ("localization", "findings"),
            tables.FINDINGS,
            "Best slices of every likely condition: box, level, side, confidence, and how it was supervised.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    partitions_def=study_batches,
    check_specs=[INSIDE],
    pool="gpu",
)
def findings(
    context: AssetExecutionContext,
    hospital: Hospital,
    slices: pl.DataFrame,
    vectors: pl.DataFrame,
    studies: pl.DataFrame,
    points: pl.DataFrame,
) -> Iterator[object]:
    """Search the batch's studies."""
    from spine_models.encoder.backbone.encoder import load_encoder
    from spine_models.findings.localization.find import find
    from spine_models.findings.localization.models import load_models
    from spine_models.findings.localization.tokens import Sources
    from spine_models.findings.probes.heads import load_heads

    batch = context.partition_key
    found = find(
        slices,
        vectors,
        studies,
        load_models(hospital.current(("localization", "models"))),
        load_heads(hospital.current(("probes", "heads"))),
        Sources(
            {route: load_encoder(folder) for route, folder in hospital.encoders().items()},
            {batch: hospital.current(("shards", "tars"), batch)},
            reporter(f"localization {batch}", "slices"),
        ),
        settings=hospital.numbers.localization,
        points=points,
    )
    yield table_result(
        ("localization", "findings"),
        found,
        by_condition=counts(found, "condition"),
        by_supervision=counts(found, "supervision"),
        uncertain_levels=int(found["level_uncertain"].sum()),
    )
    edge = slices["size_px"].max() or 0
    outside = found.filter(
        ~pl.all_horizontal(
            pl.col("output_x") >= 0,
            pl.col("output_y") >= 0,
            pl.col("output_w") > 0,
            pl.col("output_h") > 0,
            pl.col("output_x") + pl.col("output_w") <= edge + 1e-6,
            pl.col("output_y") + pl.col("output_h") <= edge + 1e-6,
        )
    )
    yield dg.AssetCheckResult(
        asset_key=["localization", "findings"],
        check_name=INSIDE.name,
        passed=outside.is_empty(),
        metadata={"findings": found.height, "outside": outside.height},
    )
