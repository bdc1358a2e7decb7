from __future__ import annotations

import polars as pl
import pytest

from spine_models.corpus.labels import consensus, label_reports
from spine_models.corpus.labels.tables import CONSENSUS
from spine_models.domain import condition_keys


@pytest.fixture
def rules(reports):
    return label_reports(reports(["Moderate canal stenosis at L4-5. No fracture.", "No edema."])).rules


def another(rules: pl.DataFrame, **statuses: str) -> pl.DataFrame:
    """A second labeller that sees some conditions differently."""
    label = {"present": 1, "absent": 0, "not_mentioned": 0, "ambiguous": -1}
    rows = []
    for row in rules.iter_rows(named=True):
        status = statuses.get(row["condition"], row["status"])
        rows.append(row | {"labeller": "second", "status": status, "label": label[status]})
    return pl.DataFrame(rows, schema=rules.schema)


def place(frame: pl.DataFrame, condition: str, study: str = "s0000") -> dict:
    return frame.filter((pl.col("study_key") == study) & (pl.col("condition") == condition)).row(
        0, named=True
    )


def test_one_labeller_is_its_own_consensus(rules):
    frame = consensus([rules])
    assert frame.schema == CONSENSUS
    assert frame["condition"].to_list() == list(condition_keys()) * 2
    assert frame["agreed"].all()
    canal = place(frame, "canal")
    assert (canal["label"], canal["levels"], canal["severity"]) == (1, ["L4-L5"], "moderate")
    assert frame.select("label").equals(rules.select("label"))


def test_disagreement_is_ambiguous_and_waits(rules):
    row = place(consensus([rules, another(rules, canal="absent")]), "canal")
    assert (row["status"], row["label"], row["agreed"]) == ("ambiguous", -1, False)
    assert row["evidence"] is None
    assert row["labellers"] == ["rules", "second"]


def test_equal_labels_agree_and_absent_says_more_than_not_mentioned(rules):
    row = place(consensus([rules, another(rules, fracture="not_mentioned", cyst="absent")]), "fracture")
    assert (row["status"], row["agreed"]) == ("absent", True)
    assert place(consensus([rules, another(rules, cyst="absent")]), "cyst")["status"] == "absent"


def test_all_in_doubt_agree_on_doubt(rules):
    one = another(rules, canal="ambiguous")
    row = place(consensus([one, one.with_columns(labeller=pl.lit("third"))]), "canal")
    assert (row["label"], row["agreed"]) == (-1, True)


def adjudication(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=["study_key", "condition", "status"], orient="row")


def test_a_person_overrides(rules):
    disputed = [rules, another(rules, canal="absent")]
    row = place(consensus(disputed, adjudication(("s0000", "canal", "present"))), "canal")
    assert (row["label"], row["agreed"], row["levels"]) == (1, True, ["L4-L5"])
    assert row["labellers"] == ["rules", "second", "adjudication"]
    row = place(consensus([rules], adjudication(("s0000", "canal", "absent"))), "canal")
    assert (row["label"], row["evidence"], row["levels"]) == (0, None, [])
    assert place(consensus([rules], adjudication(("s0000", "canal", "absent"))), "canal", "s0001")["agreed"]


def test_bad_adjudications_are_named(rules):
    with pytest.raises(ValueError, match="unknown condition"):
        consensus([rules], adjudication(("s0000", "gout", "present")))
    with pytest.raises(ValueError, match="status 'maybe'"):
        consensus([rules], adjudication(("s0000", "canal", "maybe")))
    with pytest.raises(ValueError, match="two adjudications"):
        consensus([rules], adjudication(("s0000", "canal", "absent"), ("s0000", "canal", "present")))


def test_nothing_to_agree_on_keeps_the_schema(rules):
    assert consensus([rules.clear()]).schema == CONSENSUS
    assert consensus([]).height == 0


def test_silence_may_be_unknown_instead_of_negative(rules):
    frame = consensus([rules, another(rules, fracture="not_mentioned", cyst="absent")], not_mentioned=-1)
    assert (place(frame, "fracture")["label"], place(frame, "fracture")["agreed"]) == (-1, False)
    assert (place(frame, "cyst")["label"], place(frame, "cyst")["agreed"]) == (-1, False)
    silent = place(frame, "hemangioma")
    assert (silent["status"], silent["label"], silent["agreed"], silent["reason"]) == (
        "not_mentioned",
        -1,
        True,
        None,
    )
    decided = consensus([rules], adjudication(("s0000", "canal", "not_mentioned")), not_mentioned=-1)
    assert place(decided, "canal")["label"] == -1
