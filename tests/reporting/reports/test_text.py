"""Plain-text layout."""

from __future__ import annotations

from spine_models.reporting.reports import render_text
from spine_models.reporting.reports.assembly import Sentence
from spine_models.reporting.reports.graph import Kind


def sentence(section: str, text: str, level: str | None = None) -> Sentence:
    return Sentence(section, Kind.FINDING, text, level=level)


def test_layout() -> None:
    sentences = [
        sentence("NOTICE", "Draft."),
        sentence("DISCS", "One two three."),
        sentence("DISCS", "Four five six."),
        sentence("AXIAL", "L4-5: One.", "L4-L5"),
        sentence("AXIAL", "L5-S1: Two three four five.", "L5-S1"),
        sentence("AXIAL", "Before the levels."),
        sentence("IMPRESSION", "First item that is long."),
        sentence("IMPRESSION", "Second."),
    ]
    assert render_text("MRI", "s1", sentences, width=20) == (
        "Draft.\n\nMRI\nStudy s1\n\nDISCS\nOne two three. Four\nfive six.\n\n"
        "AXIAL\nBefore the levels.\nL4-5: One.\nL5-S1: Two three\nfour five.\n\n"
        "IMPRESSION\n1. First item that\nis long.\n2. Second.\n"
    )


def test_no_line_breaks_inside_a_level() -> None:
    text = render_text("MRI", "s1", [sentence("DISCS", "Levels L4-5 and L5-S1 named.")], width=18)
    assert "L5-S1" in text.split()
