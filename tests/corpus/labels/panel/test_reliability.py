from __future__ import annotations

import polars as pl
import pytest
from scipy.stats import binomtest

from spine_models.corpus.labels import contradictions, label_reports, reliability
from spine_models.corpus.labels.tables import CONTRADICTIONS, RELIABILITY

QUOTE = {"evidence": "Stenosis.", "evidence_start": 0, "evidence_end": 9}
NONE = pl.DataFrame(schema=CONTRADICTIONS)


def value(
    table: pl.DataFrame, measure: str, condition: str = "all", labeller: str = "a"
) -> tuple[int, float]:
    row = table.filter(measure=measure, condition=condition, labeller=labeller).row(0, named=True)
    return row["n"], row["value"]


@pytest.fixture
def frame(labels):
    return labels(
        [
            ("a", "s1", "canal", "present", QUOTE),
            ("a", "s2", "canal", "absent", QUOTE),
            ("a", "s3", "canal", "ambiguous", QUOTE | {"reason": "hedged"}),
            ("a", "s4", "canal", "ambiguous", {"reason": "quote_not_found"}),
            ("a", "s5", "canal", "ambiguous", QUOTE | {"reason": "quote_not_found"}),
            ("a", "s6", "canal", "not_mentioned"),
            ("a", "s1", "cyst", "not_mentioned"),
            ("b", "s1", "canal", "present", {"evidence": "", "evidence_start": 3, "evidence_end": 3}),
            ("b", "s2", "canal", "present", {"evidence": "Stenosis."}),
            ("b", "s3", "canal", "present", QUOTE | {"evidence_end": 8}),
        ]
    )


def test_quotes_and_doubt_by_hand(frame):
    table = reliability(frame, NONE)
    assert table.schema == RELIABILITY
    assert value(table, "evidence_rate", "canal") == (5, 0.6)
    assert value(table, "evidence_rate") == (5, 0.6)
    assert value(table, "ambiguous_rate", "canal") == (6, 0.5)
    assert value(table, "ambiguous_rate", "cyst") == (1, 0.0)
    assert value(table, "ambiguous_rate") == (7, pytest.approx(3 / 7))
    assert value(table, "evidence_rate", "canal", "b") == (3, 0.0)
    assert table.filter(measure="evidence_rate", condition="cyst").is_empty()
    assert table.filter(measure="repeat_agreement").is_empty()
    row = table.filter(measure="evidence_rate", condition="canal", labeller="a").row(0, named=True)
    expected = binomtest(3, 5).proportion_ci(method="wilson")
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))


def test_contradictions_count_where_the_labeller_says_anything(frame):
    torn = pl.DataFrame(
        [
            {"batch_key": "b-0001", "study_key": study, "report_key": report, "condition": condition}
            for study, report, condition in [
                ("s1", "r1", "canal"),
                ("s1", "r2", "canal"),
                ("s6", "r6", "canal"),
                ("s1", "r1", "cyst"),
            ]
        ],
        schema=CONTRADICTIONS,
    )
    table = reliability(frame, torn)
    assert value(table, "contradiction_rate", "canal") == (5, 0.2)
    assert value(table, "contradiction_rate", labeller="b") == (3, pytest.approx(1 / 3))
    assert value(reliability(frame, NONE), "contradiction_rate") == (5, 0.0)


def test_answers_that_change_when_asked_again(frame, labels):
    repeats = labels(
        [
            ("a", "s1", "canal", "present"),
            ("a", "s1", "canal", "absent"),
            ("a", "s6", "canal", "absent"),
            ("a", "s4", "canal", "ambiguous"),
            ("a", "s1", "cyst", "present"),
            ("b", "s9", "canal", "present"),
        ]
    )
    table = reliability(frame, NONE, repeats)
    assert value(table, "repeat_agreement", "canal") == (4, 0.75)
    assert value(table, "repeat_agreement", "cyst") == (1, 0.0)
    assert value(table, "repeat_agreement") == (5, 0.6)
    assert table.filter(measure="repeat_agreement", labeller="b").is_empty()


def test_all_equal_has_a_margin_still(labels):
    frame = labels(("a", f"s{i}", "canal", "present", QUOTE) for i in range(10))
    table = reliability(frame, NONE, frame)
    row = table.filter(measure="repeat_agreement", condition="all").row(0, named=True)
    assert (row["value"], row["high"]) == (1.0, 1.0)
    assert row["low"] == pytest.approx(binomtest(10, 10).proportion_ci(method="wilson").low)


def test_of_the_rules(reports):
    tables = label_reports(
        reports(
            ["FINDINGS: No canal stenosis.\nIMPRESSION: Severe canal stenosis.", "No fracture. No edema."]
        )
    )
    table = reliability(tables.rules, contradictions(tables.mentions))
    said = tables.rules.filter(pl.col("status") != "not_mentioned").height
    assert value(table, "evidence_rate", labeller="rules") == (said, 1.0)
    assert value(table, "contradiction_rate", "canal", "rules") == (1, 1.0)


def test_order_and_empty_frames(frame, labels):
    table = reliability(frame, NONE, frame)
    assert reliability(frame.reverse(), NONE, frame).equals(table)
    assert table["labeller"].is_sorted()
    empty = reliability(labels([]), NONE, labels([]))
    assert empty.schema == RELIABILITY
    assert empty.is_empty()
    with pytest.raises(ValueError, match="more than one label"):
        reliability(pl.concat([frame, frame]), NONE)
