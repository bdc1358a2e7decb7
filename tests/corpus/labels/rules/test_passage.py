from __future__ import annotations

import pytest

from spine_models.corpus.labels.rules.labeller import read_report
from spine_models.domain import Side, Status


def told(text: str, condition: str) -> list[tuple[Status, tuple[str, ...]]]:
    return [(m.status, m.levels) for m in read_report(text) if m.condition == condition]


def test_a_place_is_carried_over_a_semicolon_to_what_is_found_only():
    text = "Extrusion at L5-S1; severe canal stenosis; no fracture; Tarlov cyst at S2."
    assert told(text, "canal") == [(Status.PRESENT, ("L5-S1",))]
    assert told(text, "fracture") == [(Status.ABSENT, ())]
    assert told(text, "cyst") == [(Status.PRESENT, ())]


def test_what_goes_on_with_a_sentence_stands_at_its_place():
    assert told("Protrusion at C5-6. The cord is flattened.", "compression") == [(Status.PRESENT, ("C5-C6",))]
    assert told("Protrusion at C5-6. Mild canal stenosis.", "canal") == [(Status.PRESENT, ())]


def test_one_more_of_what_was_named_is_found():
    text = "Left meningioma at T4. Another is at T9 on the right."
    assert told(text, "extramedullary") == [(Status.PRESENT, ("T4",)), (Status.PRESENT, ("T9",))]
    assert [m.side for m in read_report(text)] == [Side.LEFT, Side.RIGHT]


@pytest.mark.parametrize(
    "text", ["Others are not seen at T9.", "Another bulge is at L4-5.", "The largest may be at L2."]
)
def test_one_more_needs_to_be_there(text):
    assert len(read_report(f"Haemangioma at T4. {text}")) == 1


def test_an_exception_is_the_one_place_that_has_it():
    assert told("No oedema of the marrow except at L4-5.", "edema") == [(Status.PRESENT, ("L4-L5",))]
    assert told("Vertebral heights are preserved except at L4-5.", "canal") == []


@pytest.mark.parametrize("heading", ["Findings:\n", ""])
def test_findings_below_a_clinical_note_need_no_heading(heading):
    text = f"Clinical: sciatica.\n{heading}No fracture. Extrusion at L4-5.\nImpression: extrusion."
    assert told(text, "fracture") == [(Status.ABSENT, ())]


def test_a_further_line_of_what_was_asked_is_no_finding():
    assert (
        told("Clinical: sciatica.\nRule out fracture.\nNo stenosis.\nImpression: normal.", "fracture") == []
    )
