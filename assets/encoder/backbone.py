"""backbone: the self-supervised encoder of each route, trained on the frozen manifest.

Belongs here: launching a training and judging its health. Does not belong here: losses, steps or checkpoints
(``spine_models.encoder.backbone``).
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import polars as pl
from pydantic import Field

from pipelines.runtime.metadata import artifact_out, artifact_result, curve_plot, markdown, table_out, table_result
from pipelines.runtime.partitions import encoder_sequences
from pipelines.runtime.resources import Hospital
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
            ("backbone", "encoder"), "DINOv3-style encoder of one route: EMA teacher, settings and card.",
            kinds={"torch", "safetensors"}, layer=LAYER, code_version=CODE_VERSION,
        ),
        "curves": table_out(
            ("backbone", "curves"), tables.CURVES, "Losses and health of the training by step.",
            layer=LAYER, code_version=CODE_VERSION,
        ),
    },
    partitions_def=encoder_sequences,
    check_specs=[HEALTH],
    pool="gpu",
)
def backbone(
    context: dg.AssetExecutionContext, config: Pretraining, hospital: Hospital, manifest: pl.DataFrame
) -> Iterator[object]:
    """Pretrain the route's encoder in a subprocess, or publish an untrained one where slices are too few."""
    from spine_models.encoder.backbone.health import health
    from spine_models.encoder.backbone.train import train_or_initialise

    route = context.partition_key
    settings = hospital.numbers.backbone
    if config.steps is not None:
        settings = settings.model_copy(update={"steps": config.steps})
    seen = manifest.filter((pl.col("route") == route) & (pl.col("split") == "train"))
    roots = hospital.artifacts(("shards", "tars"), seen["batch_key"].unique().sort().to_list())
    tars = [roots[batch] / shard for batch, shard in seen.select("batch_key", "shard").rows()]
    trained = int(seen["n_slices"].sum()) >= settings.min_train_slices

    def train(out: str) -> None:
        job = TrainingJob(route, settings.model_dump(mode="json"), [str(t) for t in tars], out, config.resume)
        for message in launch(context, job, settings.processes):
            context.log.info(f"training ended: {message['card']}")

    with hospital.draft(("backbone", "encoder"), route) as draft:
        result = train_or_initialise(
            settings, route=route, out=draft.folder, trained=trained, train=train,
            work=hospital.training_folder(("backbone", "encoder"), route, settings.model_dump_json(), tars),
        )
        draft.card = {**result.card, "slices": int(seen["n_slices"].sum()), "tars": len(tars)}
    findings = health(result.curves, settings)
    bounds = {f.name: f.bound for f in findings if f.name in result.curves.columns}
    yield artifact_result(
        ("backbone", "encoder"), draft.version, trained=trained, slices=int(seen["n_slices"].sum()),
        curves=curve_plot(result.curves, ["dino", "ibot", "koleo", "view_retrieval", "effective_rank"], bounds),
    )
    yield table_result(("backbone", "curves"), result.curves)
    rows = pl.DataFrame([(f.name, f.passed, f.value, f.bound, f.description) for f in findings],
                        schema=["check", "passed", "value", "bound", "meaning"], orient="row")
    yield dg.AssetCheckResult(
        asset_key=["backbone", "encoder"], check_name=HEALTH.name, passed=trained and all(f.passed for f in findings),
        severity=dg.AssetCheckSeverity.WARN, metadata={"findings": markdown(rows), "trained": trained},
    )
