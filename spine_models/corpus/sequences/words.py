"""What the words of a header say: concepts found in descriptions and codes, in the spelling of any vendor.

Belongs here: splitting names such as ``sT2W_TSE``, ``t1_tse_sag``, ``T1+C`` or ``AX T2* GRE`` into known words.
Does not belong here: what the words mean together (`text`), or body regions (`region`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final

import yaml

_PREFIXES: Final = ("s", "c", "t", "a", "wip")  # orientation letters of one vendor (sT2W), work in progress
_AGENT: Final = re.compile(
    r"\+\s*(?:c|k|gd|km|mdc|civ|gad\w*|contrast\w*)(?![a-z0-9])|(?<![a-z0-9])c\s?\+|(?<![a-z0-9/])c/c(?![a-z0-9/])"
)
# A denial directly before an agent, in any of eight languages; an exam "with and without" (w wo) is not one.
_NO_AGENT: Final = re.compile(
    r"(?<!w[\s/_-])(?<![a-z0-9])(?:sans|vor|avant|sin|senza|sem|zonder|bez|prima|ohne|without|wo|before|non|no)[\s._-]+"
    r"(?:(?:de|di|d|iv|inj|injection)[\s.'_-]+)?(?:contrast\w*|kontrast\w*|inj\w*|inyec\w*|gad\w*|gd|km|mdc|civ|agent)(?![a-z0-9])"
    r"|(?<![a-z0-9/])s/c(?![a-z0-9/])"
)
_OPPOSED: Final = re.compile(
    r"(?<![a-z0-9])(?:out|opp|opposed|fuera|fuori|fora|uit|poza)[\s_-]*(?:of|de|di)?[\s_-]*(?:phase|fase|faza)(?![a-z0-9])"
)
_IN_PHASE: Final = re.compile(r"(?<![a-z0-9])(?:in|en|em|w)[\s_-]*(?:phase|fase|fazie)(?![a-z0-9])")
_DIXON_PART: Final = re.compile(r"(?:^|[\s_:])(in|opp|w|f|ip|op)$")
_DIXON_PREFIX: Final = re.compile(r"^\s*(water|fat|inphase|in[\s_-]phase|outphase|out[\s_-]phase)\s*:")
_DIXON_PARTS: Final = {"in": "in", "opp": "opp", "w": "water", "f": "fat", "ip": "in", "op": "opp"}
_SEQUENCE_CODES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"^(ep|ez|re)_?b\d"), "dwi"),
    (re.compile(r"^ep_?fid"), "bold"),
    (re.compile(r"^spcir|^t?ir\d"), "ir"),
    (re.compile(r"^tfl\d"), "mprage"),
    (re.compile(r"^me[23]d"), "medic"),
    (re.compile(r"^(h2d|hre|haste)"), "haste"),
    (re.compile(r"^(ci3d|tfi|de3d)"), "ssfp"),
    (re.compile(r"^swi"), "swi"),
)


@lru_cache(maxsize=64)
def group(name: str) -> frozenset[str]:
    """The words of one group of ``words.yaml``."""
    return frozenset(_document()[name].split())


@lru_cache(maxsize=8192)
def words_of(text: str) -> frozenset[str]:
    """Known words of a description, of any case and spelling; unknown ones are left out."""
    folded = _folded(text)
    found: set[str] = set()
    for token in re.findall(r"[a-z0-9]+", folded):
        found.update(_parts(token) or sequence_words(token))
    # A Dixon part is a single letter or short word, so only its customary place counts.
    if found & (group("dixon") | {"flex"}) and (last := _DIXON_PART.search(folded.strip())):
        found.add(_DIXON_PARTS[last[1]])
    if first := _DIXON_PREFIX.match(folded):
        found |= {"dixon", re.sub(r"[\s_-]", "", first[1])}
    return frozenset(found)


@lru_cache(maxsize=1024)
def sequence_words(sequence_name: str) -> frozenset[str]:
    """What a sequence's code name says (``*tir2d1_rr15`` is an inversion recovery), by its beginning."""
    code = sequence_name.casefold().strip().lstrip("*_")
    return frozenset(word for pattern, word in _SEQUENCE_CODES if pattern.search(code))


@lru_cache(maxsize=1)
def _document() -> dict[str, str]:
    document: dict[str, str] = yaml.safe_load(
        Path(__file__).with_name("words.yaml").read_text(encoding="utf-8")
    )
    return document


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(word for words in _document().values() for word in words.split())


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"w\s?/\s?o(?![a-z])", " without ", plain)
    plain = re.sub(r"t2\s?\*w?|t2[\s_-]?star", " t2star ", plain)
    plain = _OPPOSED.sub(" outphase ", plain)
    plain = _IN_PHASE.sub(" inphase ", plain)
    plain = _NO_AGENT.sub(" nativ ", plain)
    return _AGENT.sub(" contrastagent ", plain)


@lru_cache(maxsize=8192)
def _parts(token: str) -> tuple[str, ...]:
    """The token itself when known, else its division into known words, else nothing."""
    if token in _known():
        return (token,)
    if re.fullmatch(r"b\d{2,4}", token):
        return ("dwi",)
    divided = _divide(token)
    if divided is None:
        for prefix in _PREFIXES:
            if token.startswith(prefix) and (divided := _divide(token[len(prefix) :])):
                break
    if divided is None or not set(divided) & {
        "t1",
        "t2",
        "pd",
        "t2star",
        "stir",
        "tse",
        "dixon",
        "mdixon",
        "gre",
    }:
        return ()
    return divided


def _divide(token: str) -> tuple[str, ...] | None:
    """Divide a glued token (``t2wtse``, ``sagt1fs``) into known words, longest first."""
    if not token or len(token) > 24:
        return None
    if token in _known():
        return (token,)
    for end in range(len(token) - 1, 0, -1):
        if token[:end] in _known() and (rest := _divide(token[end:])) is not None:
            return (token[:end], *rest)
    return None
