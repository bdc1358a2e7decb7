"""clip: both encoders aligned with the reports of the train split.

Belongs here: launching the alignment and judging what held-out studies find. Does not belong here: poolers, text
encoders, losses (``spine_models.encoder.clip``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext
from pydantic import Field

from pipelines.runtime.alignments import Order, with_reports
from pipelines.runtime.frozen import FROZEN
from pipelines.runtime.metadata import (
    artifact_out,
    artifact_result,
    curve_plot,
    markdown,
    table_out,
    table_result,
)
from pipelines.runtime.provenance import (
    Training,
    findings_result,
    of_all_partitions,
    only_train_patients,
    patients_out,
    patients_result,
)
from pipelines.runtime.resources import Hospital
from spine_models.config import ClipSettings
from spine_models.encoder.clip import tables

LAYER = "encoder"
CODE_VERSION = "1"
KEY = ("clip", "aligned")
HEALTH = dg.AssetCheckSpec(
    "held_out_pairs_are_found",
    asset=KEY,
    description="Held-out studies and reports find each other more often than by chance; no bad step.",
)
SPLIT = only_train_patients(("clip", "patients"))


class Alignment(Training):
    """Another variant can be asked for, too."""

    variant: str | None = Field(None, description="tri_modal, bi_modal or concat; None takes the profile's")


@dg.multi_asset(
    name="clip",
    ins=FROZEN,
    deps=of_all_partitions(["backbone", "anchored"], ["deid", "reports"]),
    outs={
        "aligned": artifact_out(
            KEY,
            "Poolers, projections and text encoder that put studies and reports into one space.",
            kinds={"torch", "safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "curves": table_out(
            ("clip", "curves"),
            tables.CURVES,
            "Losses of the alignment by step.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "retrieval": table_out(
            ("clip", "retrieval"),
            tables.RETRIEVAL,
            "What held-out studies and reports find, beside chance.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "patients": patients_out(("clip", "patients"), layer=LAYER, code_version=CODE_VERSION),
    },
    check_specs=[HEALTH, SPLIT],
    pool="gpu",
)
def aligned(
    context: AssetExecutionContext,
    config: Alignment,
    hospital: Hospital,
    manifest: pl.DataFrame,
    ledger: pl.DataFrame,
) -> Iterator[object]:
    """Align in a subprocess; without trained encoders or enough studies, publish it untrained and say why."""
    from spine_models.encoder.clip.health import clip_health

    settings = hospital.numbers.clip
    if config.variant is not None:
        settings = ClipSettings.model_validate(settings.model_dump() | {"variant": config.variant})
    order = Order(context, hospital, manifest, ledger, KEY, CODE_VERSION, config.resume)
    made = with_reports(order, settings)
    result = made.result
    retrieval = result.tables["retrieval"]
    yield artifact_result(
        KEY,
        made.version,
        trained=result.card["trained"],
        variant=settings.variant,
        retrieval=markdown(retrieval),
        curves=curve_plot(result.curves, ["loss", "scale", "val_recall_5", "val_median_rank"]),
    )
    yield table_result(("clip", "curves"), result.curves)
    yield table_result(("clip", "retrieval"), retrieval)
    yield from patients_result(("clip", "patients"), SPLIT, made.patients, ledger)
    yield findings_result(KEY, HEALTH, clip_health(result.curves, retrieval), result.card)
