"""probes: how far the heads can be trusted, and the guards that keep them silent where they cannot.

Belongs here: wiring of the guards with their measured coverage, of the strata, and of the null test. Does not belong
here: measuring (``spine_models.findings.probes.strata``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.figures import strata as figures
from pipelines.runtime.metadata import (
    artifact_out,
    artifact_result,
    counts,
    markdown,
    table_out,
    table_result,
)
from pipelines.runtime.resources import Hospital
from spine_models.findings.probes.strata import tables

LAYER = "findings"
CODE_VERSION = "3"
CALIBRATED = dg.AssetCheckSpec(
    "only_train_patients_calibrate",
    asset=["probes", "guard_patients"],
    description="Scope is calibrated on patients of train alone, abstention on those of train or val.",
    blocking=True,
)
COVERED = dg.AssetCheckSpec(
    "coverage_is_as_promised",
    asset=["probes", "conformal"],
    description="Test patients of either class are covered as often as promised, within what chance explains.",
)
NULL_HOLDS = dg.AssetCheckSpec(
    "shuffled_labels_teach_nothing",
    asset=["probes", "null"],
    description="With labels shuffled by patient, the interval of the mean AUROC holds one half.",
)


@dg.multi_asset(
    name="probe_guards",
    ins={
        "predictions": dg.AssetIn(["probes", "predictions"]),
        "vectors": dg.AssetIn(["embeddings", "studies"]),
        "consensus": dg.AssetIn(["labels", "consensus"]),
        "patients": dg.AssetIn(["shards", "patients"]),
        "quality": dg.AssetIn(["shards", "quality"]),
    },
    deps=[["probes", "heads"]],
    outs={
        "guards": artifact_out(
            ("probes", "guards"),
            "Abstention thresholds and out-of-scope score, bound to the heads that they were calibrated for.",
            kinds={"safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "guard_patients": table_out(
            ("probes", "guard_patients"),
            tables.GUARD_PATIENTS,
            "Whose studies the guards were calibrated on.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "conformal": table_out(
            ("probes", "conformal"),
            tables.CONFORMAL,
            "Conformal abstention on the test patients: coverage of either class, share abstained, accuracy.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "scope": table_out(
            ("probes", "scope"),
            tables.SCOPE,
            "The out-of-scope score: false alarms on test patients, detection of studies of no spine.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    check_specs=[CALIBRATED, COVERED],
)
def guards(
    hospital: Hospital,
    predictions: pl.DataFrame,
    vectors: pl.DataFrame,
    consensus: pl.DataFrame,
    patients: pl.DataFrame,
    quality: pl.DataFrame,
) -> Iterator[object]:
    """Calibrate the guards on out-of-fold predictions and train vectors; measure them on the test patients."""
    from spine_models.findings.probes.heads import load_heads
    from spine_models.findings.probes.strata.conformal import measure, uncovered
    from spine_models.findings.probes.strata.guards import fit_guards, load_guards
    from spine_models.findings.probes.strata.scope import measure_scope, scores, splits_of_studies

    numbers = hospital.numbers
    heads = load_heads(hospital.current(("probes", "heads")))
    with hospital.draft(("probes", "guards")) as draft:
        fitted = fit_guards(
            predictions,
            vectors,
            consensus,
            patients,
            heads,
            probes=numbers.probes,
            settings=numbers.strata,
            out=draft.folder,
        )
        draft.card = fitted.card
    yield artifact_result(("probes", "guards"), draft.version, thresholds=len(fitted.card["thresholds"]))
    made = load_guards(hospital.current(("probes", "guards")), heads)
    yield table_result(("probes", "guard_patients"), fitted.patients, by_part=counts(fitted.patients, "part"))
    conformal = measure(predictions, list(made.thresholds.values()), numbers.strata)
    yield table_result(
        ("probes", "conformal"),
        conformal,
        by_status=counts(conformal, "status"),
        coverage=figures.coverage_plot(conformal),
    )
    found = scores(vectors, made.scopes)
    fitted_on = fitted.patients.filter(pl.col("part") == "scope")["patient_key"].to_list()
    scope = measure_scope(found, splits_of_studies(quality, fitted_on), made.scopes, numbers.strata)
    yield table_result(
        ("probes", "scope"),
        scope,
        shares=markdown(
            scope.select("route", "studies", "n_studies", "share", "share_low", "share_high", "auroc")
        ),
    )
    of = fitted.patients.join(patients.select("patient_key", "split"), on="patient_key", how="left")
    known = (pl.col("split") == "train") | ((pl.col("split") == "val") & (pl.col("part") == "conformal"))
    strangers = of.filter(~known.fill_null(False)).height
    yield dg.AssetCheckResult(
        asset_key=["probes", "guard_patients"],
        check_name=CALIBRATED.name,
        passed=strangers == 0,
        metadata={"patients": fitted.patients["patient_key"].n_unique(), "of_neither": strangers},
    )
    missed = uncovered(conformal)
    yield dg.AssetCheckResult(
        asset_key=["probes", "conformal"],
        check_name=COVERED.name,
        passed=missed.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"missed": markdown(missed.select("condition", "sequence_set", "side", "bound"))},
    )


@dg.multi_asset(
    name="probe_strata",
    ins={
        "predictions": dg.AssetIn(["probes", "predictions"]),
        "vectors": dg.AssetIn(["embeddings", "studies"]),
        "consensus": dg.AssetIn(["labels", "consensus"]),
        "patients": dg.AssetIn(["shards", "patients"]),
        "series": dg.AssetIn(["sequences", "series"]),
        "studies": dg.AssetIn(["deid", "studies"]),
        "annotations": dg.AssetIn(["deid", "annotations"]),
    },
    outs={
        "contrasts": table_out(
            ("probes", "contrasts"),
            tables.CONTRASTS,
            "AUROC of T1 less that of T2 per condition, on the same studies, against clinical expectation.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "vendors": table_out(
            ("probes", "vendors"),
            tables.VENDORS,
            "Mean AUROC by category: heads fitted on one vendor, tested on every vendor.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "cohorts": table_out(
            ("probes", "cohorts"),
            tables.COHORTS,
            "AUROC of heads fitted on one cohort and tested on another, for the three graded conditions.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "subgroups": table_out(
            ("probes", "subgroups"),
            tables.SUBGROUPS,
            "AUROC and calibration by age, sex and field strength, each less everybody else's.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
)
def strata(
    hospital: Hospital,
    predictions: pl.DataFrame,
    vectors: pl.DataFrame,
    consensus: pl.DataFrame,
    patients: pl.DataFrame,
    series: pl.DataFrame,
    studies: pl.DataFrame,
    annotations: pl.DataFrame,
) -> Iterator[object]:
    """Score the probes by sequence, vendor, cohort and subgroup."""
    from spine_models.findings.probes.strata.cohorts import cohort_transfer
    from spine_models.findings.probes.strata.contrasts import sequence_contrast
    from spine_models.findings.probes.strata.subgroups import subgroup_scores
    from spine_models.findings.probes.strata.vendors import vendor_matrix

    options = {"probes": hospital.numbers.probes, "settings": hospital.numbers.strata}
    contrasts = sequence_contrast(predictions, **options)
    yield table_result(
        ("probes", "contrasts"),
        contrasts,
        by_agreement=counts(contrasts, "agreement"),
        differences=figures.contrast_plot(contrasts),
    )
    vendors = vendor_matrix(vectors, consensus, patients, series, **options)
    yield table_result(
        ("probes", "vendors"),
        vendors,
        by_status=counts(vendors, "status"),
        matrix=figures.vendor_heat_map(vendors),
    )
    cohorts = cohort_transfer(vectors, consensus, annotations, patients, **options)
    yield table_result(
        ("probes", "cohorts"),
        cohorts,
        transfer=markdown(
            cohorts.select(
                "condition", "train_cohort", "test_cohort", "auroc", "auroc_low", "auroc_high", "reason"
            )
        ),
    )
    subgroups = subgroup_scores(predictions, studies, series, **options)
    yield table_result(
        ("probes", "subgroups"),
        subgroups,
        by_status=counts(subgroups, "status"),
        differences=figures.subgroup_plot(subgroups),
    )


@dg.multi_asset(
    name="probe_null",
    ins={
        "vectors": dg.AssetIn(["embeddings", "studies"]),
        "consensus": dg.AssetIn(["labels", "consensus"]),
        "patients": dg.AssetIn(["shards", "patients"]),
    },
    outs={
        "null": table_out(
            ("probes", "null"),
            tables.NULL,
            "Mean AUROC of the same harness with labels shuffled by patient.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    check_specs=[NULL_HOLDS],
)
def null(
    hospital: Hospital, vectors: pl.DataFrame, consensus: pl.DataFrame, patients: pl.DataFrame
) -> Iterator[object]:
    """Run the harness on shuffled labels."""
    from spine_models.findings.probes.strata.null import null_test, passes

    numbers = hospital.numbers
    table = null_test(vectors, consensus, patients, probes=numbers.probes, settings=numbers.strata)
    yield table_result(("probes", "null"), table, means=markdown(table))
    evaluated = table.filter(pl.col("status") == "evaluated")
    yield dg.AssetCheckResult(
        asset_key=["probes", "null"],
        check_name=NULL_HOLDS.name,
        # Nothing to test is said in the table; it is no leak.
        passed=evaluated.is_empty() or passes(table),
        metadata={"tested": evaluated.height},
    )
