"""The vendor matrix: a planted vendor shift is seen off the diagonal, and nowhere without one."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.findings.probes.strata.tables import VENDORS
from spine_models.findings.probes.strata.vendors import vendor_matrix, vendor_of_studies
from spine_models.findings.probes.studies import ProbeInputError

PROBES = ProbeSettings(bootstrap=10, regularisation=(1e-2, 1e-1), folds=3)
SETTINGS = StratumSettings(bootstrap=100)
PAIR = ("GE", "Siemens")


def series_of(made, vendors=PAIR) -> pl.DataFrame:
    """Vendors in turn by patient, so that every split has all of them."""
    studies = made.vectors.select("study_key", "patient_key").unique().sort("study_key")
    turn = studies["patient_key"].str.slice(1).cast(pl.Int32).to_list()
    return studies.with_columns(vendor=pl.Series([vendors[i % len(vendors)] for i in turn], dtype=pl.String))


def shifted(made, series: pl.DataFrame, *, planted: bool):
    """On GE the sign of every number is turned, so that what Siemens teaches is wrong there."""
    ge = series.filter(vendor="GE")["study_key"].implode()
    turned = pl.when(pl.col("study_key").is_in(ge)).then(pl.col("vector").list.eval(-pl.element()))
    made.vectors = made.vectors.with_columns(vector=turned.otherwise("vector")) if planted else made.vectors
    return made


def matrix(made, series, **changes):
    settings = SETTINGS.model_copy(update=changes)
    return vendor_matrix(made.vectors, made.labels, made.splits, series, probes=PROBES, settings=settings)


def one(table: pl.DataFrame, train: str, test: str, category: str = "every") -> dict:
    rows = table.filter(train_vendor=train, test_vendor=test, category=category).to_dicts()
    assert len(rows) == 1
    return rows[0]


def test_a_planted_shift_lowers_what_is_off_the_diagonal(cohort):
    made = cohort(patients=200, signal=2.5)
    series = series_of(made)
    table = matrix(shifted(made, series, planted=True), series)
    assert table.schema == VENDORS
    assert table.height == 3 * 2 * 6
    for train, test in (PAIR, PAIR[::-1]):
        within, across = one(table, test, test), one(table, train, test)
        assert within["auroc_low"] > 0.85
        assert across["auroc_high"] < 0.3
        assert across["difference"] == pytest.approx(across["auroc"] - within["auroc"])
        assert across["difference_high"] < -0.4
        assert within["difference"] is None


def test_without_a_shift_the_vendor_does_not_matter(cohort):
    made = cohort(patients=200, signal=2.5)
    table = matrix(made, series_of(made))
    for train, test in (PAIR, PAIR[::-1]):
        across = one(table, train, test)
        assert across["auroc_low"] > 0.85
        assert across["difference_low"] <= 0.02
        assert across["difference_high"] >= -0.02
    everybody = one(table, "all", "GE")
    assert everybody["n_train_patients"] == 140
    assert one(table, "GE", "GE")["n_train_patients"] == 70
    assert everybody["auroc"] > 0.85


def test_categories_count_their_evaluable_conditions(cohort):
    made = cohort(patients=200, signal=2.5)
    table = matrix(made, series_of(made))
    row = {category: one(table, "all", "GE", category) for category in set(table["category"])}
    assert (row["narrowing"]["n_conditions"], row["traumatic"]["n_conditions"]) == (1, 1)
    assert row["every"]["n_conditions"] == 2
    assert row["every"]["auroc"] == pytest.approx((row["narrowing"]["auroc"] + row["traumatic"]["auroc"]) / 2)
    assert row["lesion"]["status"] == "not_evaluable"
    assert row["lesion"]["reason"].startswith("no condition can be scored: 0 positive patients in train")


def test_a_vendor_with_few_patients_has_no_number(cohort):
    made = cohort(patients=200, signal=2.5)
    series = series_of(made)
    rare = series.with_columns(
        vendor=pl.when(pl.col("patient_key").is_in(["p001", "p003", "p199"]))
        .then(pl.lit("Canon"))
        .otherwise("vendor")
    )
    table = matrix(made, rare)
    row = one(table, "Canon", "GE")
    assert row["status"] == "not_evaluable"
    assert row["reason"] == "2 train patients of this vendor, at least 20 are needed"
    assert row["auroc"] is None
    tested = one(table, "GE", "Canon")
    assert tested["status"] == "not_evaluable"
    assert tested["n_test_patients"] == 1
    assert "at least 5 are needed" in tested["reason"]


def test_one_vendor_only_and_nothing_at_all(cohort):
    made = cohort(patients=120, signal=2.5)
    alone = matrix(made, series_of(made, ("GE",)))
    assert set(alone["test_vendor"]) == {"GE"}
    assert one(alone, "all", "GE")["auroc"] == one(alone, "GE", "GE")["auroc"]
    assert one(alone, "all", "GE")["difference"] == 0.0
    nobody = matrix(made, series_of(made).clear())
    assert set(nobody["test_vendor"]) == {"unknown"}
    made.labels = made.labels.clear()
    assert matrix(made, series_of(made)).is_empty()


def test_the_vendor_of_most_series_counts():
    rows = [
        ("a", "GE"),
        ("a", "GE"),
        ("a", "Siemens"),
        ("b", "GE"),
        ("b", "Siemens"),
        ("c", None),
        ("d", "GE"),
        ("d", None),
    ]
    series = pl.DataFrame(rows, schema={"study_key": pl.String, "vendor": pl.String}, orient="row")
    assert vendor_of_studies(series) == {"a": "GE", "b": "mixed", "c": "unknown", "d": "GE"}


def test_mixed_model_versions_are_refused(cohort):
    made = cohort()
    series = series_of(made)
    made.vectors = made.vectors.with_columns(
        model_version=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("old")).otherwise("model_version")
    )
    with pytest.raises(ProbeInputError, match=r"embeddings/studies, route .*: model_version has 2 versions"):
        matrix(made, series)


def test_the_order_of_rows_does_not_matter(cohort):
    made = cohort(patients=120, signal=1.0)
    series = series_of(made)
    first = matrix(made, series)
    made.vectors, made.labels = (
        t.sample(fraction=1.0, shuffle=True, seed=2) for t in (made.vectors, made.labels)
    )
    assert matrix(made, series.reverse()).equals(first)
    assert np.isfinite(first["auroc"].drop_nulls().to_numpy()).all()
