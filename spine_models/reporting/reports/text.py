"""The plain-text report: sections, wrapped paragraphs, a numbered impression.

Belongs here: layout for a terminal or a text file. Does not belong here: wording or HTML.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Final

from spine_models.reporting.reports.graph import IMPRESSION, NOTICE

WIDTH: Final = 100


def render_text(title: str, study_key: str, sentences: Iterable[tuple[str, str]], width: int = WIDTH) -> str:
    """The whole report of a study as text, no line longer than ``width`` characters.

    Args:
        title: What was examined, such as "MRI of the lumbar spine".
        study_key: Pseudonym of the study.
        sentences: (section, text) in reading order.
        width: Columns; a single longer word would overflow, as no template has one.
    """
    sections: dict[str, list[str]] = {}
    for section, text in sentences:
        sections.setdefault(section, []).append(text)
    notice = sections.pop(NOTICE, [])
    blocks = [_filled(" ".join(notice), width)] if notice else []
    blocks.append(f"{_filled(title.upper(), width)}\nStudy {study_key}")
    for section, texts in sections.items():
        if section == IMPRESSION:
            body = "\n".join(_numbered(i, text, width) for i, text in enumerate(texts, start=1))
        else:
            body = _filled(" ".join(texts), width)
        blocks.append(f"{section}\n{body}")
    return "\n\n".join(blocks) + "\n"


def _filled(text: str, width: int, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _numbered(number: int, text: str, width: int) -> str:
    mark = f"{number}. "
    return _filled(text, width, first=mark, rest=" " * len(mark))
