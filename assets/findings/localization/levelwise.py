"""localization: what every level of a study looks like, heads that judge it, and what they say of each batch.

Belongs here: wiring. Does not belong here: views, fits, boxes (``spine_models.findings.levelwise``).
"""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import polars as pl

from pipelines.runtime.metadata import (
    artifact_out,
    artifact_result,
    counts,
    interval_plot,
    markdown,
    table_out,
    table_result,
)
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.progress import reporter
from pipelines.runtime.provenance import of_all_partitions
from pipelines.runtime.resources import Hospital
from spine_models.domain import condition_keys
from spine_models.encoder.seen import PATIENTS
from spine_models.findings.levelwise import tables

LAYER = "findings"
CODE_VERSION = "1"
VIEWS = ("localization", "level_views")
HEADS = ("localization", "level_heads")
PREDICTIONS = ("localization", "level_predictions")
SKILL = ("localization", "level_skill")
SEEN = ("localization", "level_patients")
FINDINGS = ("localization", "level_findings")
FINITE = dg.AssetCheckSpec(
    "views_are_finite",
    asset=VIEWS,
    description="Every view is a vector of finite numbers, all of one length.",
    blocking=True,
)
ACCOUNTED = dg.AssetCheckSpec(
    "every_condition_has_a_row",
    asset=SKILL,
    description="Each condition is fitted and measured, or says why not.",
    blocking=True,
)
TRAINED_ON = dg.AssetCheckSpec(
    "levels_of_train_patients_alone",
    asset=SEEN,
    description="Heads of levels were fitted on train patients alone.",
    blocking=True,
)
RANKED = dg.AssetCheckSpec(
    "flagged_places_rank_first",
    asset=FINDINGS,
    description="Places of a study and condition are ranked without gaps, flagged ones before the others.",
    blocking=True,
)


