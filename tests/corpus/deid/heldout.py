"""The hand-written reports of the ``reports_*.yaml``, and how a cleaned text is judged against their marks.

Belongs here: reading the marks, aligning a cleaned text with its source, counting what left and what stayed.
Does not belong here: the texts (yaml), thresholds (test_text_heldout).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final

import yaml

_MARK: Final = re.compile(r"\[\[(\w+)(!?):(.*?)\]\]", re.DOTALL)
_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
NEUTRAL_KINDS: Final = frozenset(("x", "year"))
_NEUTRAL: Final = frozenset(
    (
        *(
            "dr",
            "drs",
            "mr",
            "mrs",
            "ms",
            "miss",
            "prof",
            "professor",
            "dra",
            "herr",
            "pr",
            "doctor",
            "md",
            "do",
            "phd",
        ),
        *(
            "frcr",
            "franzcr",
            "frcpc",
            "mbbs",
            "np",
            "rn",
            "cna",
            "crna",
            "dc",
            "pa",
            "c",
            "sister",
            "the",
            "of",
            "a",
        ),
        *(
            "an",
            "and",
            "at",
            "in",
            "on",
            "to",
            "for",
            "by",
            "with",
            "via",
            "per",
            "c",
            "o",
            "de",
            "la",
            "du",
            "or",
            "re",
        ),
        *(
            "yrs",
            "yr",
            "years",
            "year",
            "old",
            "woman",
            "man",
            "male",
            "female",
            "y",
            "age",
            "aged",
            "ext",
            "x",
            "tel",
        ),
        *(
            "fax",
            "no",
            "s",
            "jr",
            "sr",
            "sfc",
            "cpt",
            "rm",
            "room",
            "bed",
            "attn",
            "week",
            "early",
            "last",
            "fall",
        ),
        *(
            "yesterday",
            "day",
            "th",
            "st",
            "nd",
            "rd",
            "t",
            "monday",
            "tuesday",
            "wednesday",
            "thursday",
            "friday",
        ),
        *(
            "saturday",
            "sunday",
            "mon",
            "tue",
            "wed",
            "thu",
            "thurs",
            "fri",
            "sat",
            "sun",
            "hospital",
            "hospitals",
        ),
        *(
            "clinic",
            "centre",
            "center",
            "medical",
            "radiology",
            "imaging",
            "health",
            "healthcare",
            "department",
        ),
        *(
            "general",
            "community",
            "regional",
            "university",
            "institute",
            "practice",
            "physiotherapy",
            "therapy",
        ),
        *("pain", "spine", "surgery", "orthopedic", "orthopaedic", "ortho", "care", "memorial", "district"),
        *(
            "royal",
            "infirmary",
            "base",
            "private",
            "ltd",
            "inc",
            "llc",
            "diagnostic",
            "diagnostics",
            "mri",
            "scan",
        ),
        *("scans", "open", "associates", "group", "partners", "services", "neurology", "family", "medicine"),
        *("county", "cancer", "rehabilitation", "nursing", "home", "hospice", "school", "research"),
        *(
            "multispeciality",
            "foundation",
            "trust",
            "nhs",
            "mobile",
            "physio",
            "hub",
            "neuro",
            "oa",
            "director",
        ),
        *("front", "desk", "specialist", "children", "pediatric", "specialty", "critical", "access", "army"),
        *("sports", "upright", "teleradiology", "reporting", "radiologie", "service", "ed", "spine"),
        *("specialized", "freight", "law", "offices", "authority", "chiropractic", "facility", "unit"),
        *("rehabilitation", "proton", "surgical", "pavilion", "speciality"),
    )
)
"""Words of a mark whose survival identifies nobody: titles, credentials, kinds of institutions, weekdays' names."""


@dataclass(frozen=True)
class Document:
    """A text without its marks, its marked spans (start, end, kind, known) and what the archive knows."""

    number: int
    text: str
    spans: tuple[tuple[int, int, str, bool], ...]
    known: tuple[tuple[str, str], ...]

    @property
    def development(self) -> bool:
        """Odd numbers may be looked at while the engine is built; even ones may not."""
        return self.number % 2 == 1


@dataclass
class Score:
    """Counts over documents: marked spans removed per kind, clinical phrases and words kept, and the failures."""

    removed: Counter[str] = field(default_factory=Counter)
    marked: Counter[str] = field(default_factory=Counter)
    phrases: int = 0
    phrases_kept: int = 0
    labels: int = 0
    labels_kept: int = 0
    words: int = 0
    words_kept: int = 0
    missed: list[tuple[int, str, str]] = field(default_factory=list)
    lost: list[tuple[int, str]] = field(default_factory=list)

    def recall(self, *kinds: str) -> float:
        """Share of the marked spans of the kinds of which nothing telling is left."""
        return sum(self.removed[k] for k in kinds) / max(1, sum(self.marked[k] for k in kinds))


