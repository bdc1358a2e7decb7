"""Trainings that only answer a question: other alignments, other gates.

Belongs here: launching them from the same frozen data as the models in use. Does not belong here: the trainings
themselves, and what their vectors are worth (``scores``).
"""

from collections.abc import Callable, Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.alignments import Made, Order, of_gates_from_the_start, with_reports
from pipelines.runtime.frozen import FROZEN
from pipelines.runtime.metadata import artifact_out, artifact_result, curve_plot, markdown
from pipelines.runtime.provenance import (
    Training,
    of_all_partitions,
    only_train_patients,
    patients_out,
    patients_result,
)
from pipelines.runtime.resources import Hospital
from spine_models.config import ClipSettings, SynthesizerSettings

LAYER = "findings"
CODE_VERSION = "1"


def clip_key(variant: str) -> tuple[str, str]:
    """Asset key of another alignment."""
    return ("ablations", f"clip_{variant}")


def gates_key(variant: str) -> tuple[str, str]:
    """Asset key of other gates."""
    return ("ablations", f"gates_{variant}")


def _asset(
    key: tuple[str, str],
    description: str,
    deps: list[list[str] | dg.AssetDep],
    train: Callable[[Order, Hospital], Made],
    shown: list[str],
) -> dg.AssetsDefinition:
    patients = (key[0], f"{key[1]}_patients")
    split = only_train_patients(patients)

    @dg.multi_asset(
        name=f"{key[1]}_ablation",
        ins=FROZEN,
        deps=[*of_all_partitions(["backbone", "anchored"], ["deid", "reports"]), *deps],
        outs={
            "model": artifact_out(
                key, description, kinds={"torch", "safetensors"}, layer=LAYER, code_version=CODE_VERSION
            ),
            "patients": patients_out(patients, layer=LAYER, code_version=CODE_VERSION),
        },
        check_specs=[split],
        pool="gpu",
    )
    def ablation(
        context: AssetExecutionContext,
        config: Training,
        hospital: Hospital,
        manifest: pl.DataFrame,
        ledger: pl.DataFrame,
    ) -> Iterator[object]:
        order = Order(context, hospital, manifest, ledger, key, CODE_VERSION, config.resume)
        made = train(order, hospital)
        yield artifact_result(
            key,
            made.version,
            trained=made.result.card["trained"],
            curves=curve_plot(made.result.curves, shown),
            **{name: markdown(frame) for name, frame in made.result.tables.items() if name == "retrieval"},
        )
        yield from patients_result(patients, split, made.patients, ledger)

    return ablation


def _clip(variant: str) -> dg.AssetsDefinition:
    def train(order: Order, hospital: Hospital) -> Made:
        settings = hospital.numbers.clip.model_dump() | {"variant": variant}
        return with_reports(order, ClipSettings.model_validate(settings))

    said = {
        "bi_modal": "T1 aligned with T2, without reports.",
        "concat": "T1 and T2 as one vector, aligned with the report.",
    }
    return _asset(clip_key(variant), said[variant], [], train, ["loss", "scale", "val_recall_5"])


def _gates(variant: str) -> dg.AssetsDefinition:
    def train(order: Order, hospital: Hospital) -> Made:
        settings = hospital.numbers.synthesizer.model_dump() | {"variant": variant}
        clip = hospital.newest(("clip", "aligned"))
        return of_gates_from_the_start(order, SynthesizerSettings.model_validate(settings), clip=clip)

    description = f"The synthesizer with {variant} gates, both of its trainings."
    return _asset(gates_key(variant), description, [["clip", "aligned"]], train, ["loss", "val_recall_5"])


CLIPS = tuple(_clip(variant) for variant in ("bi_modal", "concat"))
GATES = (_gates("scalar"),)
