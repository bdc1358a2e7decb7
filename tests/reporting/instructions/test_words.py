"""The data files: complete, and read back by the rules labeller as what they say."""

from __future__ import annotations

import itertools

import pytest

from spine_models.corpus.labels import read_report
from spine_models.corpus.statements import Unit, merged, units_of_text
from spine_models.domain import Region, Status, condition_keys
from spine_models.reporting.instructions.alike import alike, normal, runs
from spine_models.reporting.instructions.answerers import canonical
from spine_models.reporting.instructions.reading import is_private, places_in, says_yes
from spine_models.reporting.instructions.sequences import _rules, advice
from spine_models.reporting.instructions.wording import capitalised, filled, words

REGIONS = (Region.CERVICAL, Region.THORACIC, Region.LUMBAR, Region.SPINE, Region.UNKNOWN)


@pytest.mark.parametrize("condition", condition_keys())
def test_every_statement_is_read_back_as_itself(condition):
    known = words()
    for region, level, side, grade in itertools.product(
        (Region.CERVICAL, Region.LUMBAR),
        (None, "L4-L5", "C7-T1", "L4"),
        (None, "left", "bilateral", "central"),
        (None, "mild", "severe"),
    ):
        if level and "-" in level and condition in ("fracture", "edema", "hemangioma"):
            continue
        named = " ".join(w for w in (grade, side, known.topic(condition, region)) if w)
        statement = known.with_article(condition, f"{named} at {level}" if level else named)
        for template in known.answers("present"):
            text = filled(template, {"statement": statement})
            told = merged([Unit(condition, level, side, grade)])
            read = units_of_text(text)
            assert {u.condition for u in read} == {condition}, text
            assert {(u.level, u.severity) for u in read} == {(u.level, u.severity) for u in told}, text


@pytest.mark.parametrize("condition", condition_keys())
def test_denials_and_questions_speak_of_this_condition_alone(condition):
    known = words()
    for region in REGIONS:
        topic = known.topic(condition, region)
        slots = {"topic": topic, "a_topic": known.with_article(condition, topic)}
        for template in (*known.answers("absent"), *known.answers("no")[1:]):
            read = read_report(filled(template, slots).removeprefix("No, "))
            assert [(m.condition, m.status) for m in read] == [(condition, Status.ABSENT)]
        study = {
            "study": f"this MRI of the {known.region(region)} (sagittal T1-weighted, axial T2-weighted, STIR)"
        }
        for ask in ("condition", "statement"):
            for template in known.questions("train", ask):
                asked = filled(template, slots | study)
                assert {m.condition for m in read_report(asked)} <= {condition}, asked
                assert not places_in(asked).levels | places_in(asked).sides | places_in(asked).severities, (
                    asked
                )


def test_conditions_have_different_names_and_options_find_back():
    for region in REGIONS:
        names = [words().topic(key, region).casefold() for key in condition_keys()]
        assert len(set(names)) == len(names)
        for key in condition_keys():
            assert canonical("condition", capitalised(words().topic(key, region)), region) == key
    for side in ("left", "right", "bilateral", "central"):
        assert canonical("side", capitalised(words().side(side)), Region.LUMBAR) == side
    assert canonical("side", "Above", Region.LUMBAR) is None


@pytest.mark.parametrize(
    ("text", "levels", "sides", "grades"),
    [
        ("It is at L4/5.", {"L4-L5"}, set(), set()),
        ("L4-L5 and L5-S1", {"L4-L5", "L5-S1"}, set(), set()),
        ("Both sides.", set(), {"bilateral"}, set()),
        ("On the left side, severe", set(), {"left"}, {"severe"}),
        ("Mild at C5-C6, moderate at C6-C7", {"C5-C6", "C6-C7"}, set(), {"mild", "moderate"}),
        ("How severe is it?", set(), set(), set()),
        ("State it as in a report of this adult part.", set(), set(), set()),
        ("sagittal T1-weighted, axial T2-weighted", set(), set(), set()),
        ("axial T2*-weighted gradient-echo", set(), set(), set()),
        ("T1-T2", {"T1-T2"}, set(), set()),
    ],
)
def test_places_are_read_wherever_they_stand(text, levels, sides, grades):
    named = places_in(text)
    assert (named.discs, named.sides, named.severities) == (levels, sides, grades)


def test_yes_and_no_and_private_marks():
    assert (says_yes("Yes, it is."), says_yes("no."), says_yes("Perhaps"), says_yes("None")) == (
        True,
        False,
        None,
        None,
    )
    for text in (
        "[NAME]",
        "seen 02/03/2022",
        "on March 3",
        "in 2019",
        "Dr. Who",
        "MRN 12",
        "12345678",
        "J. Doe, MD",
    ):
        assert is_private(text), text
    for text in ("L4/5 and T11-12", "grade 1", "MR images of 1.5 T", "2. May be", "3. Marrow", "3 mm"):
        assert not is_private(text), text


def test_every_condition_has_a_rule_and_no_sequence_is_good_and_poor():
    assert set(_rules()) == set(condition_keys())
    for condition in condition_keys():
        for region in REGIONS:
            assert advice(condition, region, ()) is None
            assert advice(condition, region, ("sagittal localizer",)) is None


@pytest.mark.parametrize(
    ("condition", "region", "wanted"),
    [
        ("edema", Region.LUMBAR, "sagittal STIR"),
        ("neuroforaminal", Region.LUMBAR, "sagittal T1"),
        ("neuroforaminal", Region.CERVICAL, "axial T2"),
        ("subarticular", Region.LUMBAR, "axial T2"),
        ("hemangioma", Region.THORACIC, "sagittal T1"),
        ("intramedullary", Region.CERVICAL, "sagittal T2"),
    ],
)
def test_the_sequence_is_the_best_that_the_study_has(condition, region, wanted):
    routine = ("sagittal T1", "sagittal T2", "sagittal STIR", "axial T2", "sagittal localizer")
    given = advice(condition, region, routine)
    assert given is not None
    assert given.sequence == wanted
    assert wanted not in given.poor
    contrasted = advice("intramedullary", region, (*routine, "sagittal T1+C"))
    assert contrasted is not None
    assert contrasted.sequence == "sagittal T1+C"


def test_texts_are_alike_by_their_shared_runs_and_the_bands_miss_none():
    base = " ".join(f"word{n}" for n in range(200))
    near = base.replace("word100 ", "other ")
    far = " ".join(f"word{n * 7}" for n in range(200))
    exact = len(runs(base, 5) & runs(near, 5)) / len(runs(base, 5) | runs(near, 5))
    assert exact > 0.9
    found = alike(
        {"a": base.upper() + "!"}, {"near": near, "far": far, "same": base, "": ""}, threshold=0.8, size=5
    )
    assert found == [("a", "near", pytest.approx(exact)), ("a", "same", 1.0)]
    assert alike({"a": ""}, {"b": ""}, threshold=0.1, size=5) == []
    assert normal("  L4/5:\tMild—stenosis. ") == "l4 5 mild stenosis"


def test_a_text_at_the_threshold_is_found_among_many():
    """Banding against a plain comparison of all pairs."""
    texts = {str(n): " ".join(f"w{(n * 31 + i * (1 + n // 40)) % 97}" for i in range(60)) for n in range(120)}
    plain = {
        (a, b)
        for a in texts
        for b in texts
        if len(runs(texts[a], 3) & runs(texts[b], 3)) >= 0.8 * len(runs(texts[a], 3) | runs(texts[b], 3))
    }
    assert {(a, b) for a, b, _ in alike(texts, texts, threshold=0.8, size=3)} == plain
    assert len(plain) >= 120
