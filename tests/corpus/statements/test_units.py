"""Units of texts, claims and labels: what is folded, what is handed on, what is left out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine_models.corpus.labels import consensus, label_reports
from spine_models.corpus.labels.tables import ADJUDICATIONS, CONSENSUS
from spine_models.corpus.statements import (
    CERTAINTIES,
    Unit,
    merged,
    says_something,
    units_of_claims,
    units_of_labels,
    units_of_text,
)
from spine_models.domain import DISCS, VERTEBRAE, Severity, Side, condition_keys

LEVELS = ("L3", "L4", "L4-L5", "L5-S1")
UNITS = st.builds(
    Unit,
    st.sampled_from(("canal", "neuroforaminal", "pars", "spondylolisthesis", "fracture")),
    st.sampled_from((None, *LEVELS)),
    st.sampled_from((None, *map(str, Side))),
    st.sampled_from((None, *map(str, Severity))),
    st.sampled_from(CERTAINTIES),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("No fracture. The spinal canal is patent.", []),
        ("Severe canal stenosis at L4-5.", [Unit("canal", "L4-L5", None, "severe")]),
        (
            "FINDINGS: Canal stenosis at L4-5. IMPRESSION: Moderate spinal canal stenosis.",
            [Unit("canal", "L4-L5", None, "moderate")],
        ),
        (
            "Moderate bilateral foraminal stenosis at L5-S1.",
            [
                Unit("neuroforaminal", "L5-S1", "left", "moderate"),
                Unit("neuroforaminal", "L5-S1", "right", "moderate"),
            ],
        ),
        ("Left pars defect at L5-S1.", [Unit("pars", "L5", "left")]),
        ("Grade 1 anterolisthesis of L4 on L5.", [Unit("spondylolisthesis", "L4-L5", None, "mild")]),
        ("Possible fracture of L2.", [Unit("fracture", "L2", certainty="possible")]),
        ("Probable fracture of L2.", [Unit("fracture", "L2", certainty="probable")]),
        ("Hemangioma of L3. Findings consistent with fracture of L2.", None),
    ],
)
def test_a_text_gives_its_units(text, expected):
    found = units_of_text(text)
    if expected is None:
        expected = [Unit("fracture", "L2", certainty="probable"), Unit("hemangioma", "L3")]
    assert found == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), (" \n", False), ("No. No. L2.", False), ("No fracture.", True), ("Fracture of L2.", True)],
)
def test_a_report_says_something(text, expected):
    assert says_something(text) is expected


def test_a_word_of_doubt_in_a_sentence_of_two_conditions_is_nobodys():
    found = units_of_text("Severe canal stenosis with probable cord compression at C5-C6.")
    assert {unit.certainty for unit in found} == {"definite"}


def test_a_summary_is_left_out_and_hands_on_only_where_one_place_is_meant():
    one = Unit("canal", "L4-L5")
    assert merged([Unit("canal", severity="severe"), one]) == [Unit("canal", "L4-L5", None, "severe")]
    two = [one, Unit("canal", "L5-S1", None, "mild")]
    assert merged([Unit("canal", severity="severe"), *two]) == two
    sided = [Unit("synovial", "L4-L5", "left"), Unit("synovial", "L4-L5")]
    assert merged(sided) == [Unit("synovial", "L4-L5", "left")]
    # Another side is not summed up by this one.
    apart = [Unit("synovial", None, "right"), Unit("synovial", "L4-L5", "left")]
    assert merged(apart) == apart


def test_what_a_place_is_graded_is_not_overruled_by_a_summary():
    graded = Unit("canal", "L4-L5", None, "mild", "possible")
    assert merged([Unit("canal", severity="severe"), graded]) == [Unit("canal", "L4-L5", None, "mild")]


@given(st.lists(UNITS, max_size=8), st.randoms())
@settings(max_examples=150, deadline=None)
def test_folding_is_stable_and_does_not_depend_on_the_order(units, random):
    once = merged(units)
    assert merged(once) == once
    shuffled = list(units)
    random.shuffle(shuffled)
    assert merged(shuffled) == once
    assert {unit.condition for unit in once} == {unit.condition for unit in units}
    assert len({(unit.condition, unit.level, unit.side) for unit in once}) == len(once)


def test_claims_give_one_unit_a_place_and_only_where_affirmed():
    place = {"level": "L4-L5", "side": "left", "severity": "severe", "confidence": 0.7}
    other = {"level": None, "side": None, "severity": None, "confidence": 0.2}
    claims = [
        {"condition": "neuroforaminal", "affirmed": True, "certainty": "probable", "places": [place]},
        {"condition": "canal", "affirmed": True, "certainty": "possible", "places": [other]},
        {"condition": "cyst", "affirmed": True, "certainty": "definite", "places": []},
        {"condition": "fracture", "affirmed": False, "certainty": None, "places": [place]},
    ]
    assert units_of_claims(claims) == [
        Unit("canal", certainty="possible"),
        Unit("neuroforaminal", "L4-L5", "left", "severe", "probable"),
        Unit("cyst"),
    ]


def _labelled(reports, adjudications=None):
    tables = label_reports(reports)
    folded = consensus([tables.rules], adjudications)
    return folded, tables.mentions


def test_labels_give_the_same_units_as_the_text_they_were_read_from(reports_of):
    text = (
        "FINDINGS: Severe left foraminal stenosis at L5-S1 and mild at L4-5. Possible fracture of L2. "
        "Probable hemangioma of L3. IMPRESSION: Foraminal stenosis, severe at L5-S1 on the left."
    )
    folded, mentions = _labelled(reports_of(text))
    reference = units_of_labels(folded.to_dicts(), mentions.to_dicts())
    assert reference.excluded == {"fracture"}
    assert list(reference.units) == [u for u in units_of_text(text) if u.condition != "fracture"]
    assert any(unit.certainty == "probable" for unit in reference.units)


def test_a_doubtful_place_of_a_present_condition_stays_as_possible(reports_of):
    text = "Canal stenosis at L4-5. Possible canal stenosis at L2-3."
    folded, mentions = _labelled(reports_of(text))
    reference = units_of_labels(folded.to_dicts(), mentions.to_dicts())
    assert set(reference.units) == {Unit("canal", "L4-L5"), Unit("canal", "L2-L3", certainty="possible")}
    assert reference.excluded == frozenset()


def test_people_overrule_mentions_both_ways(reports_of):
    import polars as pl

    frame = reports_of("Canal stenosis at L4-5. No fracture.")
    study = frame["study_key"][0]
    people = pl.DataFrame(
        [(study, "canal", "absent"), (study, "fracture", "present")], schema=ADJUDICATIONS, orient="row"
    )
    folded, mentions = _labelled(frame, people)
    reference = units_of_labels(folded.to_dicts(), mentions.to_dicts())
    assert reference.units == (Unit("fracture"),)


def test_a_consensus_without_mentions_gives_its_own_places():
    row = dict.fromkeys(CONSENSUS.names()) | {
        "condition": "canal",
        "status": "present",
        "level": "L4-L5",
        "levels": ["L4-L5", "L5-S1"],
        "severity": "severe",
    }
    reference = units_of_labels([row], [])
    assert reference.units == (Unit("canal", "L4-L5", None, "severe"), Unit("canal", "L5-S1"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"condition": "broken leg"},
        {"level": "L9"},
        {"side": "upper"},
        {"severity": "bad"},
        {"certainty": "sure"},
    ],
)
def test_a_unit_outside_the_vocabulary_is_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        Unit(**({"condition": "canal"} | wrong))


def test_every_word_of_the_vocabulary_makes_a_unit():
    for condition in condition_keys():
        for level in (*VERTEBRAE, *DISCS):
            assert merged([Unit(condition, level)])[0].condition == condition