@dg.multi_asset(
    name="level_views",
    ins={"slices": dg.AssetIn(["shards", "slices"])},
    deps=[
        ["shards", "tars"],
        ["localization", "models"],
        dg.AssetDep(["backbone", "anchored"], partition_mapping=dg.AllPartitionMapping()),
    ],
    outs={
        "views": table_out(
            VIEWS,
            tables.VIEWS,
            "What every disc and vertebra in view looks like beside the study's other levels, midline and sides.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    partitions_def=study_batches,
    check_specs=[FINITE],
    pool="gpu",
)
def level_views(
    context: dg.AssetExecutionContext, hospital: Hospital, slices: pl.DataFrame
) -> Iterator[object]:
    """Look at the levels of the batch's studies."""
    from spine_models.encoder.backbone.encoder import load_encoder
    from spine_models.findings.levelwise.views import look
    from spine_models.findings.localization.models import load_models
    from spine_models.findings.localization.tokens import Sources

    batch = context.partition_key
    views = look(
        slices,
        load_models(hospital.current(("localization", "models"))),
        Sources(
            {route: load_encoder(folder) for route, folder in hospital.encoders().items()},
            {batch: hospital.current(("shards", "tars"), batch)},
            reporter(f"levels {batch}", "slices"),
        ),
        settings=hospital.numbers.localization,
    )
    yield table_result(
        VIEWS,
        views,
        studies=views["study_key"].n_unique(),
        by_region=counts(views, "region"),
        unsettled=int((~views["settled"]).sum()),
    )
    lengths = {
        length for part in ("centre", "left", "right") for length in views[part].list.len().unique().to_list()
    }
    finite = all(
        bool(views[part].explode().is_finite().all()) for part in ("centre", "left", "right") if views.height
    )
    yield dg.AssetCheckResult(
        asset_key=list(VIEWS),
        check_name=FINITE.name,
        passed=finite and len(lengths) <= 1,
        metadata={"views": views.height},
    )


@dg.multi_asset(
    name="level_heads",
    ins={
        "studies": dg.AssetIn(["deid", "studies"]),
        "consensus": dg.AssetIn(["labels", "consensus"]),
        "mentions": dg.AssetIn(["labels", "mentions"]),
        "splits": dg.AssetIn(["shards", "splits"]),
    },
    deps=[*of_all_partitions(["localization", "level_views"])],
    outs={
        "heads": artifact_out(
            HEADS,
            "One head per condition for every level, and side, of a study; their operating points.",
            kinds={"safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "predictions": table_out(
            PREDICTIONS,
            tables.PREDICTIONS,
            "What the heads say of every level: of train patients out of fold, of the others by the published heads.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "skill": table_out(
            SKILL,
            tables.SKILL,
            "Operating point and skill by condition on test patients, beside a prior that looks at no pixel.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "patients": table_out(
            SEEN, PATIENTS, "Whose reports the heads were fitted on.", layer=LAYER, code_version=CODE_VERSION
        ),
    },
    check_specs=[ACCOUNTED, TRAINED_ON],
)
def level_heads(
    hospital: Hospital,
    studies: pl.DataFrame,
    consensus: pl.DataFrame,
    mentions: pl.DataFrame,
    splits: pl.DataFrame,
) -> Iterator[object]:
    """Fit on the reports of train patients, score on test patients, publish."""
    from spine_models.findings.levelwise.fit import chosen_studies, fit_level_heads
    from spine_models.findings.levelwise.heads import load_level_heads, save_heads
    from spine_models.findings.levelwise.skill import held_out, skill
    from spine_models.findings.levelwise.targets import references

    settings = hospital.numbers.localization
    chosen = chosen_studies(studies, splits, settings)
    lake = hospital.lake
    parts = [
        lake.read_table(VIEWS, [batch]).join(chosen, on="study_key", how="semi", maintain_order="left")
        for batch in lake.partitions(VIEWS)
    ]
    views = pl.concat([pl.DataFrame(schema=tables.VIEWS), *parts])
    reports = references(*(table.join(chosen, on="study_key", how="semi") for table in (consensus, mentions)))
    fitted = fit_level_heads(views, splits, reports, settings=settings)
    with hospital.draft(HEADS) as draft:
        draft.card = save_heads(fitted.heads, draft.folder)
        fitted = replace(fitted, heads=load_level_heads(draft.folder))
    own = fitted.out_of_fold.with_columns(heads_version=pl.lit(fitted.heads.version))
    predictions = pl.concat([own, held_out(views, splits, reports, fitted.heads)])
    table = skill(fitted, predictions, settings=settings)
    yield artifact_result(
        HEADS, draft.version, heads=len(fitted.heads.heads), missing=len(fitted.heads.card["missing"])
    )
    yield table_result(
        PREDICTIONS,
        predictions,
        by_evaluation=counts(predictions, "evaluation"),
        flagged=int(predictions["flagged"].sum()),
    )
    yield table_result(
        SKILL,
        table,
        by_status=counts(table, "status"),
        auroc=interval_plot(
            table.with_columns(method=pl.lit("heads")),
            "condition",
            "auroc",
            "auroc_low",
            "auroc_high",
            "method",
        ),
        table=markdown(
            table.select(
                "condition", "n_positive", "precision", "recall", "auroc", "prior_auroc", "study_auroc"
            )
        ),
    )
    yield table_result(SEEN, fitted.patients, by_role=counts(fitted.patients, "role"))
    silent = table.filter(
        (pl.col("status") != "fitted") & pl.col("reason").is_null()
        | (pl.col("auroc").is_null() & pl.col("unmeasured").is_null())
    )
    yield dg.AssetCheckResult(
        asset_key=list(SKILL),
        check_name=ACCOUNTED.name,
        passed=table["condition"].to_list() == list(condition_keys()) and silent.is_empty(),
        metadata={"silent": silent.height},
    )
    of_train = splits.filter(split="train").select("patient_key").unique()
    wrong = fitted.patients.join(of_train, on="patient_key", how="anti")
    yield dg.AssetCheckResult(
        asset_key=list(SEEN),
        check_name=TRAINED_ON.name,
        passed=wrong.is_empty(),
        metadata={"patients": fitted.patients.height, "wrong": wrong.height},
    )


@dg.multi_asset(
    name="level_findings",
    ins={
        "views": dg.AssetIn(["localization", "level_views"]),
        "slices": dg.AssetIn(["shards", "slices"]),
    },
    deps=[["localization", "level_heads"], ["localization", "models"]],
    outs={
        "findings": table_out(
            FINDINGS,
            tables.FINDINGS,
            "Levels and sides of every study that look affected, with probability and a box.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    partitions_def=study_batches,
    check_specs=[RANKED],
)
def level_findings(hospital: Hospital, views: pl.DataFrame, slices: pl.DataFrame) -> Iterator[object]:
    """Judge every level of the batch's studies."""
    from spine_models.findings.levelwise.heads import load_level_heads
    from spine_models.findings.levelwise.judge import judge
    from spine_models.findings.localization.models import load_models

    found = judge(
        views,
        slices,
        load_level_heads(hospital.current(HEADS)),
        load_models(hospital.current(("localization", "models"))),
        settings=hospital.numbers.localization,
    )
    flagged = found.filter("flagged")
    yield table_result(
        FINDINGS,
        found,
        flagged=counts(flagged, "condition"),
        studies_with_any=flagged["study_key"].n_unique(),
        uncertain_levels=int(flagged["level_uncertain"].sum()),
    )
    place = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("study_key", "condition")
    late = pl.col("flagged") & ~pl.col("flagged").shift(1).over("study_key", "condition").fill_null(True)
    wrong = found.filter((pl.col("rank") != place) | late)
    yield dg.AssetCheckResult(
        asset_key=list(FINDINGS),
        check_name=RANKED.name,
        passed=wrong.is_empty(),
        metadata={"findings": found.height, "wrong": wrong.height},
    )
