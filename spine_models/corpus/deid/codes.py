"""Coded entries that the DICOM standard itself lists: a code keeps its value, its meaning comes from the list.

Belongs here: the lookup of a coding scheme and value. Does not belong here: local or unknown codes, which go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from pydicom.sr._snomed_dict import mapping
from pydicom.sr.codedict import CONCEPTS


@lru_cache(maxsize=1)
def _meanings() -> dict[tuple[str, str], str]:
    table: dict[tuple[str, str], str] = {}
    concepts: Mapping[str, Mapping[str, Mapping[str, tuple[str, list[int]]]]] = CONCEPTS
    for scheme, by_keyword in concepts.items():
        for by_value in by_keyword.values():
            for value, (meaning, _) in by_value.items():
                if meaning.isascii():
                    table.setdefault((scheme, value), meaning[:64])
    return table


def meaning_of(scheme: str, value: str) -> str | None:
    """The standard meaning of a code, or None where the standard does not list it; SRT is read through SCT."""
    if scheme in ("SRT", "SNM3", "99SDM"):
        value = mapping["SRT"].get(value, "")
        scheme = "SCT"
    return _meanings().get((scheme, value))


@lru_cache(maxsize=1)
def standard_words() -> frozenset[str]:
    """Words of five letters and more that code meanings spell in lower case, so that eponyms are not among them."""
    spelled = (
        w for meaning in _meanings().values() for w in re.findall(r"(?<![\w-])[a-z]{5,}(?![\w-])", meaning)
    )
    return frozenset(spelled)
