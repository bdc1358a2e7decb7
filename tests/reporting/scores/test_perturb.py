"""A spoilt draft scores lower, in the way it was spoilt: over random sets and as the table tells it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine_models.config import ScoreSettings
from spine_models.corpus.statements import Reference, Unit
from spine_models.reporting.scores.harness import metric_of
from spine_models.reporting.scores.metric import Metric
from spine_models.reporting.scores.perturb import EXPECTED, PERTURBATIONS_OF, perturbations
from spine_models.reporting.scores.tables import PERTURBATIONS
from tests.reporting.scores.test_metric import METRIC, SETS

FULL = [
    Unit("canal", "L4-L5", None, "severe"),
    Unit("neuroforaminal", "L5-S1", "left", "mild"),
    Unit("fracture", "L2"),
]


@pytest.mark.parametrize("kind", PERTURBATIONS_OF)
@given(units=SETS, seed=st.integers(0, 99))
@settings(max_examples=120, deadline=None)
def test_every_perturbation_of_every_set_moves_the_metric_the_right_way(kind, units, seed):
    _, holds = EXPECTED[kind]
    before = METRIC.compare(units, units)
    for spoilt in PERTURBATIONS_OF[kind](units, np.random.default_rng(seed)):
        after = METRIC.compare(spoilt, units)
        assert after.f1 < before.f1
        assert holds(before, after)


@pytest.mark.parametrize("kind", PERTURBATIONS_OF)
def test_each_is_applied_wherever_it_can_be(kind):
    found = list(PERTURBATIONS_OF[kind](FULL, np.random.default_rng(0)))
    expected = {"drop": 3, "add": 1, "flip_side": 1, "move_level": 4 + 3 + 6, "swap_severity": 4, "hedge": 3}
    assert len(found) == expected[kind]
    assert all(units != FULL for units in found)


def test_errors_add_up():
    once = [Unit("canal", "L4-L5", None, "mild"), *FULL[1:]]
    twice = [once[0], Unit("neuroforaminal", "L5-S1", "right", "mild"), FULL[2]]
    scores = [METRIC.compare(units, FULL).f1 for units in (FULL, once, twice, twice[:2], twice[:1], [])]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)


def test_a_graver_error_costs_more():
    def f1(**changed):
        from dataclasses import replace

        return METRIC.compare([replace(FULL[0], **changed), *FULL[1:]], FULL).f1

    assert f1(certainty="probable") > f1(certainty="possible") > f1(level="L1-L2")
    assert (
        f1(severity="moderate") > f1(severity="mild") > f1(level="L1-L2") > METRIC.compare(FULL[1:], FULL).f1
    )


def test_the_table_counts_what_moved():
    references = [Reference(tuple(FULL)), Reference(()), Reference((Unit("hemangioma", "L3"),))]
    frame = perturbations(references, METRIC, most=10, seed=3)
    assert frame.schema == PERTURBATIONS
    rows = {row["kind"]: row for row in frame.to_dicts()}
    assert list(rows) == list(PERTURBATIONS_OF)
    assert all(row["n_right"] == row["n_tried"] > 0 for row in rows.values())
    assert rows["add"]["n_studies"] == 3
    assert rows["drop"]["n_tried"] == 4
    assert rows["drop"]["recall_change"] < 0 == rows["drop"]["precision_change"]
    assert rows["add"]["precision_change"] < 0 == rows["add"]["recall_change"]
    assert perturbations(references, METRIC, most=10, seed=3).equals(frame)
    assert perturbations(references, METRIC, most=1, seed=3)["n_studies"].max() == 1


def test_what_no_reference_has_cannot_be_spoilt():
    rows = perturbations([Reference((Unit("canal"),))], METRIC, most=10, seed=0).to_dicts()
    by_kind = {row["kind"]: row for row in rows}
    assert by_kind["flip_side"]["status"] == "not_evaluable"
    assert by_kind["flip_side"]["reason"]
    assert by_kind["hedge"]["status"] == "evaluated"


def test_a_blind_metric_is_caught():
    """A metric that does not look at sides: the table says so."""

    class Blind(Metric):
        def agreement(self, name, one, other):
            return None if name == "side" else super().agreement(name, one, other)

    good = metric_of(ScoreSettings())
    rows = perturbations(
        [Reference(tuple(FULL))], Blind(good.weights, good.partial), most=9, seed=0
    ).to_dicts()
    wrong = {row["kind"] for row in rows if row["n_right"] < row["n_tried"]}
    assert wrong == {"flip_side"}
