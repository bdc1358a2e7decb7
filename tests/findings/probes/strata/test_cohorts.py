"""Cross-cohort: collapsed grades, who is tested, and a cohort whose images differ."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.corpus.deid.tables import ANNOTATIONS
from spine_models.domain import cohort_of
from spine_models.findings.probes.strata.cohorts import (
    cohort_transfer,
    collapsed_labels,
    transfer_labels,
)
from spine_models.findings.probes.strata.tables import COHORTS
from spine_models.findings.probes.studies import ProbeInputError

PROBES = ProbeSettings(bootstrap=10, regularisation=(1e-2, 1e-1), folds=3)
SETTINGS = StratumSettings(bootstrap=100)
PREVALENCE = {"canal": 0.4, "neuroforaminal": 0.4, "subarticular": 0.4}


def cells(study: str, condition: str, grades, patient: str = "p") -> list[dict]:
    return [
        {"patient_key": patient, "study_key": study, "kind": "label", "condition": condition, "grade": grade}
        for grade in grades
    ]


def annotations(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in ANNOTATIONS} for row in rows], schema=ANNOTATIONS)


def split_up(made, share=0.5, *, turned=False):
    """The patients with odd numbers become cohort rsna, without reports, with grades; perhaps with other images."""
    rsna = pl.col("patient_key").str.slice(1).cast(pl.Int32) % 2 == 1
    vector = pl.col("vector").list.eval(-pl.element()) if turned else pl.col("vector")
    made.vectors = made.vectors.with_columns(
        batch_key=pl.when(rsna).then(pl.lit("rsna-0001")).otherwise("batch_key"),
        vector=pl.when(rsna).then(vector).otherwise("vector"),
    )
    graded = made.labels.filter(rsna & pl.col("condition").is_in(list(PREVALENCE)))
    table = annotations(
        [
            row
            for study, patient, condition, label in graded.select(
                "study_key", "patient_key", "condition", "label"
            ).iter_rows()
            for row in cells(study, condition, [0, 0, 2 * label], patient)
        ]
    )
    made.labels = made.labels.filter(~rsna)
    return table


def transfer(made, table, **changes):
    settings = SETTINGS.model_copy(update=changes)
    return cohort_transfer(made.vectors, made.labels, table, made.splits, probes=PROBES, settings=settings)


def one(table: pl.DataFrame, train: str, test: str, condition: str = "mean") -> dict:
    rows = table.filter(train_cohort=train, test_cohort=test, condition=condition).to_dicts()
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize(
    ("grades", "label"),
    [([0, 0, 0], 0), ([0, 1, 0], 1), ([None, 2, None], 1), ([None, None], -1), ([0, None, 0], -1)],
)
def test_levels_and_sides_are_collapsed(grades, label):
    table = annotations(cells("s", "canal", grades))
    assert collapsed_labels(table).rows() == [("s", "p", "canal", label)]


def test_points_and_other_conditions_are_no_labels():
    rows = [*cells("s", "canal", [1]), *cells("s", "edema", [1])]
    rows.append({"patient_key": "p", "study_key": "t", "kind": "point", "condition": "canal", "grade": 2})
    assert collapsed_labels(annotations(rows))["study_key"].to_list() == ["s"]


def test_a_report_goes_before_grades():
    consensus = pl.DataFrame(
        {"study_key": ["s"], "patient_key": ["p"], "condition": ["canal"], "label": [0]},
        schema_overrides={"label": pl.Int8},
    )
    table = annotations([*cells("s", "canal", [2]), *cells("t", "canal", [2])])
    assert transfer_labels(consensus, table).sort("study_key")["label"].to_list() == [0, 1]


def test_a_cohort_is_named_by_its_batches():
    assert cohort_of("rsna-0001") == "rsna"
    assert cohort_of("site-b-0012") == "site-b"
    assert cohort_of("odd") == "odd"


def test_what_is_learned_in_one_cohort_holds_in_the_other(cohort):
    made = cohort(patients=240, signal=2.5, prevalence=PREVALENCE)
    table = transfer(made, split_up(made))
    assert table.schema == COHORTS
    assert table.height == 2 * 2 * 4
    for train, test in (("internal", "rsna"), ("rsna", "internal")):
        row = one(table, train, test)
        assert row["auroc_low"] > 0.85
        assert row["difference_low"] <= 0.03
        assert row["difference_high"] >= -0.03
        parts = [one(table, train, test, condition)["auroc"] for condition in PREVALENCE]
        assert row["auroc"] == pytest.approx(np.mean(parts))
        assert row["test_splits"] == "val+test"
        assert row["n_train_patients"] == 84
        assert row["n_test_patients"] == 36


def test_images_that_differ_are_seen(cohort):
    made = cohort(patients=240, signal=2.5, prevalence=PREVALENCE)
    table = transfer(made, split_up(made, turned=True))
    assert one(table, "rsna", "rsna")["auroc_low"] > 0.85
    assert one(table, "internal", "rsna")["auroc_high"] < 0.3
    assert one(table, "internal", "rsna")["difference_high"] < -0.4


def test_val_patients_are_tested_and_never_train(cohort):
    made = cohort(patients=240, signal=2.5, prevalence=PREVALENCE)
    table = split_up(made)
    val = [f"p{i:03d}" for i in range(20)]
    made.splits = made.splits.with_columns(
        split=pl.when(pl.col("patient_key").is_in(val)).then(pl.lit("val")).otherwise("split")
    )
    row = one(transfer(made, table), "internal", "rsna")
    assert (row["n_train_patients"], row["n_test_patients"]) == (74, 46)


def test_one_cohort_few_patients_and_nothing(cohort):
    made = cohort(patients=120, signal=2.5, prevalence=PREVALENCE)
    none = annotations([])
    alone = transfer(made, none)
    assert set(zip(alone["train_cohort"], alone["test_cohort"], strict=True)) == {("internal", "internal")}
    few = transfer(made, none, min_patients=500)
    assert set(few["reason"]) == {"84 train patients of this cohort, at least 500 are needed"}
    made.labels = made.labels.clear()
    assert transfer(made, none).is_empty()


def test_a_condition_that_the_other_cohort_does_not_grade_has_a_reason(cohort):
    made = cohort(patients=240, signal=2.5, prevalence=PREVALENCE)
    table = split_up(made).filter(pl.col("condition") != "canal")
    row = one(transfer(made, table), "internal", "rsna", "canal")
    assert row["status"] == "not_evaluable"
    assert row["reason"].startswith("0 positive patients")
    assert row["n_test_studies"] == 0
    assert one(transfer(made, table), "internal", "rsna")["status"] == "evaluated"


def test_mixed_model_versions_are_refused(cohort):
    made = cohort()
    made.vectors = made.vectors.with_columns(
        model_version=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("old")).otherwise("model_version")
    )
    with pytest.raises(ProbeInputError, match=r"embeddings/studies, route .*: model_version has 2 versions"):
        transfer(made, annotations([]))
