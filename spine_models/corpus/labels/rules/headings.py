"""Headings of a report: which open evidence, which what was asked or done, which name a part of the body.

Belongs here: the words of headings in English, German, Spanish and French, alone, in pairs ("BEFUND / FINDINGS:")
and inside a line. Does not belong here: what follows from them (``sentences``), findings against impression
(``sections``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from spine_models.corpus.labels.rules.levels import find_levels

_NOT_EVIDENCE: Final = (
    r"(?:(?:relevant |pertinent |brief )?clinical(?: (?:history|information|info|indications?|data|details?"
    r"|questions?|background|statement|context|notes?|symptoms?|presentation|reason|concern|diagnosis|problem"
    r"|history/indication|indication/history|and technical information|features|summary|request))?"
    r"|(?:past |provided )?(?:medical |surgical |patient |brief |interval )?history"
    r"(?: of present illness| provided)?|hx"
    r"|indications?(?: for (?:exam\w*|study|procedure|imaging))?|history(?: and|/| / )indications?"
    r"|indications?(?:/| and )history"
    r"|reason(?: for)?(?: (?:the )?(?:exam\w*|study|visit|mri?|test|order|request|referral|scan|consult\w*))?"
    r"|(?:mri? |imaging |scan(?:ning)? |exam\w* )?(?:techniques?|protocols?|parameters|sequences)"
    r"|technical(?: \w+)?|limitations?"
    r"|comparisons?(?: (?:exam\w*|stud(?:y|ies)|made))?|compared? with"
    r"|priors?(?: (?:stud(?:y|ies)|exam\w*|imaging))?|previous (?:stud(?:y|ies)|imaging|exam\w*)"
    r"|procedures?|exam(?:ination)?s?|stud(?:y|ies)|contrast(?: agent)?|medications?|symptoms?"
    r"|(?:chief|presenting) complaint|referring (?:diagnosis|physician)|referral(?: \w+)?|request(?: details)?"
    r"|(?:electronically )?signed(?: by)?|dictated(?: by)?|medical necessity"
    r"|recommendations?|disclaimer|question(?: to be answered)?|icd(?:-?10)?(?: codes?)?|order(?:ing)?(?: \w+)?"
    # German
    r"|klinik|klinische (?:angaben?|informationen?|fragestellung|daten)|fragestellung"
    r"|(?:rechtfertigende )?indikation(?:en)?|anamnese|(?:untersuchungs)?technik|untersuchung(?:en)?|methodik?"
    r"|vergleich(?:s?untersuchung\w*|saufnahmen)?|vor(?:untersuchung|aufnahme|befund)\w*|kontrastmittel"
    r"|empfehlung(?:en)?"
    # Spanish
    r"|historia(?: cl[ií]nica)?|indicaci[oó]n(?:es)?(?: cl[ií]nicas?)?|antecedentes(?: \w+)?"
    r"|motivo(?: (?:de|del) (?:la )?(?:consulta|estudio|examen))?|(?:datos|informaci[oó]n) cl[ií]nic[ao]s?"
    r"|t[eé]cnica|protocolo|procedimiento|comparaci[oó]n|estudios? (?:previos?|comparativos?)|estudio|examen"
    r"|contraste|recomendaci[oó]n(?:es)?"
    # French
    r"|renseignements? cliniques?|comparaison|examen|ant[eé]c[eé]dents|motif(?: \w+)?|recommandations?)"
)
_EVIDENCE: Final = (
    r"(?:(?:detailed |imaging |mri? |radiolog\w+ |general |pertinent |other |additional |incidental |final "
    r"|significant )*"
    r"(?:findings?|impressions?|conclusions?|opinions?|summary|results?|reports?|interpretations?"
    r"|observations?|comments?|addend(?:um|a)|diagnos(?:is|es)|assessment|body of report|description)"
    r"(?: and (?:plan|recommendation)s?)?|impression(?:/| and )(?:plan|recommendation)s?"
    # German, Spanish, French
    r"|befunde?|beurteilung|zusammenfassung|bewertung|ergebnis(?:se)?|diagnosen?|kommentar"
    r"|hallazgos|impresi[oó]n(?: diagn[oó]stica)?|conclusi[oó]n(?:es)?|informe|resultados?|descripci[oó]n"
    r"|opini[oó]n|diagn[oó]stico|comentarios?|resumen"
    r"|r[eé]sultats?|constatations?|observations?|avis)"
)
_ANATOMY: Final = (
    r"alignment|vertebra\w*|marrow|bones?|osseous|dis[ck]s?|cord|conus|canal|soft tissues?|paravertebral"
    r"|paraspinal|foram\w+|facets?|spine|levels?|cervical|thoracic|lumbar|sacr\w+|ligaments?|joints?"
    r"|recess(?:es)?|nerves?|roots?|cauda equina|thecal sac|extra-?spinal|curvature|lordosis|fractures?"
    r"|stenosis|intra-?dural|epidural|visuali[sz]ed"
)
_PAIRED: Final = r"(?: ?/ ?{0}| \({0}\))?"
_KINDS: Final = (
    rf"(?P<no>{_NOT_EVIDENCE}{_PAIRED.format(_NOT_EVIDENCE)})"
    rf"|(?P<yes>{_EVIDENCE}{_PAIRED.format(_EVIDENCE)})"
)
_HEADING: Final = re.compile(
    rf"(?:{_KINDS}|(?P<part>[^:.]{{0,60}}?\b(?:{_ANATOMY})[^:.]{{0,40}}))[ ]*(?::|-(?= )|$)"
)
_INLINE: Final = re.compile(rf"(?:(?<=[.:;!?\])] )|(?<=  )|(?<=\n))(?:{_KINDS}) ?:")
_COLUMNS: Final = 90

SUBJECT: Final = re.compile(
    rf"(?P<subject>(?:\w+[ /-]){{0,3}}?(?:{_ANATOMY})(?:[ /,]+(?:and )?\w+){{0,3}}) ?:(?P<rest>.*)$"
)
"""A sentence that opens with a part of the body and a colon; ``rest`` may be empty."""


_OBSERVES: Final = re.compile(
    r"(?:^|\n|(?<=[.:;!?\])] )|(?<=  ))[ \t*#>-]*(?:(?:detailed|imaging|mri?|radiolog\w+|general|pertinent) )?"
    r"(?:findings?|results?|reports?|observations?|body of report|description|befunde?|hallazgos|informe|resultados?"
    r"|descripci[oó]n|r[eé]sultats?|constatations?)(?: ?/ ?\w+| and \w+)?[ *]*(?::|-(?= )|(?=\n))"
)


def has_findings(folded: str) -> bool:
    """Whether some heading of the folded report opens its findings, as one of an impression does not."""
    return _OBSERVES.search(folded) is not None


def heading_at(folded: str, text: str, begin: int, stop: int) -> tuple[bool, int] | None:
    """(is evidence, where its text begins) of a heading at the line's start; null where there is none.

    The heading "alignment:" is evidence and stays part of its sentence, for it is the sentence's subject.
    """
    limit = min(stop, begin + _COLUMNS)
    if folded.find(":", begin, limit) < 0 and not text[begin : begin + 4].isupper():
        return None
    match = _HEADING.match(folded, begin, limit)
    if match is None:
        return None
    closed = match.group(0).rstrip().endswith((":", "-"))
    whole_line = match.end() >= stop
    if not closed and not (whole_line and text[begin : match.end()].isupper()):
        return None
    if closed and match.group(0).rstrip().endswith("-") and not text[begin : match.end()].isupper():
        return None
    if match.group("part") is not None:
        if find_levels(match.group("part")):
            return None
        return True, begin
    after = match.end()
    while after < stop and folded[after] == " ":
        after += 1
    return match.group("no") is None, after


def inline_headings(folded: str, text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """Capitalised headings inside a block, as in a report on one line; group ``no``: what follows is no evidence."""
    for match in _INLINE.finditer(folded, start, end):
        if text[match.start()].isupper():
            yield match
