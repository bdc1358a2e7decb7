"""Names nobody announced: capitalised words that are neither clinical nor English, on what cues left over.

Belongs here: the last pass over prose, behind the allowlist of clinical words and eponyms.
Does not belong here: the word lists (terms), or anything a cue can find (cues).
"""

from __future__ import annotations

import re
from typing import Final

from spine_models.corpus.deid.terms import is_ambiguous, is_clinical, is_name, mostly_upper

_WORD: Final = re.compile(
    r"(?<![\w\[@/-])(?:[^\W\d_]\.){0,2}[^\W\d_][^\W\d_'’]*(?:['’\-][^\W\d_]+)*(?![\w\]@])"
)
_SENTENCE_END: Final = re.compile(r"(?:^|[.!?:;\n•\-–*)\]]|\d\.)[\s\"'(]*$")
_EPONYM_NEXT: Final = re.compile(
    r"\s+(?:cysts?|lesions?|signs?|tests?|syndromes?|disease|classification|grades?|types?|nodes?|angle|deformity|malformation"
    r"|changes|fractures?|artifacts?|criteria|score|line|scan|fat|water|fraction|method"
    r"|imaging|technique|sequences?|series|views?|window|stage|phenomenon|matter|substance|body|bodies)\b",
    re.IGNORECASE,
)
_TITLED: Final = re.compile(r"(?:\b(?:St|Saint|Mt|Mount)\.?[ \t]+|(?<![\w-])(?-i:[A-Z])\.[ \t]+)$")
_AFTER_NAME: Final = re.compile(r"\[NAME\],?[ \t]+$")
_BEFORE_NAME: Final = re.compile(r",?[ \t]+\[NAME\]")
_MERGE: Final = re.compile(
    r"(?:\b[A-Z]\.?[ \t]+)?\[NAME\](?:(?:[ \t]+|[ \t]*,[ \t]*|-|[ \t]+[A-Z]\.?[ \t]+)(?:[A-Z]\.[ \t]*)*\[NAME\])+"
    r"|\b(?:[A-Z]\.[ \t]*){1,2}\[NAME\]|\[NAME\],?[ \t]+[A-Z]\.(?=[ \t]|$)"
)


def unannounced(text: str) -> str:
    """Prose with every word that looks like a person's or place's name replaced by ``[NAME]``."""
    upper = mostly_upper(text)
    written_low = set(re.findall(r"(?<!\w)[a-z]{3,}(?!\w)", text))
    marked = list(_WORD.finditer(text))
    suspects = [_suspect(text, m, upper, written_low) for m in marked]
    out, at = [], 0
    for index, match in enumerate(marked):
        level = suspects[index]
        near = any(
            suspects[j] >= 1
            and re.fullmatch(
                r"[\s,]{1,3}(?:[A-Z]\.?\s+)?",
                text[min(marked[j].end(), match.end()) : max(marked[j].start(), match.start())],
            )
            for j in (index - 1, index + 1)
            if 0 <= j < len(marked)
        )
        near = near or bool(
            _AFTER_NAME.search(text[max(0, match.start() - 12) : match.start()])
            or _BEFORE_NAME.match(text, match.end())
        )
        if level >= 2 or (level == 1 and near):
            out += [text[at : match.start()], "[NAME]"]
            at = match.end()
    return _MERGE.sub("[NAME]", "".join(out) + text[at:])


def _suspect(text: str, match: re.Match[str], upper: bool, written_low: set[str]) -> int:
    """0 for no name, 1 for a name beside another suspect, 2 for a name."""
    word = match[0]
    bare = word.split(".")[-1]
    if not bare or not bare[0].isupper() or len(bare) < 2:
        return 0
    folded = re.sub(r"['’]s$", "", bare.casefold())
    before = text[max(0, match.start() - 12) : match.start()]
    if _TITLED.search(before) and not is_clinical(bare):
        return 2
    starts = bool(_SENTENCE_END.search(text[max(0, match.start() - 40) : match.start()]))
    if is_ambiguous(bare):
        if upper or starts or _EPONYM_NEXT.match(text, match.end()):
            return 1 if not _EPONYM_NEXT.match(text, match.end()) else 0
        return 2 if bare[1:].islower() else 1
    if is_clinical(bare):
        return 0
    if is_name(bare):
        return 0 if _EPONYM_NEXT.match(text, match.end()) and not upper else 2
    if upper or folded in written_low:
        return (
            1
            if not upper and folded not in written_low
            else (1 if upper and len(bare) > 3 and _unread(folded) else 0)
        )
    if bare.isupper():
        return 1 if len(bare) >= 4 else 0
    if not bare[1:].islower() and not re.fullmatch(
        r"(?:Mc|Mac|O['’]|De|La|Van|Le|D['’])[A-Z][a-z]+|[A-Z][a-z]+(?:[-'’][A-Za-z][a-z]*)+", bare
    ):
        return 0
    if _EPONYM_NEXT.match(text, match.end()):
        return 0
    return 1 if starts else 2


def _unread(word: str) -> bool:
    return not re.search(r"(?:ed|ing|ly|al|ic|ous|tion|sion|ment|ness|ity|able|ive|ful|less)$", word)
