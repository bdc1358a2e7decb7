"""backbone: the self-supervised encoder of each route, trained on the frozen manifest.

Belongs here: launching a training and judging its health. Does not belong here: losses, steps or checkpoints
(``spine_models.encoder.backbone``).
"""

import shutil
from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext
from pydantic import Field

from pipelines.runtime.metadata import (
    artifact_out,
    artifact_result,
    curve_plot,
    markdown,
    table_out,
    table_result,
)
from pipelines.runtime.partitions import encoder_sequences
from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import content_version
from pipelines.runtime.training import TrainingJob, launch
from spine_models.encoder.backbone import tables

LAYER = "encoder"
CODE_VERSION = "1"
HEALTH = dg.AssetCheckSpec(
    "training_is_healthy",
    asset=["backbone", "encoder"],
    description="DINO loss off its plateau, two views of a slice find each other, rank not falling, no bad step.",
)


class Pretraining(dg.Config):
    """What a person may change in the launchpad; everything else is the profile's."""

    steps: int | None = Field(None, description="length of the run in steps; None takes the profile's")
    resume: bool = Field(True, description="continue from the newest whole checkpoint of the same settings")


@dg.multi_asset(
    name="backbone",
    ins={"manifest": dg.AssetIn(["shards", "manifest"])},
    outs={
        "encoder": artifact_out(
            ("backbone", "encoder"),
            "DINOv3-style encoder of one route: EMA teacher, settings and card.",
            kinds={"torch", "safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "curves": table_out(
            ("backbone", "curves"),
            tables.CURVES,
            "Losses and health of the training by step.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    partitions_def=encoder_sequences,
    check_specs=[HEALTH],
    pool="gpu",
)
def backbone(
    context: AssetExecutionContext, config: Pretraining, hospital: Hospital, manifest: pl.DataFrame
) -> Iterator[object]:
    """Pretrain the route's encoder in a subprocess; where slices are too few, publish it untrained and say so."""
    from spine_models.encoder.backbone.health import health

    route = context.partition_key
    settings = hospital.numbers.backbone
    if config.steps is not None:
        settings = settings.model_copy(update={"steps": config.steps})
    seen = manifest.filter(pl.col("route") == route)
    roots = hospital.artifacts(("shards", "tars"), seen["batch_key"].unique().sort().to_list())
    tars = [roots[batch] / shard for batch, shard in seen.select("batch_key", "shard").rows()]
    numbers = settings.model_dump(mode="json")
    work = hospital.training_folder(("backbone", "encoder"), route, numbers, seen["sha256"].to_list())
    job = TrainingJob(route, numbers, [str(tar) for tar in tars], str(work), config.resume)
    result = launch(context, job, settings.processes)
    trained = bool(result.card["trained"])
    with hospital.draft(("backbone", "encoder"), route) as draft:
        for file in result.files:
            shutil.copy2(file, draft.folder / file.name)
        draft.card = {"training": result.card, "manifest": content_version(manifest)}
    findings = health(result.curves, settings)
    bounds = {"dino": next(f.bound for f in findings if f.name == "dino_learns")}
    yield artifact_result(
        ("backbone", "encoder"),
        draft.version,
        trained=trained,
        slices=int(seen["n_slices"].sum()),
        curves=curve_plot(
            result.curves, ["dino", "ibot", "koleo", "view_retrieval", "effective_rank"], bounds
        ),
    )
    yield table_result(("backbone", "curves"), result.curves)
    rows = pl.DataFrame(
        [(f.name, f.passed, f.value, f.bound, f.description) for f in findings],
        schema=["check", "passed", "value", "bound", "meaning"],
        orient="row",
    )
    yield dg.AssetCheckResult(
        asset_key=["backbone", "encoder"],
        check_name=HEALTH.name,
        passed=trained and all(f.passed for f in findings),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"findings": markdown(rows), "trained": trained},
    )
