"""What is asked of labels: who waits for a person, who differs from whom, on which words, at what cost."""

from __future__ import annotations

import pytest


def test_labels_that_wait_for_a_person(answer):
    (row,) = answer("review_queue")
    assert (row["rank"], row["condition"], row["quotes"]) == (1, "synovial", ["stenosis at L4-L5"])


def test_differing_labellers_stand_under_one_another(answer):
    rows = answer("label_disagreements")
    assert [(r["condition"], r["labeller"], r["status"], r["consensus"]) for r in rows] == [
        ("synovial", "llama", "present", "ambiguous"),
        ("synovial", "rules", "not_mentioned", "ambiguous"),
    ]


def test_every_quote_with_its_study_and_place(answer, lake):
    rows = answer("label_evidence")
    quoted = [row for row in lake.rows["labels.verdicts"] if row["evidence"]]
    assert len(rows) == len(quoted) == 21
    first = next(r for r in rows if r["condition"] == "canal")
    assert (first["quote"], first["start"]) == ("canal stenosis", 20)


def test_agreement_over_all_comes_first(answer, lake):
    lake.add("labels.agreement", condition="pars", first="rules", second="llama", studies=5, kappa=None)
    rows = answer("label_agreement")
    assert [row["condition"] for row in rows] == ["all", "pars"]
    assert rows[0]["kappa"] == pytest.approx(0.95)


def test_cost_counts_tokens_and_what_the_prefix_cache_saves(answer, lake):
    (row,) = answer("label_cost")
    assert (row["reports"], row["questions"], row["answered"], row["retries"]) == (5, 85, 85, 0)
    assert row["cached_share"] == pytest.approx(0.75)
    assert row["tokens_per_report"] == pytest.approx(17 * 440)
    lake.change("labels.requests", outcome="truncated", attempts=3)
    (row,) = answer("label_cost")
    assert (row["answered"], row["retries"]) == (84, 2)
