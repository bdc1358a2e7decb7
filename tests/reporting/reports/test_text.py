"""Plain-text layout."""

from __future__ import annotations

from spine_models.reporting.reports import render_text


def test_layout() -> None:
    sentences = [
        ("NOTICE", "Draft."),
        ("DISCS", "One two three."),
        ("DISCS", "Four five six."),
        ("IMPRESSION", "First item that is long."),
        ("IMPRESSION", "Second."),
    ]
    assert render_text("MRI", "s1", sentences, width=20) == (
        "Draft.\n\nMRI\nStudy s1\n\nDISCS\nOne two three. Four\nfive six.\n\n"
        "IMPRESSION\n1. First item that\n   is long.\n2. Second.\n"
    )


def test_no_line_breaks_inside_a_level() -> None:
    text = render_text("MRI", "s1", [("DISCS", "Levels L4-5 and L5-S1 named.")], width=18)
    assert "L5-S1" in text.split()
