"""Pretraining of one route.

Belongs here: launching it and judging its health. Does not belong here: losses, steps or checkpoints
(``spine_models.encoder.backbone``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext
from pydantic import Field

from pipelines.runtime.frozen import FROZEN, tars_of
from pipelines.runtime.metadata import artifact_out, artifact_result, curve_plot, table_out, table_result
from pipelines.runtime.partitions import encoder_sequences
from pipelines.runtime.provenance import (
    Training,
    findings_result,
    only_train_patients,
    patients_out,
    patients_result,
    publish_trained,
    seen_patients,
)
from pipelines.runtime.resources import Hospital
from pipelines.runtime.training import TrainingJob, launch
from spine_models.encoder.backbone import tables

LAYER = "encoder"
CODE_VERSION = "2"
KEY = ("backbone", "encoder")
HEALTH = dg.AssetCheckSpec(
    "training_is_healthy",
    asset=KEY,
    description="DINO loss off its plateau, two views of a slice find each other, rank not falling, no bad step.",
)
SPLIT = only_train_patients(("backbone", "patients"))


class Pretraining(Training):
    """A shorter or longer run can be asked for, too."""

    steps: int | None = Field(None, description="length of the run in steps; None takes the profile's")


@dg.multi_asset(
    name="backbone",
    ins=FROZEN,
    outs={
        "encoder": artifact_out(
            KEY,
            "DINOv3-style encoder of one route: EMA teacher, settings and card.",
            kinds={"torch", "safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "curves": table_out(
            ("backbone", "curves"),
            tables.CURVES,
            "Losses and health of the pretraining by step.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "patients": patients_out(("backbone", "patients"), layer=LAYER, code_version=CODE_VERSION),
    },
    partitions_def=encoder_sequences,
    check_specs=[HEALTH, SPLIT],
    pool="gpu",
)
def pretrained(
    context: AssetExecutionContext,
    config: Pretraining,
    hospital: Hospital,
    manifest: pl.DataFrame,
    ledger: pl.DataFrame,
) -> Iterator[object]:
    """Pretrain the route's encoder in a subprocess; where slices are too few, publish it untrained and say so."""
    from spine_models.encoder.backbone.health import health

    route = context.partition_key
    settings = hospital.numbers.backbone
    if config.steps is not None:
        settings = settings.model_copy(update={"steps": config.steps})
    seen = manifest.filter(pl.col("route") == route)
    sections = {"backbone": settings.model_dump(mode="json")}
    work = hospital.training_folder(
        KEY, route, {**sections, "shards": seen["sha256"].sort().to_list()}, code_version=CODE_VERSION
    )
    job = TrainingJob(
        "pretrain",
        f"pretraining {route}",
        sections,
        {"route": route, "tars": tars_of(hospital, seen)},
        str(work),
        config.resume,
    )
    result = launch(context, job, settings.processes)
    patients = seen_patients(hospital, manifest, result, training="pretrain", route=route)
    whom = {"patients": patients, "ledger": ledger, "manifest": manifest}
    version = publish_trained(hospital, KEY, route, result, **whom)
    findings = health(result.curves, settings)
    bounds = {"dino": next(f.bound for f in findings if f.name == "dino_learns")}
    yield artifact_result(
        KEY,
        version,
        trained=result.card["trained"],
        slices=int(seen["n_slices"].sum()),
        curves=curve_plot(
            result.curves, ["dino", "ibot", "koleo", "view_retrieval", "effective_rank"], bounds
        ),
    )
    yield table_result(("backbone", "curves"), result.curves)
    yield from patients_result(("backbone", "patients"), SPLIT, patients, ledger)
    yield findings_result(KEY, HEALTH, findings, result.card)
