from __future__ import annotations

import pytest

from spine_models.corpus.labels.rules.scope import NoEvidence, judge, mask
from spine_models.domain import Status


def status(sentence: str, term: str = "fracture"):
    start = sentence.index(term)
    return judge(mask(sentence), start, start + len(term))


@pytest.mark.parametrize(
    "sentence",
    [
        "no fracture",
        "no acute or subacute fracture",
        "no evidence of listhesis, edema or fracture",
        "without fracture",
        "negative for fracture",
        "absence of fracture",
        "fracture is not identified",
        "fracture: none",
        "fracture has resolved",
        "fracture is no longer seen",
        "edema rather than fracture",
        "neither edema nor fracture",
        "there is no definite fracture",
        "no edema, high-grade stenosis or fracture",
    ],
)
def test_denied(sentence):
    assert status(sentence) is Status.ABSENT


@pytest.mark.parametrize(
    "sentence",
    [
        "there is a fracture",
        "likely fracture",
        "consistent with fracture",
        "no edema but a fracture",
        "no edema, mild fracture",
        "no edema, the l1 shows a fracture",
        "no edema is seen and a fracture persists",
        "no significant change in the fracture",
        "fracture is not significantly changed",
        "no edema due to fracture",
        "not only edema but also fracture",
        "fracture does not involve the pedicle",
        "the known fracture is unchanged",
        "the conus is not well seen, fracture of l1",
    ],
)
def test_affirmed(sentence):
    assert status(sentence) is Status.PRESENT


@pytest.mark.parametrize(
    "sentence",
    [
        "possible fracture",
        "may represent a fracture",
        "suspicious for fracture",
        "fracture cannot be excluded",
        "fracture is not entirely excluded",
        "cannot exclude fracture",
        "fracture versus schmorl node",
        "schmorl node versus fracture",
        "questionable fracture",
        "?fracture",
        "fracture is suspected",
        "fracture should be considered",
    ],
)
def test_in_doubt(sentence):
    assert status(sentence) is Status.AMBIGUOUS


def test_doubt_does_not_reach_over_a_comma_and_denial_beats_it():
    assert status("possible edema, with mild fracture") is Status.PRESENT
    assert status("no finding suspicious for fracture") is Status.ABSENT


@pytest.mark.parametrize(
    "sentence",
    ["history of fracture", "evaluate for fracture", "status post fusion for fracture", "risk of fracture"],
)
def test_not_about_now(sentence):
    assert status(sentence) is NoEvidence.HISTORY


@pytest.mark.parametrize(
    "sentence",
    [
        "not assessed: pars defect, vertebral fracture and edema",
        "not assessed (not a spine examination): pars defect, vertebral fracture",
        "not evaluated due to motion: facet cyst, fracture",
        "could not be reliably evaluated: disc herniation, spinal cord compression, fracture",
    ],
)
def test_a_list_of_what_was_not_assessed_is_no_evidence(sentence):
    assert status(sentence) is NoEvidence.HISTORY


def test_what_was_not_assessed_ends_at_a_semicolon_and_needs_its_colon():
    assert status("not assessed: edema; severe fracture") is Status.PRESENT
    assert status("the cord is not well assessed: severe fracture") is Status.PRESENT
    assert status("canal not assessed, fracture") is Status.PRESENT


def test_history_ends_where_the_finding_begins():
    assert status("status post fusion with a new fracture") is Status.PRESENT


def test_masking_keeps_offsets():
    sentence = "no significant change in the fracture"
    assert len(mask(sentence)) == len(sentence)
