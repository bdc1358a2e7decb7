"""The lexicon as compiled patterns.

Belongs here: reading ``lexicon.yaml``, expanding its macros, checking it against the condition list. Does not
belong here: any word about a condition.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

from spine_models.domain import condition_keys

_FILE: Final = Path(__file__).parent / "lexicon.yaml"
_MACRO: Final = re.compile(r"(?<!\?P)<(\w+)>")
_NOT_LATERAL: Final = frozenset(
    {"canal", "disc_height", "spondylolisthesis", "lipomatosis", "fracture", "compression"}
)


class LexiconError(ValueError):
    """The lexicon does not fit the condition list, or one of its patterns is not a regular expression."""


@dataclass(frozen=True)
class Nearby:
    """``term`` means the condition where the sentence also holds ``with_`` and does not hold ``unless``."""

    term: re.Pattern[str]
    with_: re.Pattern[str]
    unless: re.Pattern[str]
    weak: bool

    def holds(self, text: str) -> bool:
        """Whether the term counts in this sentence."""
        return bool(self.term.search(text) and self.with_.search(text) and not self.unless.search(text))


@dataclass(frozen=True)
class Phrases:
    """How one condition is said; patterns are null where there are none."""

    key: str
    level_kind: str
    lateral: bool
    stems: tuple[str, ...]
    present: re.Pattern[str] | None
    weak: re.Pattern[str] | None
    absent: re.Pattern[str] | None
    nearby: tuple[Nearby, ...]
    exclude: re.Pattern[str] | None


@dataclass(frozen=True)
class Lexicon:
    """Everything that the rules know of words; ``digest`` names the file's content."""

    digest: str
    phrases: tuple[Phrases, ...]
    structures: re.Pattern[str]
    normal_structures: re.Pattern[str]
    normal_words: re.Pattern[str]
    normal_level: tuple[str, ...]

    def of(self, key: str) -> Phrases:
        """The phrases of one condition."""
        return next(phrases for phrases in self.phrases if phrases.key == key)


@lru_cache(maxsize=4)
def lexicon(path: Path = _FILE) -> Lexicon:
    """Read and compile a lexicon.

    Raises:
        LexiconError: a condition without phrases or phrases without a condition, or a bad pattern.
    """
    content = path.read_bytes()
    document = yaml.safe_load(content)
    missing = set(condition_keys()) ^ set(document["conditions"])
    if missing:
        raise LexiconError(
            f"{path.name} and conditions.yaml differ in {', '.join(sorted(missing))}: add or remove it"
        )
    macros: dict[str, str] = document["macros"]
    return Lexicon(
        digest=hashlib.sha256(content).hexdigest()[:8],
        phrases=tuple(_phrases(key, document["conditions"][key], macros) for key in condition_keys()),
        structures=_named(document["structures"], macros),
        normal_structures=_named(document["normal_structures"], macros),
        normal_words=_compile(rf"\b(?:{document['normal_words']})\b", macros),
        normal_level=tuple(document["normal_level"]),
    )


def _phrases(key: str, entry: dict[str, Any], macros: dict[str, str]) -> Phrases:
    def union(name: str) -> re.Pattern[str] | None:
        patterns = entry.get(name) or []
        return _compile("|".join(rf"\b(?:{p})" for p in patterns), macros) if patterns else None

    return Phrases(
        key=key,
        level_kind=entry["levels"],
        lateral=key not in _NOT_LATERAL,
        stems=tuple(entry.get("stems") or ()),
        present=union("present"),
        weak=union("weak"),
        absent=union("absent"),
        nearby=tuple(
            Nearby(
                _compile(rf"\b(?:{rule['term']})\b", macros),
                _compile(rf"\b(?:{rule['with']})", macros),
                _compile(rf"\b(?:{rule['unless']})", macros),
                bool(rule.get("weak")),
            )
            for rule in entry.get("nearby") or []
        ),
        exclude=union("exclude"),
    )


def _named(patterns: dict[str, str], macros: dict[str, str]) -> re.Pattern[str]:
    return _compile("|".join(rf"(?P<{key}>\b(?:{pattern}))" for key, pattern in patterns.items()), macros)


def _compile(pattern: str, macros: dict[str, str]) -> re.Pattern[str]:
    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in macros:
            raise LexiconError(f"macro <{name}> is not defined in the lexicon")
        return f"(?:{macros[name]})"

    expanded = pattern
    while (once := _MACRO.sub(replace, expanded)) != expanded:
        expanded = once
    try:
        return re.compile(expanded)
    except re.error as error:
        raise LexiconError(f"the lexicon holds a pattern that is no regular expression: {error}") from error
