"""The report model's decoder and its two trainings.

Belongs here: launching them and judging what came out. Does not belong here: decoders, projectors, losses
(``spine_models.reporting.llava``).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

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
    publish_trained,
)
from pipelines.runtime.report_model import DECODER, TUNED, WARMED, models_folder, training_inputs
from pipelines.runtime.resources import Hospital
from pipelines.runtime.training import Trained, TrainingJob, launch
from spine_models.encoder.seen import patients_of_studies
from spine_models.reporting.llava import tables

LAYER = "reporting"
CODE_VERSION = "2"
READ = [
    *of_all_partitions(
        ["embeddings", "slices"], ["agents", "claims"], ["retrieval", "neighbours"], ["deid", "reports"]
    ),
    ["probes", "predictions"],
    ["probes", "operating_points"],
    ["localization", "level_predictions"],
    ["instructions", "items"],
]
"""What every training of this stage reads, of the batches that the manifest froze."""

NOTHING = "no slices were frozen to train on"


def _curves_out(key: tuple[str, str], what: str) -> dg.AssetOut:
    return table_out(key, tables.CURVES, f"Losses of {what} by step.", layer=LAYER, code_version=CODE_VERSION)


def _health(key: tuple[str, str]) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        "loss_falls",
        asset=key,
        description="Losses at the end are below those at the beginning; no bad step.",
    )


DECODER_SPLIT = only_train_patients(("llava", "decoder_patients"))
WARMED_SPLIT = only_train_patients(("llava", "warmed_patients"))
TUNED_SPLIT = only_train_patients(("llava", "tuned_patients"))
WARMED_HEALTH, TUNED_HEALTH = _health(WARMED), _health(TUNED)


@dg.multi_asset(
    name="llava_decoder",
    ins=FROZEN,
    deps=READ,
    outs={
        "decoder": artifact_out(
            DECODER,
            "The language model that reports are written with: one of SPINE_ROOT/models, or a small one of our own.",
            kinds={"torch", "safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "decoder_curves": _curves_out(("llava", "decoder_curves"), "training our own decoder"),
        "decoder_patients": patients_out(
            ("llava", "decoder_patients"), layer=LAYER, code_version=CODE_VERSION
        ),
    },
    check_specs=[DECODER_SPLIT],
    pool="gpu",
)
def decoder(
    context: AssetExecutionContext,
    config: Training,
    hospital: Hospital,
    manifest: pl.DataFrame,
    ledger: pl.DataFrame,
) -> Iterator[object]:
    """Point to the decoder that the profile names, or train a small one on train patients' texts."""
    from spine_models.reporting.llava.decoder import point_to

    settings = hospital.numbers.llava
    curves, seen = pl.DataFrame(schema=tables.CURVES), pl.DataFrame(schema=tables.SEEN)
    if settings.decoder is not None:
        with hospital.draft(DECODER) as draft:
            version = point_to(draft.folder, settings.decoder, models_folder(hospital))
            card: dict[str, Any] = {"name": settings.decoder, "version": version, "trained": True}
            draft.card = {"training": card}
        published, patients = draft.version, patients_of_studies(seen, training="decoder")
    else:
        inputs, parents = training_inputs(hospital, manifest, ledger)
        if inputs:
            job = _job(
                hospital, config, "train_decoder", "training a small decoder", DECODER, inputs, parents
            )
            result = launch(context, job, 1)
        else:
            result = _untrained(hospital, DECODER, NOTHING)
        card, curves = result.card, result.curves
        patients = patients_of_studies(result.seen, training="decoder")
        published = _published(hospital, DECODER, result, patients, ledger, manifest, parents)
    yield artifact_result(
        DECODER,
        published,
        trained=card["trained"],
        model=card.get("name", "none"),
        says=card.get("says") or card.get("reason") or "as it came",
        curves=curve_plot(curves, ["loss", "lr"]),
    )
    yield table_result(("llava", "decoder_curves"), curves)
    yield from patients_result(("llava", "decoder_patients"), DECODER_SPLIT, patients, ledger)


