"""Which studies are scored with what: nothing is dropped, failing does not pay, doubt is nobody's error."""

from __future__ import annotations

import polars as pl
import pytest

from spine_models.corpus.statements import Reference, Unit
from spine_models.reporting.scores.harness import METHODS, Text, study_table
from spine_models.reporting.scores.sources import studies_of_test_patients, texts_of_methods
from spine_models.reporting.scores.tables import STUDIES
from tests.reporting.scores.conftest import REPORTS, key


def right(*names: str) -> dict[str, Text]:
    """Drafts that say what the reports say."""
    return {key(name): Text(REPORTS[name], f"d-{name}") for name in names}


def rows_of(cases, method: str) -> dict[str, dict]:
    rows = study_table(cases).filter(method=method).to_dicts()
    return {row["study_key"].lstrip("0"): row for row in rows}


def test_references_are_read_from_labels_or_say_why_not(made):
    known = {name.lstrip("0"): found for name, found in made.known().items()}
    assert known["severe"] == Reference((Unit("canal", "L4-L5", None, "severe"),))
    assert known["normal"] == Reference(())
    assert known["doubtful"] == Reference((Unit("herniation", "L5-S1", "left"),), frozenset({"fracture"}))
    assert known["empty"] == "the study's report is empty"
    assert known["unlabelled"] == "the study's report has no labels"
    assert known["unread"] == "the study has no report"


def test_every_study_stands_under_every_method(made):
    cases = made.cases({"agents": right("severe", "normal", "doubtful", "lesions")})
    frame = study_table(cases)
    assert frame.schema == STUDIES
    assert frame.height == len(METHODS) * made.studies.height
    rows = rows_of(cases, "agents")
    assert {name: row["status"] for name, row in rows.items()} == {
        "severe": "scored", "normal": "scored", "doubtful": "scored", "lesions": "scored",
        "empty": "no_reference", "unlabelled": "no_reference", "unread": "no_reference",
    }  # fmt: skip
    assert all(rows[name]["f1"] == 1.0 for name in ("severe", "normal", "doubtful", "lesions"))
    assert rows["severe"]["source_key"] == "d-severe"
    assert rows["doubtful"]["excluded"] == ["fracture"]
    assert all((row["reason"] is None) == (row["status"] == "scored") for row in rows.values())
    others = rows_of(cases, "image_only")
    assert {row["status"] for row in others.values()} == {"missing", "no_reference"}
    assert "images" in others["severe"]["reason"]


def test_a_text_without_a_word_counts_as_silence_and_apart(made):
    cases = made.cases({"image_only": {key("severe"): Text(" \n-- "), key("normal"): Text("")}})
    rows = rows_of(cases, "image_only")
    assert (rows["severe"]["status"], rows["severe"]["f1"], rows["severe"]["omissions"]) == (
        "unreadable",
        0.0,
        1,
    )
    assert rows["severe"]["edit_distance"] == 1.0
    assert rows["normal"]["f1"] == 1.0
    assert rows["severe"]["reason"] == "the text holds no word"


def test_babble_counts_as_silence_and_apart_and_a_plain_denial_does_not(made):
    said = {
        key("severe"): Text("2. No. No. No evidence of L2."),
        key("normal"): Text("FINDINGS: No fracture."),
    }
    rows = rows_of(made.cases({"image_only": said}), "image_only")
    assert (rows["severe"]["status"], rows["severe"]["n_said"], rows["severe"]["omissions"]) == (
        "unreadable",
        0,
        1,
    )
    assert rows["severe"]["reason"] == "the text neither affirms nor denies any condition"
    assert (rows["normal"]["status"], rows["normal"]["f1"]) == ("scored", 1.0)


def test_a_method_that_says_why_it_wrote_nothing_is_missing_with_that_reason(made):
    cases = made.cases({"image_only": {key("severe"): Text(None, "v1", "the model is untrained")}})
    row = rows_of(cases, "image_only")["severe"]
    assert (row["status"], row["reason"], row["f1"]) == ("missing", "the model is untrained", None)


def test_what_is_said_of_a_condition_in_doubt_is_neither_right_nor_wrong(made):
    said = {key("doubtful"): Text("FINDINGS: Fracture of L3. Left disc herniation at L5-S1.")}
    row = rows_of(made.cases({"agents": said}), "agents")["doubtful"]
    assert (row["f1"], row["false_positives"], row["n_said"]) == (1.0, 0, 1)


def test_errors_are_told_by_kind(made):
    said = {
        key("severe"): Text("FINDINGS: Mild canal stenosis at L3-L4. Fracture of L1."),
        key("lesions"): Text("FINDINGS: Mild left foraminal stenosis at L5-S1."),
    }
    rows = rows_of(made.cases({"agents": said}), "agents")
    wrong = rows["severe"]
    assert (wrong["false_positives"], wrong["omissions"]) == (1, 0)
    assert (wrong["wrong_level"], wrong["wrong_severity"], wrong["wrong_side"]) == (1, 1, 0)
    assert (rows["lesions"]["wrong_side"], rows["lesions"]["omissions"]) == (1, 1)


def test_texts_come_from_the_tables_of_each_method():
    drafts = pl.DataFrame({"study_key": ["a"], "draft_key": ["d"], "report_text": ["Draft."]})
    answers = pl.DataFrame(
        [
            ("a", "image_only", "Alone.", "v", None),
            ("a", "agents", "", "v", "the model is not fit for drafts"),
            ("b", "image_only", "", "v", None),
        ],
        schema=["study_key", "conditioning", "text", "model_version", "reason"],
        orient="row",
    )
    neighbours = pl.DataFrame(
        {"study_key": ["a", "a", "b"], "rank": [1, 2, 1], "neighbour_study_key": ["n1", "n2", "gone"]}
    )
    reports = pl.DataFrame({"study_key": ["n1", "n2"], "report_text": ["One.", "Two."]})
    texts = texts_of_methods(drafts, answers, neighbours, reports)
    assert texts["agents"] == {"a": Text("Draft.", "d")}
    assert texts["image_only"] == {"a": Text("Alone.", "v"), "b": Text("", "v")}
    assert texts["agents_llm"] == {"a": Text(None, "v", "the model is not fit for drafts")}
    assert texts["retrieved"] == {"a": Text("One.", "n1")}
    assert set(texts_of_methods(drafts, None, None, reports)) == {"agents"}


def test_only_studies_of_test_patients_are_scored():
    studies = pl.DataFrame(
        {
            "batch_key": ["1", "1", "2"],
            "patient_key": ["p", "q", "p"],
            "study_key": ["a", "b", "c"],
            "more": [1, 2, 3],
        }
    )
    splits = pl.DataFrame({"patient_key": ["p", "q", "p"], "split": ["test", "train", "test"]})
    assert studies_of_test_patients(studies, splits)["study_key"].to_list() == ["a", "c"]
    with pytest.raises(ValueError, match="two splits"):
        studies_of_test_patients(studies, splits.with_columns(split=pl.Series(["test", "train", "val"])))
