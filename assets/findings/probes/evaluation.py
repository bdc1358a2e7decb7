"""probes: 17 probes on frozen vectors beside the baselines, encoders compared, and the heads that the agents use.

Belongs here: wiring of baselines, evaluation and heads. Does not belong here: fitting or metrics
(``spine_models.findings.probes``).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

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
from pipelines.runtime.provenance import of_all_partitions
from pipelines.runtime.resources import Hospital
from spine_models.domain import condition_keys
from spine_models.findings.probes import tables

if TYPE_CHECKING:
    from spine_models.findings.probes.mil import MilFit

LAYER = "findings"
CODE_VERSION = "4"
BASELINES_VERSION = "4"
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
            "Study vectors of random initialisation, PCA of pixels, EfficientNet-lite0 (ImageNet) and models by name.",
            layer=LAYER,
            code_version=BASELINES_VERSION,
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
            "AUROC, AUPRC, Brier, ECE and sensitivity with intervals per condition, encoder, set and evaluation.",
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
        "summary": table_out(
            ("probes", "summary"),
            tables.SUMMARY,
            "Mean scores over the conditions that all compared encoders can be evaluated on.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "comparisons": table_out(
            ("probes", "comparisons"),
            tables.COMPARISONS,
            "Paired differences of SpineFM and every other encoder, with intervals and tests.",
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
    deps=of_all_partitions(["embeddings", "slices"], ["embeddings", "aligned"], ["shards", "slices"]),
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
    from pipelines.runtime.figures.probes import calibration, confusion, curves, means
    from spine_models.findings.probes.evaluate import evaluate_probes
    from spine_models.findings.probes.heads import fit_heads

    settings = hospital.numbers.probes
    mil = _mil(hospital, studies, consensus, patients) if settings.mil else None
    evaluated = evaluate_probes(
        studies,
        baselines,
        consensus,
        patients,
        settings=settings,
        aligned=_aligned(hospital),
        more=mil.judgements if mil else (),
    )
    metrics, predictions = evaluated.metrics, evaluated.predictions
    shown = metrics.filter((pl.col("sequence_set") == "all") & (pl.col("head") == "linear"))
    # Where the vectors of train studies saw their reports there is no cross-validation to show.
    ours = shown.filter((pl.col("encoder") == "spinefm") & (pl.col("status") == "evaluated"))
    shown = shown.filter(pl.col("evaluation") == ("cv" if "cv" in ours["evaluation"] else "test"))
    yield table_result(
        ("probes", "metrics"),
        metrics,
        by_status=counts(metrics, "status"),
        auroc=interval_plot(shown, "condition", "auroc", "auroc_low", "auroc_high", "encoder"),
        confusion=confusion(predictions, metrics),
        table=markdown(
            shown.filter(pl.col("encoder") == "spinefm").select(
                "condition", "n_positive", "auroc", "auprc", "ece", "sensitivity"
            )
        ),
    )
    yield table_result(
        ("probes", "predictions"),
        predictions,
        roc=curves(predictions, metrics, "roc", bootstrap=settings.bootstrap, seed=settings.seed),
        precision_recall=curves(predictions, metrics, "pr", bootstrap=settings.bootstrap, seed=settings.seed),
        calibration=calibration(predictions, metrics),
    )
    yield table_result(("probes", "summary"), evaluated.summary, means=means(evaluated.summary))
    compared = evaluated.comparisons.filter(pl.col("condition").is_null() & (pl.col("status") == "evaluated"))
    yield table_result(
        ("probes", "comparisons"),
        evaluated.comparisons,
        against_the_best_baseline=markdown(
            compared.filter("best_baseline").select(
                "sequence_set", "evaluation", "metric", "encoder", "head", "against", "n_conditions",
                "relative_gain", "relative_gain_low", "relative_gain_high", "p_bootstrap",
            )
        ),
    )  # fmt: skip
    with hospital.draft(("probes", "heads")) as draft:
        draft.card = fit_heads(
            studies,
            consensus,
            patients,
            settings=settings,
            out=draft.folder,
            mil=mil.heads if mil else None,
        )
    yield artifact_result(("probes", "heads"), draft.version)
    groups = metrics.group_by("encoder", "head", "sequence_set", "evaluation").agg(
        pl.col("condition").n_unique()
    )
    yield dg.AssetCheckResult(
        asset_key=["probes", "metrics"],
        check_name=COMPLETE.name,
        passed=groups.height > 0 and (groups["condition"] == len(condition_keys())).all(),
        metadata={"rows": metrics.height, "groups": groups.height},
    )


def _aligned(hospital: Hospital) -> pl.DataFrame | None:
    """Vectors in the space of the reports, of the batches that have them."""
    key = ("embeddings", "aligned")
    batches = hospital.lake.partitions(key)
    return hospital.lake.read_table(key, batches) if batches else None


def _mil(
    hospital: Hospital, studies: pl.DataFrame, consensus: pl.DataFrame, patients: pl.DataFrame
) -> "MilFit":
    """Attention heads over the slices, read a batch at a time, each slice with its place along its series."""
    from spine_models.findings.probes.bags import in_order
    from spine_models.findings.probes.mil import fit_mil

    key, shards = ("embeddings", "slices"), ("shards", "slices")
    batches = studies["batch_key"].unique().sort().to_list()
    return fit_mil(
        (
            in_order(hospital.lake.read_table(key, [batch]), hospital.lake.read_table(shards, [batch]))
            for batch in batches
        ),
        consensus,
        patients,
        settings=hospital.numbers.probes,
        progress=reporter("mil", "networks"),
    )
