"""localization: fitted on annotations of train patients, scored on test patients beside two priors.

Belongs here: wiring of the fit, its scores and pictures. Does not belong here: heads, metrics
(``spine_models.findings.localization``), drawing (``pipelines.runtime.figures``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.figures.localization import box_overlays, level_overlay
from pipelines.runtime.metadata import (
    artifact_out,
    artifact_result,
    counts,
    interval_plot,
    markdown,
    table_out,
    table_result,
)
from pipelines.runtime.progress import reporter
from pipelines.runtime.provenance import of_all_partitions
from pipelines.runtime.resources import Hospital
from spine_models.domain import condition_keys
from spine_models.encoder.seen import PATIENTS
from spine_models.findings.localization import tables

LAYER = "findings"
CODE_VERSION = "2"
ACCOUNTED = dg.AssetCheckSpec(
    "every_condition_is_accounted",
    asset=["localization", "scores"],
    description="Each condition has a row per supervision and method: evaluated, or why not.",
    blocking=True,
)
SPLIT = dg.AssetCheckSpec(
    "only_train_patients",
    asset=["localization", "patients"],
    description="Heads were fitted on train patients and chosen by train and validation patients alone.",
    blocking=True,
)


@dg.multi_asset(
    name="localization_models",
    ins={
        "annotations": dg.AssetIn(["deid", "annotations"]),
        "splits": dg.AssetIn(["shards", "splits"]),
    },
    deps=[
        ["shards", "slices"],
        ["shards", "tars"],
        ["embeddings", "slices"],
        ["probes", "heads"],
        *of_all_partitions(["backbone", "anchored"]),
    ],
    outs={
        "models": artifact_out(
            ("localization", "models"),
            "Slice and box heads by condition and route, level ladders, their calibration.",
            kinds={"safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "scores": table_out(
            ("localization", "scores"),
            tables.SCORES,
            "Slice and box scores on test patients by condition, supervision and method, with intervals.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "level_scores": table_out(
            ("localization", "level_scores"),
            tables.LEVEL_SCORES,
            "How often the level is right on test patients, by region, beside the prior.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "patients": table_out(
            ("localization", "patients"),
            PATIENTS,
            "Whose annotations the heads were fitted on, and whose chose among them.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    check_specs=[ACCOUNTED, SPLIT],
    pool="gpu",
)
def models(hospital: Hospital, annotations: pl.DataFrame, splits: pl.DataFrame) -> Iterator[object]:
    """Read annotated studies batch by batch, fit, score, publish."""
    from spine_models.encoder.backbone.encoder import load_encoder
    from spine_models.findings.localization.learn import annotated_studies, learn
    from spine_models.findings.localization.models import save_models
    from spine_models.findings.localization.tokens import Sources
    from spine_models.findings.probes.heads import load_heads

    wanted = annotated_studies(annotations)
    batches = wanted["batch_key"].unique().sort().to_list()
    lake = hospital.lake
    frames = [
        lake.read_table(("shards", "slices"), [batch]).join(wanted, on=["batch_key", "study_key"], how="semi")
        for batch in batches
    ]
    empty = lake.read_table(("shards", "slices"), lake.partitions(("shards", "slices"))[:1]).clear()
    sources = Sources(
        {route: load_encoder(folder) for route, folder in hospital.encoders().items()},
        hospital.artifacts(("shards", "tars"), batches),
        reporter("localization", "slices"),
    )

    def vectors_of(slices: pl.DataFrame) -> Iterator[pl.DataFrame]:
        for (batch,), part in slices.group_by("batch_key", maintain_order=True):
            yield lake.read_table(("embeddings", "slices"), [str(batch)]).join(
                part, on="slice_key", how="semi"
            )

    learned = learn(
        annotations,
        pl.concat([empty, *frames]),
        splits,
        vectors_of,
        load_heads(hospital.current(("probes", "heads"))),
        sources,
        settings=hospital.numbers.localization,
    )
    with hospital.draft(("localization", "models")) as draft:
        draft.card = save_models(learned.models, draft.folder)
    yield artifact_result(
        ("localization", "models"),
        draft.version,
        heads=len(learned.models.slice_heads),
        missing=len(learned.models.card["missing"]),
        lost=markdown(learned.targets.lost),
    )
    shown = learned.scores.filter(pl.col("supervision") == "supervised")
    yield table_result(
        ("localization", "scores"),
        learned.scores,
        by_status=counts(learned.scores, "status"),
        slice_auroc=interval_plot(
            shown, "condition", "slice_auroc", "slice_auroc_low", "slice_auroc_high", "method"
        ),
        table=markdown(
            shown.filter(pl.col("method") == "model").select(
                "condition", "n_patients", "slice_auroc", "slice_top1", "iou", "centre_distance_mm"
            )
        ),
        boxes=box_overlays(learned.boxes, learned.slices, sources.shard_roots),
    )
    yield table_result(
        ("localization", "level_scores"),
        learned.level_scores,
        table=markdown(learned.level_scores),
        levels=level_overlay(
            learned.models.levels, learned.views, learned.targets.frame, learned.slices, sources
        ),
    )
    yield table_result(
        ("localization", "patients"), learned.patients, by_role=counts(learned.patients, "role")
    )
    groups = learned.scores.group_by("supervision", "method").agg(pl.col("condition").n_unique())
    yield dg.AssetCheckResult(
        asset_key=["localization", "scores"],
        check_name=ACCOUNTED.name,
        passed=groups.height > 0 and (groups["condition"] == len(condition_keys())).all(),
        metadata={"rows": learned.scores.height},
    )
    of_role = {"train": "train", "held_out": "val"}
    wrong = learned.patients.join(
        splits.select("patient_key", "split").unique(), on="patient_key", how="left"
    )
    wrong = wrong.filter(pl.col("split").ne_missing(pl.col("role").replace_strict(of_role)))
    yield dg.AssetCheckResult(
        asset_key=["localization", "patients"],
        check_name=SPLIT.name,
        passed=wrong.is_empty(),
        metadata={"patients": learned.patients.height, "wrong": wrong.height},
    )
