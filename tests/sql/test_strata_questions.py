"""What is asked of the probes by stratum: vendors, cohorts, sequences, subgroups, abstention."""

from __future__ import annotations

import pytest

from tests.sql.tiny_lake import STUDIES


def test_the_mean_over_all_conditions_comes_first_and_everybody_before_the_vendors(answer):
    rows = answer("vendor_matrix")
    assert [row["category"] for row in rows] == ["every"] * 4 + ["narrowing"] * 4 + ["lesion"] * 4
    assert [(row["train_vendor"], row["test_vendor"]) for row in rows[:4]] == [
        ("all", "GE"),
        ("Canon", "GE"),
        ("GE", "Canon"),
        ("GE", "GE"),
    ]
    assert rows[0]["auroc"] == 0.9
    assert (rows[2]["auroc"], rows[2]["reason"]) == (None, "3 positive patients, at least 5 are needed")


def test_transfer_stands_before_its_reference(answer):
    rows = answer("cohort_transfer")
    assert [(r["train_cohort"], r["test_cohort"], r["condition"], r["auroc"]) for r in rows] == [
        ("rsna", "internal", "mean", None),
        ("rsna", "internal", "canal", None),
        ("internal", "rsna", "mean", 0.7),
        ("internal", "rsna", "canal", 0.7),
        ("rsna", "rsna", "mean", 0.8),
        ("rsna", "rsna", "canal", 0.8),
    ]


def test_contrasts_follow_the_list_of_conditions(answer, lake):
    lake.change("probes.contrasts", where={"condition": "pars"}, encoder="pixel_pca")
    rows = answer("sequence_contrast")
    assert len(rows) == 2 * 17 - 1
    first = rows[0]
    assert (first["name"], first["difference"], first["expected"], first["agreement"]) == (
        "Spinal canal stenosis",
        -0.2,
        "t2",
        "agrees",
    )


def test_the_worst_subgroup_comes_first(answer):
    rows = answer("subgroup_scores")
    assert [(r["condition"], r["subgroup"], r["difference"]) for r in rows] == [
        ("mean", "F", -0.1),
        ("mean", "M", 0.1),
        ("pars", "F", None),
        ("pars", "M", None),
    ]


def test_abstention_stands_beside_what_the_lake_shows(answer):
    rows = answer("abstention")
    assert len(rows) == 17
    first = rows[0]
    assert (first["condition"], first["lake_studies"]) == ("canal", len(STUDIES))
    assert first["lake_abstained"] == pytest.approx(1 / len(STUDIES))
    assert first["lake_out_of_scope"] == pytest.approx(1 / len(STUDIES))
    assert (rows[1]["lake_studies"], rows[1]["lake_abstained"]) == (0, None)
    assert rows[1]["reason"].startswith("3 positive")
