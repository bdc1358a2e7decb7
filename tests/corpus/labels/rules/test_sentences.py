from __future__ import annotations

import pytest

from spine_models.corpus.labels.rules.sentences import evidence_sentences, fold


def read(text: str) -> list[tuple[str, str | None]]:
    return [(s.text, s.context.names("disc")[0] if s.context else None) for s in evidence_sentences(text)]


def texts(text: str) -> list[str]:
    return [sentence for sentence, _ in read(text)]


def test_folding_keeps_offsets():
    text = "L4–L5: “Mild” stenosis\u00a0İn the ﬁrst ẞ—half\t"
    assert len(fold(text)) == len(text)
    assert fold(text).startswith('l4-l5: "mild" stenosis ')


def test_offsets_point_into_the_original():
    text = "FINDINGS:\n  1. Mild stenosis at\n     L4-5. No edema.\n"
    for sentence in evidence_sentences(text):
        cut = text[sentence.start : sentence.start + len(sentence.text)]
        assert fold(cut).replace("\n", " ") == sentence.text


@pytest.mark.parametrize(
    "heading",
    [
        "INDICATION",
        "Clinical History",
        "HISTORY",
        "Reason for exam",
        "TECHNIQUE",
        "Comparison",
        "EXAM",
        "Protocol",
    ],
)
@pytest.mark.parametrize(
    "layout", ["{}: canal stenosis.\nFINDINGS: Normal.", "{}:\ncanal stenosis.\n\nFindings:\nNormal."]
)
def test_what_was_asked_is_not_what_was_found(heading, layout):
    assert texts(layout.format(heading)) == ["normal."]


def test_a_report_on_one_line():
    text = "INDICATION: Pain. TECHNIQUE: Routine. FINDINGS: Mild bulge. IMPRESSION: 1. Bulge. 2. No stenosis."
    assert texts(text) == ["mild bulge.", "bulge.", "no stenosis."]


def test_a_run_on_report_without_a_findings_heading():
    text = "MRI. History: Pain. Imaging was done. There is a fracture. No edema. Discs normal."
    assert "there is a fracture." in texts(text)
    assert "pain." not in texts(text)


def test_an_anatomical_heading_ends_the_history_and_stays_in_the_sentence():
    assert texts("HISTORY: fracture\nAlignment: normal.") == ["alignment: normal."]


def test_a_text_without_headings_is_all_evidence():
    assert texts("Mild stenosis. No fracture.") == ["mild stenosis.", "no fracture."]


def test_wrapped_lines_are_one_sentence_and_bullets_are_many():
    assert texts("There is moderate stenosis of the\ncanal.") == ["there is moderate stenosis of the canal."]
    assert texts("- No fracture\n- Normal alignment") == ["no fracture", "normal alignment"]
    assert texts("No fracture\nNormal alignment") == ["no fracture", "normal alignment"]


def test_decimals_and_abbreviations_do_not_end_a_sentence():
    assert len(texts("A 3.5 mm protrusion, e.g. at C5, vs. spur.")) == 1
    assert texts("L4-5.Mild stenosis") == ["l4-5.", "mild stenosis"]


def test_a_level_holds_for_its_paragraph():
    text = "L4-5: Bulge. Mild stenosis.\nL5-S1: Normal.\n\nThe cord is normal."
    assert read(text) == [
        ("l4-5: bulge.", "L4-L5"),
        ("mild stenosis.", "L4-L5"),
        ("l5-s1: normal.", "L5-S1"),
        ("the cord is normal.", None),
    ]


def test_a_level_on_its_own_line_holds_for_the_lines_below():
    text = "L4-5:\nDisc: bulge.\nCanal: patent.\nL5-S1:\nDisc: normal."
    assert [context for _, context in read(text)] == ["L4-L5", "L4-L5", "L4-L5", "L5-S1", "L5-S1"]


def test_a_phrase_that_opens_with_a_level_holds_on_and_a_numbered_item_does_not():
    assert read("At L3-4, there is a bulge. No stenosis.")[1] == ("no stenosis.", "L3-L4")
    assert read("1) L3-4 stenosis. 2) No fracture.")[1] == ("no fracture.", None)
    assert read("At L3-4, bulge. The remaining levels are normal.")[1][1] is None


@pytest.mark.parametrize("text", ["", "\n\n", "   ", "FINDINGS:", "INDICATION:\n", "\u2028", ".", "1."])
def test_next_to_nothing_is_read_without_complaint(text):
    assert all(s.text for s in evidence_sentences(text))
