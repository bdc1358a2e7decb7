from __future__ import annotations

import polars as pl
import pytest

from spine_models.domain import Status
from spine_models.reporting.instructions.report import body_of
from tests.reporting.instructions.conftest import PLAIN, tables_of


def one(text: str, **more):
    return tables_of({"s": text}, **more).cases()["s"]


def finding(case, condition):
    return next(f for f in case.findings if f.condition == condition)


def test_findings_have_the_place_that_their_passage_names():
    case = one(PLAIN)
    canal, foramen = finding(case, "canal"), finding(case, "neuroforaminal")
    assert (canal.level, canal.side, canal.severity) == ("L4-L5", None, "moderate")
    assert (foramen.level, foramen.side, foramen.severity) == ("L5-S1", "left", "severe")
    assert finding(case, "fracture").status is Status.ABSENT
    assert finding(case, "synovial").status is Status.AMBIGUOUS
    for own in case.findings:
        assert case.texts[own.report_key][own.start : own.end].strip()
    assert not any(f.condition == "hemangioma" for f in case.findings), "silence is no evidence"


def test_a_report_that_contradicts_itself_gives_no_finding_of_that_condition():
    text = "FINDINGS: Left disc protrusion at L4-L5. No fracture.\nIMPRESSION: No disc herniation."
    case = one(text)
    assert case.contradicted == {"herniation"}
    assert [f.condition for f in case.findings] == ["fracture"]


def test_empty_reports_and_studies_without_labels_are_no_cases():
    tables = tables_of({"a": PLAIN, "b": PLAIN.replace("L4-L5", "L3-L4"), "c": " \n "})
    assert set(tables.cases()) == {"a", "b"}
    tables.consensus = tables.consensus.filter(pl.col("study_key") != "a")
    assert set(tables.cases()) == {"b"}


def test_a_study_that_two_tables_give_to_different_patients_is_nobodys():
    tables = tables_of({"a": PLAIN})
    moved = tables.reports.with_columns(patient_key=pl.lit("p-other"))
    tables.reports = moved
    assert tables.cases(["p-a", "p-other"]) == {}


def test_mentions_of_another_text_prove_nothing():
    tables = tables_of({"a": PLAIN})
    tables.reports = tables.reports.with_columns(
        report_text=pl.col("report_text").str.replace_all("at L4-L5", "at L3-L4")
    )
    case = tables.cases()["a"]
    assert not any(f.condition == "canal" for f in case.findings)


def test_left_and_right_in_one_passage_are_both_sides():
    case = one("FINDINGS: Moderate bilateral foraminal stenosis at L4-L5.")
    (own,) = [f for f in case.findings if f.condition == "neuroforaminal"]
    assert (own.level, own.side, own.severity, own.alone) == ("L4-L5", "bilateral", "moderate", True)


def test_the_body_of_a_report_has_no_letterhead_no_comparison_and_no_signature():
    body = body_of(PLAIN)
    assert body is not None
    assert "Severe left foraminal stenosis at L5-S1." in body.text
    assert body.text.startswith("FINDINGS:")
    assert "IMPRESSION:\n1. Moderate" in body.text
    for word in ("unchanged", "2023", "Dictated", "NAME", "HISTORY", "rule out"):
        assert word not in body.text
    assert PLAIN[body.start : body.end].startswith("No spondylolisthesis")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "HISTORY: Back pain.",
        "FINDINGS: The disc herniation at L4-L5 seen previously persists.",
        "FINDINGS: Since 02/08/2023 the fracture of L4 has lost height.",
    ],
)
def test_a_report_of_comparisons_alone_has_no_body(text):
    assert body_of(text) is None


def test_what_compares_and_affirms_nothing_is_left_out():
    body = body_of("FINDINGS: Compared with the prior study there is no fracture. No edema of the marrow.")
    assert body is not None
    assert body.text == "FINDINGS:\nNo edema of the marrow."


def test_lines_stay_as_they_are_and_sides_may_be_compared():
    text = "FINDINGS:\nL4-L5: Disc bulge. Mild canal stenosis.\nL5-S1: Foraminal stenosis, left worse than right."
    body = body_of(text)
    assert body is not None
    assert body.text == text
    cut = body_of("FINDINGS: Marrow edema at L2, less conspicuous than on 12/15/2021. No fracture.")
    assert cut is not None
    assert cut.text == "FINDINGS:\nMarrow edema at L2. No fracture."