def documents(file: str = "reports_heldout.yaml") -> list[Document]:
    """Every report and note of a file beside this one; notes are numbered from 1001."""
    data = yaml.safe_load(Path(__file__).with_name(file).read_text(encoding="utf-8"))
    made = [_document(entry, 0) for entry in data["reports"]]
    return made + [_document(entry, 1000) for entry in data.get("notes", [])]


def _document(entry: dict[str, object], offset: int) -> Document:
    marked = str(entry["text"])
    out, spans, at, length = [], [], 0, 0
    for match in _MARK.finditer(marked):
        before = marked[at : match.start()]
        out += [before, match[3]]
        length += len(before)
        spans.append((length, length + len(match[3]), match[1], bool(match[2])))
        length += len(match[3])
        at = match.end()
    known = tuple((str(k), str(v)) for k, v in entry["known"])  # type: ignore[attr-defined]
    return Document(offset + int(str(entry["id"])), "".join(out) + marked[at:], tuple(spans), known)


def judge(cleaned: Iterable[tuple[Document, str]]) -> Score:
    """Counts over (document, its cleaned text).

    A marked span counts as removed when none of its telling tokens stands at its place any more (a date: when any of
    day, month and clock has moved; years may stay). A phrase is two words or more between marks, line ends and
    punctuation, kept when every one of its words stays; single words (labels of header fields) are counted apart.
    """
    score = Score()
    for document, text in cleaned:
        tokens = list(_TOKEN.finditer(document.text))
        left = [t[0] for t in tokens]
        stays = [False] * len(tokens)
        matcher = SequenceMatcher(None, left, _TOKEN.findall(text), autojunk=False)
        for block in matcher.get_matching_blocks():
            stays[block.a : block.a + block.size] = [True] * block.size
        _spans(document, tokens, stays, score)
        _phrases(document, tokens, stays, score)
    return score


def _spans(document: Document, tokens: list[re.Match[str]], stays: list[bool], score: Score) -> None:
    for start, end, kind, known in document.spans:
        if kind in NEUTRAL_KINDS:
            continue
        label = f"{kind}!" if known else kind
        inside = [i for i, t in enumerate(tokens) if t.start() >= start and t.end() <= end]
        telling = [i for i in inside if _telling(tokens[i][0], kind)]
        bad = [tokens[i][0] for i in telling if stays[i]]
        if kind == "date" and len(bad) < len(telling):
            bad = []
        score.marked[label] += 1
        score.removed[label] += not bad
        if bad:
            score.missed.append((document.number, label, f"{document.text[start:end]!r}: {' '.join(bad)}"))


def _telling(token: str, kind: str) -> bool:
    if not token.isalnum() and not re.search(r"\w", token):
        return False
    if token.casefold() in _NEUTRAL:
        return False
    return not (kind == "date" and re.fullmatch(r"(?:18|19|20)\d\d", token))


def _phrases(document: Document, tokens: list[re.Match[str]], stays: list[bool], score: Score) -> None:
    phrase: list[int] = []
    marked = [False] * (len(document.text) + 1)
    for start, end, _, _ in document.spans:
        marked[start:end] = [True] * (end - start)

    def close() -> None:
        words = [i for i in phrase if tokens[i][0].casefold() not in _NEUTRAL]
        if words:
            kept = all(stays[i] for i in words)
            if len(words) > 1:
                score.phrases += 1
                score.phrases_kept += kept
            else:
                score.labels += 1
                score.labels_kept += kept
            score.words += len(words)
            score.words_kept += sum(stays[i] for i in words)
            if not kept:
                gone = " ".join(tokens[i][0] for i in words if not stays[i])
                whole = document.text[tokens[words[0]].start() : tokens[words[-1]].end()]
                score.lost.append((document.number, f"{gone} <- {whole}"))
        phrase.clear()

    for index, token in enumerate(tokens):
        gap = document.text[tokens[index - 1].end() : token.start()] if index else ""
        if marked[token.start()] or "\n" in gap or re.fullmatch(r"[^\w\s]", token[0]):
            close()
        if not marked[token.start()] and re.search(r"\w", token[0]):
            phrase.append(index)
    close()
