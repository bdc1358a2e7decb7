"""The gates' self-supervised training, on series of every contrast.

Belongs here: launching it and judging its health. Does not belong here: gates, fused forward, losses
(``spine_models.encoder.synthesizer``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.frozen import FROZEN, tars_of
from pipelines.runtime.metadata import artifact_out, artifact_result, curve_plot, table_out, table_result
from pipelines.runtime.provenance import (
    Training,
    findings_result,
    of_all_partitions,
    only_train_patients,
    patients_out,
    patients_result,
    publish_trained,
    seen_patients,
)
from pipelines.runtime.resources import Hospital
from pipelines.runtime.training import TrainingJob, launch
from spine_models.encoder.backbone.tables import CURVES

LAYER = "encoder"
CODE_VERSION = "1"
KEY = ("synthesizer", "fused")
HEALTH = dg.AssetCheckSpec(
    "gates_are_healthy",
    asset=KEY,
    description="DINO loss off its plateau, two views of a slice find each other, rank not falling, no bad step.",
)
SPLIT = only_train_patients(("synthesizer", "patients"))


@dg.multi_asset(
    name="synthesizer",
    ins=FROZEN,
    deps=of_all_partitions(["backbone", "anchored"]),
    outs={
        "fused": artifact_out(
            KEY,
            "Gates that mix both encoders layer by layer, from the input.",
            kinds={"torch", "safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "curves": table_out(
            ("synthesizer", "curves"),
            CURVES,
            "Losses and health of the gates' self-supervised training by step.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "patients": patients_out(("synthesizer", "patients"), layer=LAYER, code_version=CODE_VERSION),
    },
    check_specs=[HEALTH, SPLIT],
    pool="gpu",
)
def fused(
    context: AssetExecutionContext,
    config: Training,
    hospital: Hospital,
    manifest: pl.DataFrame,
    ledger: pl.DataFrame,
) -> Iterator[object]:
    """Train the gates; without both trained encoders, publish none and say why."""
    from spine_models.encoder.backbone.health import health
    from spine_models.encoder.synthesizer.train import training_settings

    numbers, encoders = hospital.numbers, hospital.newest_encoders()
    sections = {
        "backbone": numbers.backbone.model_dump(mode="json"),
        "synthesizer": numbers.synthesizer.model_dump(mode="json"),
    }
    parents = {"encoders": {route: root.name for route, root in encoders.items()}}
    identity = {**sections, **parents, "shards": manifest["sha256"].sort().to_list()}
    inputs = {
        "tars": tars_of(hospital, manifest),
        "encoders": {route: str(root) for route, root in encoders.items()},
    }
    work = hospital.training_folder(KEY, None, identity, code_version=CODE_VERSION)
    job = TrainingJob("synthesize", "training gates", sections, inputs, str(work), config.resume)
    result = launch(context, job, numbers.backbone.processes)
    patients = seen_patients(hospital, manifest, result, training="synthesize", route="all")
    whom = {"patients": patients, "ledger": ledger, "manifest": manifest}
    version = publish_trained(hospital, KEY, None, result, **whom, **parents)
    findings = health(result.curves, training_settings(numbers.backbone, numbers.synthesizer))
    yield artifact_result(
        KEY,
        version,
        trained=result.card["trained"],
        variant=numbers.synthesizer.variant,
        curves=curve_plot(result.curves, ["dino", "ibot", "koleo", "view_retrieval", "effective_rank"]),
    )
    yield table_result(("synthesizer", "curves"), result.curves)
    yield from patients_result(("synthesizer", "patients"), SPLIT, patients, ledger)
    yield findings_result(KEY, HEALTH, findings, result.card)
