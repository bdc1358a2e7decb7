"""Gram anchoring of one route's encoder.

Belongs here: launching it on the route's published encoder and showing what it did to the patches. Does not belong
here: the stage itself (``spine_models.encoder.backbone.anchor``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.frozen import FROZEN, frozen_slices, handed_over, tars_of
from pipelines.runtime.metadata import artifact_out, artifact_result, curve_plot, table_out, table_result
from pipelines.runtime.partitions import encoder_sequences
from pipelines.runtime.pictures import patch_sheet
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
CODE_VERSION = "1"
KEY = ("backbone", "anchored")
SHOWN = 4
"""Slices of the picture."""
HEALTH = dg.AssetCheckSpec(
    "anchoring_is_healthy",
    asset=KEY,
    description="Gram loss falls, DINO stays below its bound, views still find each other, no bad step.",
)
SPLIT = only_train_patients(("backbone", "gram_patients"))


@dg.multi_asset(
    name="anchored",
    ins=FROZEN,
    deps=[dg.AssetDep(["backbone", "encoder"])],
    outs={
        "anchored": artifact_out(
            KEY,
            "The route's encoder after Gram anchoring; what everything downstream embeds with.",
            kinds={"torch", "safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "gram_curves": table_out(
            ("backbone", "gram_curves"),
            tables.CURVES,
            "Losses and health of the anchoring by step.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "gram_patients": patients_out(("backbone", "gram_patients"), layer=LAYER, code_version=CODE_VERSION),
    },
    partitions_def=encoder_sequences,
    check_specs=[HEALTH, SPLIT],
    pool="gpu",
)
def anchored(
    context: AssetExecutionContext,
    config: Training,
    hospital: Hospital,
    manifest: pl.DataFrame,
    ledger: pl.DataFrame,
) -> Iterator[object]:
    """Train the encoder on, held to its own patch similarities; where that cannot be, pass it on as it is."""
    from spine_models.encoder.backbone.encoder import load_encoder
    from spine_models.encoder.backbone.gram_health import gram_health
    from spine_models.encoder.backbone.gram_teacher import too_coarse
    from spine_models.encoder.backbone.samples import sample_slices

    route, numbers = context.partition_key, hospital.numbers
    seen = manifest.filter(pl.col("route") == route)
    start = hospital.current(("backbone", "encoder"), route)
    sections = {
        "backbone": numbers.backbone.model_dump(mode="json"),
        "gram": numbers.gram.model_dump(mode="json"),
    }
    identity = {**sections, "start": start.name, "shards": seen["sha256"].sort().to_list()}
    work, tars = (
        hospital.training_folder(KEY, route, identity, code_version=CODE_VERSION),
        tars_of(hospital, seen),
    )
    resolution = frozen_slices(hospital, seen, ["slice_key", "size_px", "scale", "pixel_spacing_mm"])
    coarse = too_coarse(resolution, numbers.backbone, numbers.gram)
    given = handed_over(
        work, coarse=pl.DataFrame({"slice_key": sorted(coarse)}, schema={"slice_key": pl.String})
    )
    job = TrainingJob(
        "anchor",
        f"anchoring {route}",
        sections,
        {"route": route, "tars": tars, "start": str(start), **given},
        str(work),
        config.resume,
    )
    result = launch(context, job, numbers.backbone.processes)
    patients = seen_patients(hospital, manifest, result, training="anchor", route=route)
    whom = {"patients": patients, "ledger": ledger, "manifest": manifest}
    version = publish_trained(hospital, KEY, route, result, **whom, encoder=start.name)
    images = sample_slices(tars, SHOWN, seed=numbers.gram.seed)
    pictures = {}
    if len(images):
        before, after = load_encoder(start), load_encoder(hospital.newest(KEY, route))
        pictures["patches"] = patch_sheet(images, before.encode_patches(images), after.encode_patches(images))
    yield artifact_result(
        KEY,
        version,
        trained=result.card["trained"],
        start=start.name,
        too_coarse=len(coarse),
        curves=curve_plot(result.curves, ["gram", "dino", "ibot", "view_retrieval", "effective_rank"]),
        **pictures,
    )
    yield table_result(("backbone", "gram_curves"), result.curves)
    yield from patients_result(("backbone", "gram_patients"), SPLIT, patients, ledger)
    findings = gram_health(result.curves, numbers.backbone)
    yield findings_result(KEY, HEALTH, findings, result.card)
