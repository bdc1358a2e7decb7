from __future__ import annotations

import polars as pl
import pytest
from scipy.stats import binomtest

from spine_models.corpus.labels import audit_accuracy, audit_sample, consensus
from spine_models.corpus.labels.tables import ADJUDICATIONS, AUDIT, RELIABILITY


@pytest.fixture
def corpus(labels):
    """Consensus of one labeller: so many studies of each condition and status."""

    def make(**counts: dict[str, int]) -> pl.DataFrame:
        rows = []
        for condition, statuses in counts.items():
            number = 0
            for status, count in statuses.items():
                for _ in range(count):
                    rows.append(("a", f"s{number:04d}", condition, status))
                    number += 1
        return consensus([labels(rows)])

    return make


def read(audit: pl.DataFrame, wrong: int = 0, **instead: str) -> pl.DataFrame:
    """People agree with the audit but for the first ``wrong`` rows of a stratum."""
    rows, seen = [], {}
    for row in audit.iter_rows(named=True):
        stratum = row["stratum"]
        seen[stratum] = seen.get(stratum, 0) + 1
        status = instead[stratum] if stratum in instead and seen[stratum] <= wrong else row["status"]
        rows.append((row["study_key"], row["condition"], status))
    return pl.DataFrame(rows, schema=ADJUDICATIONS, orient="row")


def test_at_most_so_many_of_each_stratum_with_their_weights(corpus):
    audit = audit_sample(corpus(canal={"present": 30, "absent": 4}, cyst={"ambiguous": 12}), 10, seed=1)
    assert audit.schema == AUDIT
    table = audit.group_by("condition", "stratum", maintain_order=True).agg(
        pl.len(), pl.col("stratum_size", "sampled", "weight").first(), pl.col("weight").sum().alias("total")
    )
    assert table.rows() == [
        ("canal", "absent", 4, 4, 4, 1.0, 4.0),
        ("canal", "present", 10, 30, 10, 3.0, 30.0),
        ("cyst", "ambiguous", 10, 12, 10, 1.2, pytest.approx(12.0)),
    ]


def test_the_sample_is_that_of_the_seed_and_not_of_the_order(corpus):
    frame = corpus(canal={"present": 50})
    audit = audit_sample(frame, 10, seed=1)
    assert audit_sample(frame.sample(fraction=1.0, shuffle=True, seed=3), 10, seed=1).equals(audit)
    assert not audit_sample(frame, 10, seed=2).equals(audit)


def test_the_sample_holds_as_the_corpus_grows(corpus):
    frame = corpus(canal={"present": 400})
    drawn = [set(audit_sample(frame.head(n), 20, seed=1)["study_key"]) for n in (200, 201, 400)]
    assert len(drawn[0] & drawn[1]) >= 19
    # Of those drawn from the larger corpus whoever was there before was drawn before.
    assert drawn[2] & set(frame.head(200)["study_key"]) <= drawn[0]


def test_conditions_of_one_study_are_drawn_apart(corpus):
    audit = audit_sample(corpus(canal={"present": 50}, cyst={"present": 50}), 10, seed=1)
    drawn = [set(audit.filter(condition=c)["study_key"]) for c in ("canal", "cyst")]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("per_stratum", [0, -1])
def test_no_rows_are_no_audit(corpus, per_stratum):
    with pytest.raises(ValueError, match="at least one row"):
        audit_sample(corpus(), per_stratum, seed=1)


def test_accuracy_of_one_stratum_is_wilson(corpus):
    frame = corpus(canal={"present": 40})
    audit = audit_sample(frame, 40, seed=1)
    table = audit_accuracy(audit, read(audit, 6, present="absent"), frame)
    assert table.schema == RELIABILITY
    expected = binomtest(34, 40).proportion_ci(method="wilson")
    row = table.row(0, named=True)
    assert (row["labeller"], row["condition"], row["measure"]) == ("consensus", "canal", "audit_accuracy")
    assert (row["n"], row["value"]) == (40, pytest.approx(0.85))
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert table.row(1, named=True) == row | {"condition": "all"}


def test_accuracy_weighs_strata_by_their_size(corpus):
    # 100 present of which 10 read, 5 wrong; 900 silent of which 10 read, all right: 0.1·0.5 + 0.9·1 = 0.95
    frame = corpus(canal={"present": 100, "not_mentioned": 900, "ambiguous": 50})
    audit = audit_sample(frame, 10, seed=1)
    row = audit_accuracy(audit, read(audit, 5, present="ambiguous", not_mentioned="absent"), frame).row(
        0, named=True
    )
    assert (row["n"], row["value"]) == (20, pytest.approx(0.95))
    effective = 1 / (0.1**2 / 10 + 0.9**2 / 10)
    assert effective == pytest.approx(12.195, abs=0.001)
    for end in (
        row["low"],
        row["high"],
    ):  # Wilson's interval holds the shares that a score test does not reject
        assert (0.95 - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / effective, rel=1e-5)
    assert row["low"] < row["value"] < row["high"]


def test_all_right_is_no_certainty(corpus):
    frame = corpus(canal={"present": 100, "absent": 100})
    audit = audit_sample(frame, 5, seed=1)
    row = audit_accuracy(audit, read(audit), frame).row(0, named=True)
    assert (row["value"], row["high"]) == (1.0, 1.0)
    assert row["low"] == pytest.approx(binomtest(10, 10).proportion_ci(method="wilson").low)


def test_a_stratum_that_nobody_read_leaves_the_condition_open(corpus):
    frame = corpus(canal={"present": 20, "absent": 20}, cyst={"present": 20})
    audit = audit_sample(frame, 5, seed=1)
    decided = read(audit.filter(~((pl.col("condition") == "canal") & (pl.col("stratum") == "absent"))))
    table = audit_accuracy(audit, decided, frame)
    assert table.select("condition", "n", "value", "low").rows()[0] == ("canal", 5, None, None)
    assert table.select("condition", "n", "value").rows()[1:] == [("cyst", 5, 1.0), ("all", 5, 1.0)]
    nobody = audit_accuracy(audit, decided.clear(), frame)
    assert nobody.select("condition", "n", "value").rows() == [(c, 0, None) for c in ("canal", "cyst", "all")]


def test_later_labels_are_judged_on_the_same_sample(corpus):
    frame = corpus(canal={"present": 20})
    audit = audit_sample(frame, 20, seed=1)
    later = frame.with_columns(status=pl.lit("absent"))
    assert audit_accuracy(audit, read(audit), later)["value"].to_list() == [0.0, 0.0]


def test_nothing_to_audit_keeps_the_schemas(corpus):
    audit = audit_sample(corpus(), 5, seed=1)
    assert audit.schema == AUDIT
    assert audit.is_empty()
    table = audit_accuracy(audit, pl.DataFrame(schema=ADJUDICATIONS), corpus())
    assert table.schema == RELIABILITY
    assert table.is_empty()
    doubtful = corpus(canal={"ambiguous": 3})
    only = audit_sample(doubtful, 5, seed=1)
    assert audit_accuracy(only, read(only), doubtful).is_empty()
