from __future__ import annotations

import time

import polars as pl
import pytest

from spine_models.corpus.deid.tables import REPORTS
from spine_models.corpus.labels import RULES_VERSION, label_reports, read_report
from spine_models.corpus.labels.rules.lexicon import LexiconError, lexicon
from spine_models.corpus.labels.tables import LABELS, MENTIONS
from spine_models.domain import condition_keys

REPORT = """MRI LUMBAR SPINE
HISTORY: Prior fracture, rule out stenosis.

FINDINGS:
Alignment: Grade 1 anterolisthesis of L4 on L5.
Vertebral body heights are maintained. No marrow edema.
L3-4: Mild disc bulge. No canal or foraminal stenosis.
L4-5: Broad-based protrusion with possible canal stenosis.
Moderate left and severe right neural
foraminal narrowing.
L5-S1: Unremarkable.

IMPRESSION:
1. Severe canal stenosis at L4-L5.
2. Tarlov cyst cannot be excluded.
"""


@pytest.fixture
def tables(reports):
    return label_reports(reports([REPORT, "", "No fracture."]))


def row(tables, condition: str, study: str = "s0000") -> dict:
    frame = tables.rules.filter((pl.col("study_key") == study) & (pl.col("condition") == condition))
    assert frame.height == 1
    return frame.row(0, named=True)


def test_seventeen_rows_for_every_study_in_order(tables):
    assert tables.rules.schema == LABELS
    assert tables.mentions.schema == MENTIONS
    assert tables.rules["condition"].to_list() == list(condition_keys()) * 3
    assert tables.rules["labeller"].unique().to_list() == ["rules"]
    assert tables.rules["labeller_version"][0].startswith(f"{RULES_VERSION}+")


def test_the_worst_mention_wins_and_brings_its_details(tables):
    canal = row(tables, "canal")
    assert (canal["status"], canal["label"], canal["severity"]) == ("present", 1, "severe")
    assert canal["levels"] == ["L4-L5"]
    assert canal["evidence"] == "Severe canal stenosis at L4-L5."
    foramina = row(tables, "neuroforaminal")
    assert (foramina["side"], foramina["severity"], foramina["level"]) == ("bilateral", "severe", "L4-L5")


def test_labels_follow_status_and_ambiguous_is_never_negative(tables):
    expected = {"present": 1, "absent": 0, "not_mentioned": 0, "ambiguous": -1}
    pairs = tables.rules.select("status", "label").unique()
    assert dict(pairs.iter_rows()) == expected
    assert row(tables, "cyst")["label"] == -1
    assert row(tables, "fracture")["status"] == "absent"
    assert row(tables, "hemangioma") | {"evidence": None} == row(tables, "hemangioma")


def test_evidence_is_verbatim(tables):
    quoted = tables.mentions.filter(pl.col("study_key") == "s0000")
    assert quoted.height > 10
    for mention in quoted.iter_rows(named=True):
        assert REPORT[mention["evidence_start"] : mention["evidence_end"]] == mention["evidence"]
    wrapped = "Moderate left and severe right neural\nforaminal narrowing."
    assert wrapped in quoted["evidence"].to_list()


def test_two_reports_of_a_study_are_read_as_one():
    names = ("batch_key", "patient_key", "study_key", "report_key", "report_text")
    rows = [
        ("b", "p", "s", "r2", "Fracture of T12."),
        ("b", "p", "s", "r1", "No fracture. Edema of the L1 body."),
    ]
    frame = pl.DataFrame([dict(zip(names, r, strict=True)) for r in rows], schema=REPORTS)
    tables = label_reports(frame)
    assert tables.rules.height == 17
    found = {r["condition"]: (r["status"], r["report_key"]) for r in tables.rules.iter_rows(named=True)}
    assert found["fracture"] == ("present", "r2")
    assert found["edema"] == ("present", "r1")
    assert found["cyst"] == ("not_mentioned", "r1")


def test_the_same_reports_give_the_same_frames_in_any_order(reports):
    frame = reports([REPORT, "No fracture.", "Mild canal stenosis at C4-5."])
    first, second = label_reports(frame), label_reports(frame.reverse())
    assert first.rules.equals(second.rules)
    assert first.mentions.equals(second.mentions)


def test_no_reports_keep_the_schemas():
    tables = label_reports(pl.DataFrame(schema=REPORTS))
    assert (tables.rules.schema, tables.mentions.schema) == (LABELS, MENTIONS)


@pytest.mark.parametrize(
    "text",
    [
        "no " * 5000 + "fracture",
        "L4-5 " * 3000,
        "(" * 4000,
        "fracture, " * 2000,
        "\x00\ufeff" * 100,
        "a" * 50_000,
    ],
)
def test_hostile_text_takes_no_time(text):
    began = time.process_time()
    read_report(text)
    assert time.process_time() - began < 2


def test_a_lexicon_that_does_not_fit_is_named(tmp_path):
    text = "version: 1\nmacros: {}\nconditions: {canal: {}}\n"
    path = tmp_path / "lexicon.yaml"
    path.write_text(text)
    with pytest.raises(LexiconError, match="fracture"):
        lexicon(path)


@pytest.mark.parametrize(
    ("sentence", "side"),
    [
        ("L4-5: Synovial cyst of the facet joint, bright on T2 as in the prior report.", None),
        ("Adult patient. L3-4: Severe neural foraminal stenosis, a result of short pedicles.", None),
        ("L5-S1: Synovial cyst beside the cleft of the facet joint.", None),
        ("L3-4: Severe rt neural foraminal stenosis in an adult with short pedicles.", "right"),
        ("L3-4: Severe neural foraminal stenosis, lt.", "left"),
    ],
)
def test_a_side_is_a_word_and_no_part_of_one(reports, sentence, side):
    found = label_reports(reports([f"FINDINGS:\n{sentence}"])).rules.filter(status="present")
    assert found["condition"].to_list() in (["synovial"], ["neuroforaminal"])
    assert found["side"].to_list() == [side]
