"""The gates' training with reports, and the gates as a table.

Belongs here: launching it, judging what held-out studies find before and after, exporting the gates. Does not belong
here: the training itself (``spine_models.encoder.synthesizer.align``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.alignments import Order, of_gates_with_reports
from pipelines.runtime.frozen import FROZEN, frozen_slices
from pipelines.runtime.metadata import (
    artifact_out,
    artifact_result,
    curve_plot,
    markdown,
    table_out,
    table_result,
)
from pipelines.runtime.pictures import gate_plot
from pipelines.runtime.provenance import (
    Training,
    findings_result,
    of_all_partitions,
    only_train_patients,
    patients_out,
    patients_result,
)
from pipelines.runtime.resources import Hospital
from spine_models.encoder.synthesizer import tables

LAYER = "encoder"
CODE_VERSION = "1"
KEY = ("synthesizer", "aligned")
HEALTH = dg.AssetCheckSpec(
    "held_out_pairs_are_found",
    asset=KEY,
    description="Held-out studies and reports find each other more often than by chance; no bad step.",
)
SPLIT = only_train_patients(("synthesizer", "align_patients"))


@dg.multi_asset(
    name="synthesizer_aligned",
    ins=FROZEN,
    deps=[
        *of_all_partitions(["backbone", "anchored"], ["deid", "reports"]),
        ["synthesizer", "fused"],
        ["clip", "aligned"],
    ],
    outs={
        "aligned": artifact_out(
            KEY,
            "The gates after training with reports, and a head that puts studies of any sequence beside reports.",
            kinds={"torch", "safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "align_curves": table_out(
            ("synthesizer", "align_curves"),
            tables.ALIGN_CURVES,
            "Losses of the training with reports by step.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "retrieval": table_out(
            ("synthesizer", "retrieval"),
            tables.ALIGN_RETRIEVAL,
            "What held-out studies and reports find, before and after, beside chance.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "gates": table_out(
            ("synthesizer", "gates"),
            tables.GATES,
            "Which encoder the gates trust, per series and layer.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "align_patients": patients_out(
            ("synthesizer", "align_patients"), layer=LAYER, code_version=CODE_VERSION
        ),
    },
    check_specs=[HEALTH, SPLIT],
    pool="gpu",
)
def aligned(
    context: AssetExecutionContext,
    config: Training,
    hospital: Hospital,
    manifest: pl.DataFrame,
    ledger: pl.DataFrame,
) -> Iterator[object]:
    """Train the gates on with reports; without gates or a trained alignment, publish none and say why."""
    from spine_models.encoder.synthesizer.files import load_fused
    from spine_models.encoder.synthesizer.gate_table import gate_table
    from spine_models.encoder.synthesizer.health import align_health
    from spine_models.encoder.synthesizer.series import series_images

    settings = hospital.numbers.synthesizer
    start, clip = hospital.current(("synthesizer", "fused")), hospital.newest(("clip", "aligned"))
    order = Order(context, hospital, manifest, ledger, KEY, CODE_VERSION, config.resume)
    made = of_gates_with_reports(order, settings, start=start, clip=clip)
    result = made.result
    retrieval, gates = result.tables["retrieval"], pl.DataFrame(schema=tables.GATES)
    if result.card["trained"]:
        encoders = hospital.newest_encoders()
        slices = frozen_slices(hospital, manifest, ["series_key", "slice_key", "slice_index", "contrast"])
        roots = hospital.artifacts(("shards", "tars"), slices["batch_key"].unique().sort().to_list())
        model = load_fused(hospital.newest(KEY), encoders["t1"], encoders["t2"])
        series = series_images(slices, roots, per_series=settings.exported_slices)
        gates = gate_table(model.encoder, series)
    yield artifact_result(
        KEY,
        made.version,
        trained=result.card["trained"],
        variant=settings.variant,
        retrieval=markdown(retrieval),
        curves=curve_plot(result.curves, ["loss", "val_recall_5", "val_median_rank"]),
    )
    yield table_result(("synthesizer", "align_curves"), result.curves)
    yield table_result(("synthesizer", "retrieval"), retrieval)
    yield table_result(("synthesizer", "gates"), gates, trust=gate_plot(gates))
    yield from patients_result(("synthesizer", "align_patients"), SPLIT, made.patients, ledger)
    yield findings_result(KEY, HEALTH, align_health(result.curves, retrieval), result.card)
