"""Sums with intervals over patients, paired comparisons, AUROC: against doing it by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from spine_models.domain import condition_keys
from spine_models.findings.probes.scores import patient_draws
from spine_models.reporting.scores.conditions import score_conditions
from spine_models.reporting.scores.harness import Text, metric_of
from spine_models.reporting.scores.summary import compare_methods, score_methods
from spine_models.reporting.scores.tables import COMPARISONS, CONDITIONS, SCORES
from tests.reporting.scores.conftest import REPORTS, key

READ = ("severe", "normal", "doubtful", "lesions")
TEXTS = {
    "agents": {key(name): Text(REPORTS[name]) for name in READ if name != "lesions"}
    | {key("lesions"): Text("FINDINGS: Hemangioma of L3. Fracture of L1.")},
    "image_only": {
        key("severe"): Text("FINDINGS: Mild canal stenosis at L4-L5. Pars defect at L5."),
        key("normal"): Text("FINDINGS: Severe canal stenosis at L3-L4."),
        key("doubtful"): Text(""),
    },
    "retrieved": {key(name): Text(REPORTS["normal"]) for name in READ},
}


@pytest.fixture
def cases(made):
    return made.cases(TEXTS)


def pick(frame: pl.DataFrame, **where) -> dict:
    rows = frame.filter(**where)
    assert rows.height == 1, rows
    return rows.to_dicts()[0]


def test_scores_are_those_of_the_summed_credits(cases, settings):
    frame = score_methods(cases, metric_of(settings), settings=settings)
    assert frame.schema == SCORES
    assert frame.height == 4 * 6
    row = pick(frame, method="image_only", strictness="graded")
    tallies = [case.compared.tally for case in cases if case.method == "image_only" and case.compared]
    total = sum(tallies[1:], tallies[0])
    assert (row["f1"], row["precision"], row["recall"]) == pytest.approx(
        (total.f1, total.precision, total.recall)
    )
    assert row["mean_f1"] == pytest.approx(np.mean([tally.f1 for tally in tallies]))
    assert row["false_positives"] == pytest.approx(total.false_positives / 3)
    assert row["omissions"] == pytest.approx(total.omissions / 3)
    assert (row["n_studies"], row["n_unreadable"], row["n_missing"], row["n_no_reference"]) == (3, 1, 1, 3)
    assert row["n_excluded"] == 1
    assert row["f1_low"] <= row["f1"] <= row["f1_high"]
    silent = pick(frame, method="retrieved", strictness="graded")
    assert (silent["precision"], silent["recall"], silent["f1"]) == (None, 0.0, 0.0)
    assert silent["reason"] == "no text affirms anything"
    none = pick(frame, method="agents_llm", strictness="level")
    assert (none["status"], none["f1"], none["n_missing"]) == ("not_evaluable", None, 4)
    assert none["reason"] == "the language model wrote no report of this study from the agents"
    rungs = frame.filter(method="agents", strictness="condition")["f1"][0]
    assert rungs >= frame.filter(method="agents", strictness="certainty")["f1"][0]


def test_intervals_are_over_patients(cases, settings):
    """Two studies of one patient stay together: the interval by resampling patients by hand."""
    own = [case for case in cases if case.method == "agents" and case.compared]
    patients = np.unique([case.study["patient_key"] for case in cases if case.status != "no_reference"])
    draws = patient_draws(len(patients), settings.bootstrap, (settings.seed, 0))
    values = []
    for draw in draws:
        counts = dict(zip(patients, draw, strict=True))
        credit = sum(c.compared.tally.credit * counts[c.study["patient_key"]] for c in own)
        both = sum(
            (c.compared.tally.said + c.compared.tally.told) * counts[c.study["patient_key"]] for c in own
        )
        values.append(2 * credit / both if both else np.nan)
    low, high = np.nanpercentile(values, [2.5, 97.5])
    row = pick(
        score_methods(cases, metric_of(settings), settings=settings), method="agents", strictness="graded"
    )
    assert (row["f1_low"], row["f1_high"]) == pytest.approx((low, high))


def test_comparisons_are_paired_on_the_studies_of_both(cases, settings):
    frame = compare_methods(cases, settings=settings)
    assert frame.schema == COMPARISONS
    row = pick(frame, method="agents", against="image_only", measure="f1")
    ours, theirs = (
        {c.study["study_key"]: c.compared.tally for c in cases if c.method == method and c.compared}
        for method in ("agents", "image_only")
    )
    common = sorted(set(ours) & set(theirs))
    assert row["n_studies"] == len(common) == 3
    total = [sum((held[name] for name in common[1:]), held[common[0]]) for held in (ours, theirs)]
    assert row["value"] == pytest.approx(total[0].f1)
    assert row["difference"] == pytest.approx(total[0].f1 - total[1].f1)
    assert row["ratio"] == pytest.approx(total[0].f1 / total[1].f1)
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    fewer = pick(frame, method="agents", against="image_only", measure="false_positives")
    assert fewer["difference"] == pytest.approx((total[0].false_positives - total[1].false_positives) / 3)
    assert fewer["difference"] < 0


def test_there_is_no_ratio_over_nothing_and_no_comparison_without_common_studies(cases, settings):
    frame = compare_methods(cases, settings=settings)
    over = pick(frame, method="agents", against="retrieved", measure="f1")
    assert (over["status"], over["ratio"], over["ratio_reason"]) == (
        "evaluated",
        None,
        "the other's value is zero",
    )
    assert over["difference"] == over["value"] > 0
    none = frame.filter(method="agents_llm")
    assert set(none["status"]) == {"not_evaluable"}
    assert set(none["reason"]) == {"no study has a text of both methods"}
    precision = pick(frame, method="agents", against="retrieved", measure="precision")
    assert (precision["status"], precision["reason"]) == ("not_evaluable", "no text affirms anything")


def test_the_same_seed_gives_the_same_bits(made, cases, settings):
    again = made.cases(TEXTS)
    assert compare_methods(cases, settings=settings).equals(compare_methods(again, settings=settings))


def test_auroc_of_probabilities_and_of_texts(cases, settings):
    chances = {"severe": 0.8, "normal": 0.3, "doubtful": 0.4, "lesions": 0.3}
    claims = pl.DataFrame(
        [(key(name), "canal", value) for name, value in chances.items()]
        + [
            (key("severe"), "herniation", 0.2),
            (key("doubtful"), "herniation", None),
            (key("severe"), "fracture", 0.1),
        ],
        schema=["study_key", "condition", "probability"],
        orient="row",
    )
    frame = score_conditions(cases, claims, settings=settings)
    assert frame.schema == CONDITIONS
    assert frame.height == 5 * (len(condition_keys()) + 1)
    canal = pick(frame, method="agents", score="probability", condition="canal")
    assert canal["auroc"] == pytest.approx(roc_auc_score([1, 0, 0, 0], list(chances.values())))
    assert canal["n_positive"] == 1
    text = pick(frame, method="image_only", score="text", condition="canal")
    assert text["auroc"] == pytest.approx(roc_auc_score([1, 0, 0], [1, 1, 0]))
    assert (text["true_positives"], text["false_positives"], text["false_negatives"]) == (1, 1, 0)
    # Not assessed, or in doubt: left out, never a negative.
    herniation = pick(frame, method="agents", score="probability", condition="herniation")
    assert (herniation["n_studies"], herniation["reason"]) == (1, "the studies are all of one class")
    fracture = pick(frame, method="agents", score="text", condition="fracture")
    assert (fracture["n_studies"], fracture["n_positive"]) == (3, 0)
    evaluated = frame.filter(pl.col("condition") != "all", method="agents", score="text", status="evaluated")
    mean = pick(frame, method="agents", score="text", condition="all")
    assert mean["auroc"] == pytest.approx(evaluated["auroc"].mean())
    assert mean["n_conditions"] == evaluated.height
    nobody = pick(frame, method="agents_llm", score="text", condition="all")
    assert (nobody["status"], nobody["reason"]) == ("not_evaluable", "no condition can be evaluated")
