"""Real manners of writing: hand-written reports of many countries, half of them never looked at while building."""

from __future__ import annotations

import pytest

from spine_models.corpus.deid.dates import PatientDates
from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.deid.text import TextCleaner
from tests.corpus.deid.heldout import Document, Score, documents, judge

DATES = PatientDates("shift", 50)


def judged(read: list[Document]) -> Score:
    return judge((d, TextCleaner(KnownIdentifiers.of(d.known), DATES).clean(d.text)) for d in read)


def measured(development: bool) -> Score:
    return judged([d for d in documents() if d.development is development])


@pytest.mark.parametrize("development", [True, False])
def test_hand_written_reports(development):
    """Failures name the document and the kind; read them for odd numbers only, even ones are held out."""
    score = measured(development)
    known = [kind for kind in score.marked if kind.endswith("!")]
    assert score.recall(*known) == 1.0, [(n, k) for n, k, _ in score.missed if k.endswith("!")]
    assert score.recall("name", "hospital") >= 0.95
    assert score.recall("date") >= 0.97
    assert score.recall(*(k for k in score.marked if not k.endswith("!"))) >= 0.95
    assert score.phrases_kept / score.phrases >= 0.98
    assert score.words_kept / score.words >= 0.99


@pytest.mark.parametrize("file", ["reports_dev_manners.yaml", "reports_dev_houses.yaml"])
def test_reports_written_for_building(file):
    score = judged(documents(file))
    assert score.recall("name", "hospital") >= 0.93, score.missed
    assert score.phrases_kept / score.phrases >= 0.98, score.lost


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Burdach and Goll columns are normal.", "Burdach and Goll columns are normal."),
        ("Phalen and Finkelstein negative.", "Phalen and Finkelstein negative."),
        ("Reported by Magendie.", "Reported by [NAME]."),
        ("DICTATED BY DR MAGENDIE", "DICTATED BY DR [NAME]"),
        ("Magendie, MD", "[NAME], MD"),
        ("The foramen of Magendie is patent.", "The foramen of Magendie is patent."),
        ("Wiltse type V. Kowalczyk agrees.", "Wiltse type V. [NAME] agrees."),
        ("She was sent to Plastic Surgery.", "She was sent to Plastic Surgery."),
        ("Surgery at Cumberland Gap Spine Center in 2018.", "Surgery at [PLACE] in 2018."),
        ("Biopsy of small bowel mesentery was done.", "Biopsy of small bowel mesentery was done."),
    ],
)
def test_a_surname_is_a_person_s_where_something_says_so(text, cleaned):
    assert TextCleaner(KnownIdentifiers(), DATES).clean(text) == cleaned


def test_the_set_is_as_large_and_as_mixed_as_it_claims():
    texts = documents()
    assert sum(d.number < 1000 for d in texts) >= 60
    assert sum(d.number > 1000 for d in texts) >= 20
    assert sum(d.text.isupper() or d.text.upper()[:400] == d.text[:400] for d in texts) >= 4
    assert {k for d in texts for *_, k, _ in d.spans} >= {
        *("name", "hospital", "place", "date", "phone", "email", "url", "id", "age", "address"),
    }
    for document in texts:
        assert "[[" not in document.text
        for start, end, _, _ in document.spans:
            assert document.text[start:end].strip()


def test_a_text_left_as_it_is_scores_nothing():
    score = judge((d, d.text) for d in documents())
    assert score.recall("name") == 0.0
    assert score.phrases_kept == score.phrases
