"""Small pieces of HTML that all pages share: escaping, the page frame, status marks, probability bars.

Belongs here: markup without knowledge of reports. Does not belong here: what stands on a page (``pages``).
"""

from __future__ import annotations

import html
from functools import lru_cache
from pathlib import Path
from typing import Final

STATUS_WORDS: Final[dict[str, str]] = {
    "present": "present",
    "probable": "probable",
    "possible": "possible",
    "indeterminate": "undetermined",
    "absent": "absent",
    "not_assessed": "not assessed",
}
"""Statuses and certainties in the order in which a reader wants them."""


def escaped(value: object) -> str:
    """``value`` as text that is safe in HTML content and in quoted attributes."""
    return html.escape(str(value), quote=True)


@lru_cache(maxsize=1)
def _style() -> str:
    return (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def page(title: str, notice: str, body: str, style: str = "") -> str:
    """A whole self-contained document; nothing is loaded, no script runs.

    Args:
        title: Plain text, escaped here.
        notice: Plain text of the banner, escaped here.
        body: Markup, escaped by its maker.
        style: Rules of this page alone, after the shared ones.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{escaped(title)}</title>
<style>
{_style()}{style}</style>
</head>
<body>
<p class="banner" role="note">{escaped(notice)}</p>
{body}
</body>
</html>
"""


def status_mark(status: str) -> str:
    """A status as a word with its own shape, readable without colour."""
    return f'<span class="status s-{escaped(status)}">{escaped(STATUS_WORDS.get(status, status))}</span>'


def probability_bar(probability: float, text: str) -> str:
    """A bar from 0 to 1 with its figure."""
    return (
        f'<span class="bar" aria-hidden="true"><i style="width:{100 * probability:.1f}%"></i></span>'
        f'<span class="figure">{escaped(text)}</span>'
    )


def short(key: str, length: int = 8) -> str:
    """The first ``length`` characters of a pseudonym or version, with the whole of it on hover."""
    return f'<code title="{escaped(key)}">{escaped(key[:length])}</code>'
