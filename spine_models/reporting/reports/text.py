"""The plain-text report: sections, wrapped paragraphs, a line for each level, a numbered impression.

Belongs here: layout for a terminal or a text file. Does not belong here: wording or HTML.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Final

from spine_models.reporting.reports.assembly import Sentence
from spine_models.reporting.reports.graph import IMPRESSION, NOTICE

WIDTH: Final = 100


def render_text(title: str, study_key: str, sentences: Iterable[Sentence], width: int = WIDTH) -> str:
    """The whole report of a study as text, no line longer than ``width`` characters.

    Args:
        title: What was examined, such as "MRI of the lumbar spine".
        study_key: Pseudonym of the study.
        sentences: in reading order.
        width: Columns; a single longer word would overflow, as no template has one.
    """
    sections: dict[str, list[Sentence]] = {}
    for sentence in sentences:
        sections.setdefault(sentence.section, []).append(sentence)
    notice = sections.pop(NOTICE, [])
    blocks = [_filled(" ".join(one.text for one in notice), width)] if notice else []
    blocks.append(f"{_filled(title.upper(), width)}\nStudy {study_key}")
    for section, members in sections.items():
        if section == IMPRESSION:
            lines = [_filled(one.text, width, first=f"{i}. ") for i, one in enumerate(members, start=1)]
        else:
            flowing = " ".join(one.text for one in members if one.level is None)
            lines = [_filled(flowing, width)] if flowing else []
            lines += [_filled(one.text, width) for one in members if one.level is not None]
        blocks.append("\n".join([section, *lines]))
    return "\n\n".join(blocks) + "\n"


def _filled(text: str, width: int, first: str = "") -> str:
    # Without a hanging indent: readers of plain text, the rules labeller among them, join lines by one blank.
    return textwrap.fill(text, width, initial_indent=first, break_long_words=False, break_on_hyphens=False)
