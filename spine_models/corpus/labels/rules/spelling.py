"""Misspelt words of findings put right before a sentence is read.

Belongs here: long words one slip (a letter lost, doubled, changed, or two swapped) from a word of findings. Does
not belong here: abbreviations and variant spellings, which are words of the lexicon.

Short words are left alone, but for a few that hold a phrase together ("teh"): one slip from "edema" or "canal" lies
too much else. A word that is itself known is never changed, so that "narrower" stays and does not become "narrowed".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_STEMS: Final = (
    "stenosis stenoses stenotic herniation herniations herniated protrusion protrusions protruding extrusion "
    "extrusions "
    "extruded sequestered sequestration sequestrated prolapse prolapsed foramina foraminal foramen neuroforaminal "
    "neuroforamina subarticular narrowing narrowed compression compressions compressed compresses compressing "
    "fracture "
    "fractures fractured deformity deformities spondylolisthesis anterolisthesis retrolisthesis listhesis "
    "spondylolysis "
    "spondylosis spondylitis hemangioma hemangiomas haemangioma haemangiomas lipomatosis perineural synovial "
    "arachnoid "
    "intramedullary extramedullary intradural discitis diskitis osteomyelitis sacroiliitis vertebral vertebra "
    "vertebrae "
    "alignment malalignment moderate moderately bilateral bilaterally unremarkable evidence possible possibly "
    "intervertebral questionable meningioma schwannoma myelomalacia syringomyelia impingement flattening effacement "
    "encroachment interarticularis epidural inflammatory inflammation infection subluxation hyperintense "
    "hyperintensity "
    "abnormality without preserved maintained significant collapse collapsed"
)
_OTHERS: Final = (
    "depression intrusion intrusions contraction extradural subdural infraction infarction affection injection "
    "inflections effaced moderator laterally prevertebral paravertebral narrows collapses impingements effacements "
    "inflection questionably narrower narrowest herniates extrudes stenosed stenosing abnormally hyperintensities "
    "abnormalities preserve maintain prolapses conserved reserved encroachments"
)
"""Words one slip from one above that mean something else, or forms of one above."""

_LEAST: Final = 7
_SHORT: Final = {"teh": "the", "hte": "the", "wiht": "with", "wtih": "with", "adn": "and", "witout": "without",
                 "wihtout": "without", "withot": "without", "thier": "their", "fo": "of"}  # fmt: skip
_WORD: Final = re.compile(rf"\b(?:{'|'.join(_SHORT)})\b|[a-z]{{{_LEAST - 1},}}")
_ORDER: Final = tuple(dict.fromkeys(_STEMS.split()))
"""Of two words as near, the one that stands first is meant."""
_KNOWN: Final = frozenset(_STEMS.split()) | frozenset(_OTHERS.split())


def corrected(text: str) -> str:
    """Folded text with the misspelt words of findings put right, and dictated commas; other words stay."""
    text = text.replace(" comma ", ", ")
    return _WORD.sub(_of_match, text)


def _of_match(match: re.Match[str]) -> str:
    return _right(match.group(0))


def _without_one(word: str) -> set[str]:
    return {word[:i] + word[i + 1 :] for i in range(len(word))}


@lru_cache(maxsize=1)
def _shortened() -> dict[str, tuple[str, ...]]:
    """Every right word with a letter left out, and the right words it may come from."""
    found: dict[str, list[str]] = {}
    for word in _STEMS.split():
        if len(word) >= _LEAST:
            for short in (word, *_without_one(word)):
                found.setdefault(short, []).append(word)
    return {short: tuple(words) for short, words in found.items()}


@lru_cache(maxsize=50_000)
def _right(word: str) -> str:
    if word in _KNOWN or word in _SHORT:
        return _SHORT.get(word, word)
    index = _shortened()
    near = {right for short in (word, *_without_one(word)) for right in index.get(short, ())}
    close = [right for right in _ORDER if right in near and right[0] == word[0] and _one_slip(word, right)]
    return close[0] if close and not _inflected(word, close) else word


def _inflected(word: str, close: list[str]) -> bool:
    """A right word with an ending, as "fracturing" or "preserves", is another form and no slip."""
    return any(word.startswith(right) and word[len(right) :] in ("s", "d", "y") for right in close)


def _one_slip(word: str, right: str) -> bool:
    if abs(len(word) - len(right)) > 1:
        return False
    head = next((i for i, (a, b) in enumerate(zip(word, right, strict=False)) if a != b), None)
    if head is None:
        return True
    rest, wanted = word[head:], right[head:]
    swapped = rest[:2] == wanted[:2][::-1] and rest[2:] == wanted[2:]
    return swapped or rest[1:] == wanted[1:] or rest[1:] == wanted or rest == wanted[1:]
