"""probes: 17 linear probes on frozen vectors beside three baselines, and the heads that the agents use.

Belongs here: wiring of baselines, evaluation and heads. Does not belong here: fitting or metrics
(``spine_models.findings.probes``).
"""

from collections.abc import Iterator

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
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from spine_models.domain import condition_keys
from spine_models.findings.probes import tables

LAYER = "findings"
CODE_VERSION = "1"
COMPLETE = dg.AssetCheckSpec(
    "every_condition_is_accounted",
    asset=["probes", "metrics"],
    description="Each condition has a row per encoder, sequence set and evaluation: evaluated, or why not.",
    blocking=True,
)


@dg.multi_asset(
    name="probe_baselines",
    ins={"slices": dg.AssetIn(["shards", "slices"]), "patients": dg.AssetIn(["shards", "patients"])},
    deps=[["shards", "tars"]],
    outs={
        "baselines": table_out(
            ("probes", "baselines"),
            tables.BASELINES,
            "Study vectors of random initialisation, PCA of pixels and EfficientNet-lite0 with ImageNet weights.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    pool="gpu",
)
def baselines(hospital: Hospital, slices: pl.DataFrame, patients: pl.DataFrame) -> Iterator[object]:
    """Compute the baselines' vectors for every study of the frozen ledger."""
    from spine_models.findings.probes.baselines import baseline_vectors

    frozen = slices.join(patients, on="patient_key", how="semi")
    numbers = hospital.numbers
    vectors = baseline_vectors(
        frozen,
        shard_roots=hospital.artifacts(("shards", "tars"), frozen["batch_key"].unique().sort().to_list()),
        names=numbers.probes.baselines,
        backbone=numbers.backbone,
        settings=numbers.probes,
        progress=reporter("baselines", "slices"),
    )
    yield table_result(("probes", "baselines"), vectors, by_encoder=counts(vectors, "encoder"))


@dg.multi_asset(
    name="probes",
    ins={
        "studies": dg.AssetIn(["embeddings", "studies"]),
        "baselines": dg.AssetIn(["probes", "baselines"]),
        "consensus": dg.AssetIn(["labels", "consensus"]),
        "patients": dg.AssetIn(["shards", "patients"]),
    },
    outs={
        "metrics": table_out(
            ("probes", "metrics"),
            tables.METRICS,
            "AUROC, AUPRC, Brier and ECE with intervals per condition, encoder, sequence set and evaluation.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "predictions": table_out(
            ("probes", "predictions"),
            tables.PREDICTIONS,
            "Every out-of-fold and held-out probability.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "heads": artifact_out(
            ("probes", "heads"),
            "Calibrated heads fitted on the train patients; the diagnosis agents' weights.",
            kinds={"safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    check_specs=[COMPLETE],
)
def probes(
    hospital: Hospital,
    studies: pl.DataFrame,
    baselines: pl.DataFrame,
    consensus: pl.DataFrame,
    patients: pl.DataFrame,
) -> Iterator[object]:
    """Evaluate by patient-grouped cross-validation and on the held-out patients; fit the heads."""
    from spine_models.findings.probes.evaluate import evaluate_probes
    from spine_models.findings.probes.heads import fit_heads

    settings = hospital.numbers.probes
    evaluated = evaluate_probes(studies, baselines, consensus, patients, settings=settings)
    metrics = evaluated.metrics
    shown = metrics.filter((pl.col("sequence_set") == "all") & (pl.col("evaluation") == "cv"))
    yield table_result(
        ("probes", "metrics"),
        metrics,
        by_status=counts(metrics, "status"),
        auroc=interval_plot(shown, "condition", "auroc", "auroc_low", "auroc_high", "encoder"),
        table=markdown(
            shown.filter(pl.col("encoder") == "spinefm").select(
                "condition", "n_positive", "auroc", "auprc", "ece"
            )
        ),
    )
    yield table_result(("probes", "predictions"), evaluated.predictions)
    with hospital.draft(("probes", "heads")) as draft:
        draft.card = fit_heads(studies, consensus, patients, settings=settings, out=draft.folder)
    yield artifact_result(("probes", "heads"), draft.version)
    groups = metrics.group_by("encoder", "sequence_set", "evaluation").agg(pl.col("condition").n_unique())
    yield dg.AssetCheckResult(
        asset_key=["probes", "metrics"],
        check_name=COMPLETE.name,
        passed=groups.height > 0 and (groups["condition"] == len(condition_keys())).all(),
        metadata={"rows": metrics.height, "groups": groups.height},
    )