@dg.multi_asset(
    name="llava_warmed",
    ins=FROZEN,
    deps=[*READ, list(DECODER)],
    outs={
        "warmed": artifact_out(
            WARMED,
            "The projector that turns a study's slice vectors into tokens of the decoder, before tuning.",
            kinds={"torch", "safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "warmed_curves": _curves_out(("llava", "warmed_curves"), "warming up the projector"),
        "warmed_patients": patients_out(("llava", "warmed_patients"), layer=LAYER, code_version=CODE_VERSION),
    },
    check_specs=[WARMED_HEALTH, WARMED_SPLIT],
    pool="gpu",
)
def warmed(
    context: AssetExecutionContext,
    config: Training,
    hospital: Hospital,
    manifest: pl.DataFrame,
    ledger: pl.DataFrame,
) -> Iterator[object]:
    """Train the projector alone on the frozen decoder; without a decoder or enough reports say why."""
    inputs, parents = training_inputs(hospital, manifest, ledger)
    above, reason = _decoder(hospital)
    if not inputs:
        reason = NOTHING
    elif reason is None:
        untrained = set(hospital.untrained_encoders())
        if blind := sorted(
            route for route, (_, model, _) in parents["encoders"].items() if model in untrained
        ):
            reason = f"the encoder of route {' and '.join(blind)} was not trained"
    yield from _trained(
        context, config, hospital, manifest, ledger, "warm_up", WARMED, WARMED_HEALTH, WARMED_SPLIT,
        inputs | above, parents, reason,
    )  # fmt: skip


@dg.multi_asset(
    name="llava_tuned",
    ins=FROZEN,
    deps=[*READ, list(DECODER), list(WARMED)],
    outs={
        "tuned": artifact_out(
            TUNED,
            "The report model: projector, special tokens and LoRA weights for the decoder.",
            kinds={"torch", "safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "tuned_curves": _curves_out(("llava", "tuned_curves"), "tuning the report model"),
        "tuned_patients": patients_out(("llava", "tuned_patients"), layer=LAYER, code_version=CODE_VERSION),
        "fitness": table_out(
            ("llava", "fitness"),
            tables.FITNESS,
            "Whether the report model says what it is told, on studies that it was not trained on.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    check_specs=[TUNED_HEALTH, TUNED_SPLIT],
    pool="gpu",
)
def tuned(
    context: AssetExecutionContext,
    config: Training,
    hospital: Hospital,
    manifest: pl.DataFrame,
    ledger: pl.DataFrame,
) -> Iterator[object]:
    """Tune adapters and projector on reports and instruction items; without a warmed model say why."""
    inputs, parents = training_inputs(hospital, manifest, ledger)
    above, reason = _decoder(hospital)
    if not inputs:
        reason = NOTHING
    elif reason is None:
        card = hospital.lake.card(WARMED)["training"]
        above["warmed"] = str(hospital.current(WARMED))
        if not card["trained"]:
            reason = f"llava/warmed was not trained: {card.get('reason', 'it was stopped')}"
    yield from _trained(
        context, config, hospital, manifest, ledger, "tune", TUNED, TUNED_HEALTH, TUNED_SPLIT,
        inputs | above, parents, reason,
    )  # fmt: skip


def _decoder(hospital: Hospital) -> tuple[dict[str, Any], str | None]:
    """Inputs of a training on the published decoder, or why there is none that it can rest on."""
    from spine_models.reporting.llava.decoder import located

    card = hospital.lake.card(DECODER)["training"]
    if not card["trained"]:
        return {}, f"llava/decoder was not trained: {card.get('reason', 'it was stopped')}"
    folder, version = located(hospital.current(DECODER), models_folder(hospital))
    return {"decoder": str(folder), "decoder_version": version}, None


def _job(
    hospital: Hospital,
    config: Training,
    trainer: str,
    label: str,
    key: tuple[str, str],
    inputs: dict[str, Any],
    parents: dict[str, Any],
) -> TrainingJob:
    sections = {"llava": hospital.numbers.llava.model_dump(mode="json")}
    above = {name: value for name, value in inputs.items() if name in ("decoder_version", "warmed")}
    folder = hospital.training_folder(key, None, {**sections, **parents, **above}, code_version=CODE_VERSION)
    return TrainingJob(trainer, label, sections, inputs | {"parents": parents}, str(folder), config.resume)


def _published(
    hospital: Hospital,
    key: tuple[str, str],
    result: Trained,
    patients: pl.DataFrame,
    ledger: pl.DataFrame,
    manifest: pl.DataFrame,
    parents: dict[str, Any],
) -> str:
    whom = {"patients": patients, "ledger": ledger, "manifest": manifest}
    above = {name: value for name, value in parents.items() if name != "manifest"}
    return publish_trained(hospital, key, None, result, **whom, **{"parents": above})


def _trained(
    context: AssetExecutionContext,
    config: Training,
    hospital: Hospital,
    manifest: pl.DataFrame,
    ledger: pl.DataFrame,
    trainer: str,
    key: tuple[str, str],
    health: dg.AssetCheckSpec,
    split: dg.AssetCheckSpec,
    inputs: dict[str, Any],
    parents: dict[str, Any],
    reason: str | None,
) -> Iterator[object]:
    """One training: launched where it can be, published in any case, with what is said of it."""
    from spine_models.reporting.llava.health import llava_health

    thing = key[1]
    label = {"warm_up": "warming up the report model", "tune": "tuning the report model"}[trainer]
    if reason is None:
        job = _job(hospital, config, trainer, label, key, inputs, parents)
        result = launch(context, job, hospital.numbers.llava.processes)
    else:
        result = _untrained(hospital, key, reason)
    patients = patients_of_studies(result.seen, training=thing)
    version = _published(hospital, key, result, patients, ledger, manifest, parents)
    fitness = result.tables.get("fitness", pl.DataFrame(schema=tables.FITNESS))
    said: dict[str, Any] = {"trained": result.card["trained"]}
    if thing == "tuned":
        said |= {
            "fit_for_drafts": bool(result.card.get("fit_for_drafts")),
            "why_not": result.card.get("fit_reason") or result.card.get("reason") or "it is",
            "fitness": markdown(fitness),
        }
    yield artifact_result(key, version, **said, curves=curve_plot(result.curves, ["loss", "val_loss"]))
    yield table_result(("llava", f"{thing}_curves"), result.curves)
    if thing == "tuned":
        yield table_result(("llava", "fitness"), fitness)
    yield from patients_result(("llava", f"{thing}_patients"), split, patients, ledger)
    yield findings_result(key, health, llava_health(result.curves), result.card)


def _untrained(hospital: Hospital, key: tuple[str, str], reason: str) -> Trained:
    """What a training that could not begin leaves."""
    return Trained(
        folder=hospital.training_root / "-".join([*key, "none"]),
        files=[],
        curves=pl.DataFrame(schema=tables.CURVES),
        seen=pl.DataFrame(schema=tables.SEEN),
        card={"trained": False, "steps": 0, "reason": reason},
    )
