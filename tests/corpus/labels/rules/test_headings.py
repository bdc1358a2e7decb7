import pytest

from spine_models.corpus.labels.rules.sections import Section, Sections
from spine_models.corpus.labels.rules.sentences import evidence_sentences, fold


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("FRAGESTELLUNG", "BEFUND"),
        ("KLINISCHE ANGABEN", "BEURTEILUNG"),
        ("INDIKATION / HISTORY", "BEFUND / FINDINGS"),
        ("VERGLEICH", "ZUSAMMENFASSUNG"),
        ("INDICACIÓN", "HALLAZGOS"),
        ("DATOS CLÍNICOS", "IMPRESIÓN DIAGNÓSTICA"),
        ("COMPARACION / COMPARISON", "IMPRESION / IMPRESSION"),
        ("RENSEIGNEMENTS CLINIQUES", "RÉSULTATS"),
        ("HISTORY PROVIDED", "REPORT"),
    ],
)
@pytest.mark.parametrize("gap", [" ", "\n"])
def test_what_was_asked_is_no_evidence_in_four_languages(asked, found, gap):
    text = f"{asked}:{gap}Rule out fracture.\n{found}:{gap}No fracture."
    assert [s.text for s in evidence_sentences(text)] == ["no fracture."]


@pytest.mark.parametrize(
    "name", ["BEURTEILUNG", "BEURTEILUNG / IMPRESSION", "IMPRESIÓN", "CONCLUSION", "IMPRESION / IMPRESSION"]
)
def test_conclusions_are_told_from_findings(name):
    text = fold(f"BEFUND / FINDINGS:\nFracture.\n\n{name}:\nOld fracture.")
    sections = Sections(text)
    assert sections.at(text.index("fracture.")) is Section.FINDINGS
    assert sections.at(text.index("old")) is Section.IMPRESSION
