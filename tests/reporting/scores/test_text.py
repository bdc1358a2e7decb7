"""Text scores against another library's and against slow transcriptions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine_models.reporting.scores.text import Likeness, body, likeness, words, words_changed

WORDS = st.lists(st.sampled_from(("no", "severe", "stenosis", "at", "l4-5,", "Left", "disc.")), max_size=9)
PAIRS = [
    ("severe canal stenosis at l4-5. no fracture.", "no fracture. moderate canal stenosis at l4-5"),
    ("the cord is normal", "the cord is normal"),
    ("a b c d e f", "f e d c b a"),
    ("no", "severe right foraminal stenosis"),
]


def slow_distance(one: list[str], other: list[str]) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row, before = [i], row
        for j, b in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]


def slow_subsequence(one: list[str], other: list[str]) -> int:
    row = [0] * (len(other) + 1)
    for a in one:
        before, row = row, [0]
        for j, b in enumerate(other, 1):
            row.append(before[j - 1] + 1 if a == b else max(before[j], row[-1]))
    return row[-1]


@given(WORDS.map(" ".join), WORDS.map(" ".join))
@settings(max_examples=100, deadline=None)
def test_distances_are_those_of_plain_tables(one, other):
    ours, theirs = words(one), words(other)
    assert words_changed(one, other) == slow_distance(ours, theirs)
    found = likeness(one, other)
    if ours and theirs:
        assert found.edit_distance == slow_distance(ours, theirs) / max(len(ours), len(theirs))
        assert found.rouge_l == pytest.approx(2 * slow_subsequence(ours, theirs) / (len(ours) + len(theirs)))
    assert likeness(other, one).rouge_l == pytest.approx(found.rouge_l)
    assert likeness(one, one) == Likeness(0.0, 1.0, pytest.approx(1.0))
    assert all(0 <= value <= 1 for value in (found.edit_distance, found.rouge_l, found.bleu))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_rouge_agrees_with_torchmetrics_and_bleu_with_sacrebleu(one, other):
    import sacrebleu

    from spine_models.encoder.torchvision_repair import repair_torchvision

    repair_torchvision()
    from torchmetrics.functional.text.rouge import rouge_score

    found = likeness(one, other)
    assert found.rouge_l == pytest.approx(
        float(rouge_score(one, other, rouge_keys="rougeL")["rougeL_fmeasure"])
    )
    assert found.bleu == pytest.approx(sacrebleu.sentence_bleu(one, [other]).score / 100)


def test_nothing_beside_nothing_and_beside_something():
    assert likeness("", " . ") == Likeness(0.0, 1.0, 1.0)
    assert likeness("", "no fracture") == likeness("no fracture", "") == Likeness(1.0, 0.0, 0.0)


def test_letterhead_and_signature_count_for_nobody():
    report = (
        "[PLACE]\nEXAM: MRI LUMBAR SPINE\n\nTECHNIQUE: T2.\n\nFINDINGS:\nNo fracture.\n\nIMPRESSION:\n1. Normal.\n\n"
        "Electronically signed by: [NAME]"
    )
    assert words(body(report)) == ["no", "fracture", "normal"]
    assert body("") == ""
