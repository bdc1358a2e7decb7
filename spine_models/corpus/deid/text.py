"""Free prose of one patient without identifiers: known ones first, then cues, dates, and names on what is left.

Belongs here: the order of the passes, which is a rule (an eight-digit record number parses as a date).
Does not belong here: the passes themselves, or controlled vocabularies of headers (vocabulary).
"""

from __future__ import annotations

import re
import unicodedata
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
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]"
)
_WIDE: Final = re.compile("[\uff01-\uffee\ufb00-\ufb06]+")
_BLANK: Final = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_DIGIT: Final = re.compile(r"(?![0-9])\d")
_DASHES: Final = dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2212), "-") | dict.fromkeys(
    (0x2018, 0x02BC, 0x00B4), "'"
)
_REPEATED: Final = re.compile(r"(\[(?:NAME|ID|PHONE|PLACE|ADDRESS|DATE)\])(?:[ \t,]*\1)+")


def plain(text: str) -> str:
    """Text without characters that hide words: accents, forms, digits and blanks made plain."""
    if text.isascii():
        return text.replace("\x00", "")
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text).replace("\x00", ""))
    text = _WIDE.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
    text = _DIGIT.sub(lambda m: str(unicodedata.decimal(m[0])), text)
    return _BLANK.sub(" ", text).translate(_DASHES)


class TextCleaner:
    """Cleans the prose of one patient.

    Args:
        known: everything known of the patient; its values are found in any order, case and line break.
        dates: the patient's shift.
    """

    def __init__(self, known: KnownIdentifiers, dates: PatientDates) -> None:
        self._patterns = patterns_of(KnownIdentifiers.of((kind, plain(v)) for kind, v in known.values))
        self._dates = dates

    def clean(self, text: str) -> str:
        """The text with identifiers replaced by bracketed kinds and dates moved."""
        text = plain(text)
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
