"""Which part of a report a sentence stands in: what was seen, or what was concluded.

Belongs here: where the impression begins and ends. Does not belong here: which sections are evidence at all
(``sentences``).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final


class Section(StrEnum):
    """Part of a report's evidence. A report without a heading of an impression is all findings."""

    FINDINGS = "findings"
    IMPRESSION = "impression"


_CONCLUDES: Final = (
    r"(?:impressions?|conclusions?|opinions?|summary|assessment|diagnos[ei]s|interpretations?|beurteilung"
    r"|zusammenfassung|bewertung|impresi[oó]n(?: diagn[oó]stica)?|conclusi[oó]n(?:es)?|opini[oó]n|avis)"
)
_OBSERVES: Final = (
    r"(?:findings?|observations?|description|body of report|befunde?|hallazgos|descripci[oó]n"
    r"|r[eé]sultats?|constatations?)"
)
_HEADING: Final = re.compile(
    rf"(?:(?:^|\n)[ \t*#>-]*|(?<=[.;!?] ))(?:(?:final|radiolog\w+|overall|mri?) )?"
    rf"(?:(?P<concludes>{_CONCLUDES})(?:/\w+| and \w+)?(?: ?/ ?{_CONCLUDES})?"
    rf"|(?P<observes>{_OBSERVES})(?: ?/ ?{_OBSERVES})?)[ \t*]*(?::|-(?=\s)|(?=\n|$))"
)


class Sections:
    """Headings of one folded report (``sentences.fold``)."""

    def __init__(self, folded: str) -> None:
        self._turns = [
            (m.end(), Section.IMPRESSION if m["concludes"] else Section.FINDINGS)
            for m in _HEADING.finditer(folded)
        ]

    def at(self, offset: int) -> Section:
        """The section that holds the character at ``offset``."""
        return next((name for begin, name in reversed(self._turns) if begin <= offset), Section.FINDINGS)
