"""How alike two reports are as texts: edit distance, ROUGE-L and BLEU, each of the findings and the impression alone.

Letterheads, headings of technique and history, signatures and notices tell of the site and the template; they are left
out of both texts (``report_sections``), so that no method gains or loses by them. These scores say how much a reader
would retype, not whether a report is right: "no" is one word.

Belongs here: scores of two texts. Does not belong here: what the texts claim (``metric``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.distance import LCSseq, Levenshtein
from sacrebleu.metrics import BLEU

_NOT_A_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Likeness:
    """Scores of a text against a reference, each 0 to 1.

    Attributes:
        edit_distance: Levenshtein distance in words as a share of the longer text; 0 where both are empty.
        rouge_l: F-measure of the longest common subsequence of words (Lin 2004, ACL workshop Text Summarization
            Branches Out, 74-81); 1 where both are empty.
        bleu: BLEU of one text with effective order and sacrebleu's exponential smoothing (Papineni et al. 2002, ACL
            311-318; Post 2018, WMT 186-191); 1 where both are empty.
    """

    edit_distance: float
    rouge_l: float
    bleu: float


def likeness(text: str, reference: str) -> Likeness:
    """Scores of two bodies of reports (``body``)."""
    ours, theirs = words(text), words(reference)
    if not ours or not theirs:
        same = float(not ours and not theirs)
        return Likeness(1.0 - same, same, same)
    return Likeness(
        words_changed(text, reference) / max(len(ours), len(theirs)),
        2 * LCSseq.similarity(ours, theirs) / (len(ours) + len(theirs)),
        min(1.0, _bleu().sentence_score(text.lower(), [reference.lower()]).score / 100),
    )


def words(text: str) -> list[str]:
    """Lower-case runs of letters and digits, as ROUGE counts them."""
    return [word for word in _NOT_A_WORD.split(text.lower()) if word]


def words_changed(text: str, reference: str) -> int:
    """Words to insert, delete or replace to make one text the other (Levenshtein)."""
    return Levenshtein.distance(words(text), words(reference))


@lru_cache(maxsize=4096)
def body(report: str) -> str:
    """Findings and impression of a report, lower case, without headings, letterhead and signatures; may be empty."""
    from spine_models.encoder.clip.text import report_sections

    return " ".join(report_sections(report))


@lru_cache(maxsize=1)
def _bleu() -> BLEU:
    return BLEU(effective_order=True)
