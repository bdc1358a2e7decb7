"""Exact properties of the claim metric over random sets of findings, and its matching against trying everything."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine_models.config import ScoreSettings
from spine_models.corpus.statements import CERTAINTIES, Unit, merged
from spine_models.domain import Severity, Side, condition_keys
from spine_models.reporting.scores.harness import metric_of
from spine_models.reporting.scores.metric import LADDER, Tally, level_steps
from spine_models.reporting.scores.weights import FILE, WeightsError, load_weights

METRIC = metric_of(ScoreSettings())
UNITS = st.builds(
    Unit,
    st.sampled_from(("canal", "neuroforaminal", "herniation", "fracture", "hemangioma")),
    st.sampled_from((None, "L2", "L3", "L2-L3", "L3-L4", "L4-L5", "T12-L1")),
    st.sampled_from((None, *map(str, Side))),
    st.sampled_from((None, *map(str, Severity))),
    st.sampled_from(CERTAINTIES),
)
SETS = st.lists(UNITS, max_size=7).map(merged)
FULL = settings(max_examples=150, deadline=None)


@given(SETS)
@FULL
def test_equal_sets_score_exactly_one(units):
    tally = METRIC.compare(units, list(reversed(units)))
    assert (tally.precision, tally.recall, tally.f1) == (1.0, 1.0, 1.0)
    assert tally.false_positives == tally.omissions == 0
    assert tally.wrong_level == tally.wrong_side == tally.wrong_severity == 0


@given(SETS, SETS)
@FULL
def test_only_equal_sets_score_one(one, other):
    tally = METRIC.compare(one, other)
    assert (tally.f1 == 1.0) == (one == other)
    assert all(0.0 <= value <= 1.0 for value in (tally.precision, tally.recall, tally.f1))


@given(SETS, SETS, st.randoms())
@FULL
def test_exchange_exchanges_precision_and_recall_whatever_the_order(one, other, random):
    shuffled = list(one)
    random.shuffle(shuffled)
    ours, theirs = METRIC.compare(shuffled, other), METRIC.compare(other, one)
    assert (ours.precision, ours.recall, ours.f1) == (theirs.recall, theirs.precision, theirs.f1)
    assert (ours.false_positives, ours.omissions) == (theirs.omissions, theirs.false_positives)
    assert (ours.false_weight, ours.omitted_weight) == (theirs.omitted_weight, theirs.false_weight)
    for name in ("wrong_level", "wrong_side", "wrong_severity"):
        assert getattr(ours, name) == getattr(theirs, name)


def _best_by_trying(said, told):
    """Largest weighted credit over every one-to-one matching."""
    few, many = sorted((said, told), key=len)
    credits = [
        sum(
            METRIC.weights.conditions[a.condition] * METRIC.credit(a, b)
            for a, b in zip(few, chosen, strict=True)
        )
        for chosen in itertools.permutations(many, len(few))
    ]
    return max(credits)


@given(st.lists(UNITS, max_size=5).map(merged), st.lists(UNITS, max_size=5).map(merged))
@settings(max_examples=120, deadline=None)
def test_matching_is_one_to_one_and_as_good_as_any(said, told):
    pairs = METRIC.match(said, told)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(said[i].condition == told[j].condition for i, j in pairs)
    assert METRIC.compare(said, told).credit == pytest.approx(_best_by_trying(said, told), abs=1e-9)
    # A condition's findings pair off as far as there are partners: no error is counted twice.
    for condition in condition_keys():
        ours, theirs = (sum(u.condition == condition for u in units) for units in (said, told))
        assert sum(said[i].condition == condition for i, _ in pairs) == min(ours, theirs)


@given(SETS, SETS, UNITS)
@FULL
def test_one_more_never_lowers_the_credit_and_one_less_never_raises_it(said, told, unit):
    before = METRIC.compare(said, told)
    after = METRIC.compare([*said, unit], told)
    assert after.credit >= before.credit - 1e-9
    assert after.recall >= before.recall - 1e-9


@given(SETS, SETS)
@FULL
def test_an_invented_finding_lowers_precision_and_f1_and_leaves_recall(said, told):
    free = [key for key in condition_keys() if key not in {unit.condition for unit in (*said, *told)}]
    before, after = METRIC.compare(said, told), METRIC.compare([*said, Unit(free[0], "L4-L5")], told)
    assert after.recall == before.recall
    assert after.false_positives == before.false_positives + 1
    assert after.precision < before.precision or before.precision == 0.0
    assert after.f1 < before.f1 or before.f1 == 0.0


@given(SETS, SETS)
@FULL
def test_a_finding_that_the_reference_lacks_is_worth_taking_out(said, told):
    there = {unit.condition for unit in told}
    for unit in [unit for unit in said if unit.condition not in there]:
        less = [other for other in said if other != unit]
        assert METRIC.compare(less, told).f1 >= METRIC.compare(said, told).f1


@given(SETS, SETS)
@FULL
def test_the_ladder_never_rises(said, told):
    rungs = [METRIC.rung(said, told, rung) for rung in LADDER]
    for lax, strict in itertools.pairwise(rungs):
        assert strict.f1 <= lax.f1
        assert strict.false_positives >= lax.false_positives
        assert (strict.said, strict.told) == pytest.approx((lax.said, lax.told))
    assert (rungs[-1].f1 == 1.0) == (said == told)
    # The graded credit lies between the strictest rung and the most lenient one.
    graded = METRIC.compare(said, told)
    assert rungs[-1].credit - 1e-9 <= graded.credit <= rungs[0].credit + 1e-9


def test_nothing_beside_nothing_and_beside_something():
    one = [Unit("canal", "L4-L5")]
    nothing, missed, invented = METRIC.compare([], []), METRIC.compare([], one), METRIC.compare(one, [])
    assert (nothing.precision, nothing.recall, nothing.f1) == (1.0, 1.0, 1.0)
    assert (missed.precision, missed.recall, missed.f1, missed.omissions) == (1.0, 0.0, 0.0, 1)
    assert (invented.precision, invented.recall, invented.f1, invented.false_positives) == (0.0, 1.0, 0.0, 1)
    assert (Tally() + missed + invented).f1 == 0.0


def test_a_sum_of_studies_is_not_the_mean_of_their_scores():
    one = [Unit("canal", "L4-L5")]
    silent = METRIC.compare([], []) + METRIC.compare([], one)
    assert silent.f1 == 0.0  # silence on a normal study buys nothing


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # condition 4, level 2, side 2, severity 1, certainty 1
        (Unit("canal"), Unit("canal"), 1.0),
        (Unit("canal", "L4-L5"), Unit("canal", "L3-L4"), (4 + 1 + 1) / 7),
        (Unit("canal", "L4-L5"), Unit("canal", "L2-L3"), (4 + 0 + 1) / 7),
        (Unit("canal", "L4-L5"), Unit("canal"), (4 + 0.5 + 1) / 7),
        (Unit("fracture", "L4"), Unit("fracture", "L4-L5"), (4 + 1 + 1) / 7),
        (Unit("herniation", "L4-L5", "left"), Unit("herniation", "L4-L5", "right"), (4 + 2 + 0 + 1) / 9),
        (Unit("herniation", "L4-L5", "left"), Unit("herniation", "L4-L5", "bilateral"), (4 + 2 + 1 + 1) / 9),
        (Unit("herniation", None, "central"), Unit("herniation", None, "bilateral"), (4 + 0 + 1) / 7),
        (Unit("canal", None, None, "mild"), Unit("canal", None, None, "moderate"), (4 + 0.5 + 1) / 6),
        (Unit("canal", None, None, "mild"), Unit("canal", None, None, "severe"), (4 + 0 + 1) / 6),
        (Unit("canal"), Unit("canal", certainty="probable"), (4 + 0.5) / 5),
        (Unit("canal"), Unit("canal", certainty="possible"), 4 / 5),
        (Unit("canal"), Unit("herniation"), 0.0),
    ],
)
def test_credit_of_a_pair(one, other, expected):
    assert METRIC.credit(one, other) == pytest.approx(expected)
    assert METRIC.credit(other, one) == METRIC.credit(one, other)


def test_a_near_level_costs_less_than_a_far_one_and_silence_less_than_a_wrong_one():
    told = [Unit("canal", "L4-L5", None, "severe")]
    near, untold, far = (
        METRIC.compare([replace(told[0], level=level)], told).f1 for level in ("L3-L4", None, "L1-L2")
    )
    assert 1.0 > near > untold > far > 0.0
    assert [level_steps("L4", level) for level in ("L4", "L4-L5", "L5", "L5-S1")] == [0, 1, 2, 3]


def test_conditions_in_doubt_are_left_out_on_both_sides():
    told = [Unit("canal", "L4-L5"), Unit("fracture", "L2", certainty="possible")]
    said = [Unit("canal", "L4-L5"), Unit("fracture", "L3")]
    tally = METRIC.compare(said, told, excluded={"fracture"})
    assert (tally.f1, tally.n_said, tally.n_told) == (1.0, 1, 1)
    assert METRIC.rung(said, told, "certainty", excluded={"fracture"}).f1 == 1.0


def test_a_heavy_finding_counts_more_than_a_light_one():
    told = [Unit("compression", "C5-C6"), Unit("hemangioma", "L3")]
    without_heavy, without_light = METRIC.compare(told[1:], told), METRIC.compare(told[:1], told)
    assert without_heavy.f1 < without_light.f1
    assert without_heavy.omitted_weight > without_light.omitted_weight
    assert without_heavy.omissions == without_light.omissions == 1


def test_every_condition_has_a_weight_and_a_wrong_file_is_told_by_entry(tmp_path):
    assert set(load_weights().conditions) == set(condition_keys())
    own = tmp_path / "weights.yaml"
    for old, new, told in (
        ("canal: 3", "kanal: 3", "'canal' is missing"),
        ("canal: 3", "canal: 0", "'canal' is not a number above zero"),
        ("canal: 3", "canal: yes", "'canal' is not a number above zero"),
        ("side: 2", "", "'side' is missing"),
    ):
        own.write_text(FILE.read_text().replace(f"  {old}\n", f"  {new}\n"))
        load_weights.cache_clear()
        with pytest.raises(WeightsError, match=told):
            load_weights(own)
    load_weights.cache_clear()
    assert load_weights().version != ""
