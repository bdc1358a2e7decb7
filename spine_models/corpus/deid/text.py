"""Free prose of one patient without identifiers: known ones first, then cues, dates, and names on what is left.

Belongs here: the order of the passes, which is a rule (an eight-digit record number parses as a date).
Does not belong here: the passes themselves, or controlled vocabularies of headers (vocabulary).
"""

from __future__ import annotations

import re
from typing import Final

from spine_models.corpus.deid.dates import PatientDates
from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.deid.known_patterns import fold, patterns_of
from spine_models.corpus.deid.names import unannounced
from spine_models.corpus.deid.people import people
from spine_models.corpus.deid.places import places
from spine_models.corpus.deid.shapes import shapes

_ENDLESS: Final = re.compile(r"\S{80,}")
"""No word is that long; encoded data may be, and it would make the patterns below slow."""
_REPEATED: Final = re.compile(r"(\[(?:NAME|ID|PHONE|PLACE|ADDRESS|DATE)\])(?:[ \t,]*\1)+")


class TextCleaner:
    """Cleans the prose of one patient.

    Args:
        known: everything known of the patient; its values are found in any order, case and line break.
        dates: the patient's shift.
    """

    def __init__(self, known: KnownIdentifiers, dates: PatientDates) -> None:
        self._patterns = patterns_of(known)
        self._dates = dates

    def clean(self, text: str) -> str:
        """The text with identifiers replaced by bracketed kinds and dates moved."""
        text = text.replace("\x00", "").replace("\u00a0", " ").replace("\u200b", "").replace("\u00ad", "")
        for pattern in self._patterns:
            text = self._known(text, pattern.regex, pattern.replacement)
        text = shapes(_ENDLESS.sub(lambda m: "[ID]" if any(c.isalnum() for c in m[0]) else m[0], text))
        text = places(people(text))
        text, _ = self._dates.text(text)
        return _REPEATED.sub(r"\1", unannounced(text))

    @staticmethod
    def _known(text: str, regex: re.Pattern[str], replacement: str) -> str:
        folded = fold(text)
        out, at = [], 0
        for match in regex.finditer(folded):
            if match.end() == match.start():
                continue
            out += [text[at : match.start()], replacement]
            at = match.end()
        return "".join(out) + text[at:]
