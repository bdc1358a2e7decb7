"""From a report to the text that the report model learns to write.

Belongs here: which sentences are learned, and comparisons, which a model that sees one examination cannot make.
Does not belong here: prompts (``examples``), labels.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from spine_models.corpus.labels.rules.sections import Section, Sections
from spine_models.corpus.labels.rules.sentences import evidence_sentences, fold
from spine_models.encoder.clip.text import report_sections

_MONTH: Final = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE: Final = re.compile(
    r"\[DATE\]|\b\d{1,2}[/.]\d{1,2}[/.](?:\d{4}|\d{2})\b|\b\d{4}-\d{2}-\d{2}\b"
    rf"|\b{_MONTH} \d{{1,2}}, ?\d{{4}}\b|\b\d{{1,2}} {_MONTH},? \d{{4}}\b|\b{_MONTH},? \d{{4}}\b",
    re.IGNORECASE,
)
_EARLIER: Final = (
    r"(?:@|(?:the |an? )?(?:prior|previous|earlier|preceding|last|older|outside|baseline|comparison)"
    r"(?: (?:outside|lumbar|cervical|thoracic|spine|mri?|ct|stud(?:y|ies)|exam\w*|scans?|imaging|images?|reports?))*"
    r"(?: (?:of|from|dated|on) @| @)?|(?:the )?(?:mri?|ct|study|exam\w*|scan) (?:of|from|dated) @)"
)
_LINK: Final = (
    r"(?:since|(?:as )?compared (?:to|with)|in comparison (?:to|with)|relative to|than (?:on|in|at)|as on)"
)
_CHANGED: Final = (
    r"(?:un-?changed|stable|similar|no (?:significant |interval )*change|new|(?:significantly |slightly |mildly )?"
    r"(?:increased|decreased|progressed|worsened|worse|improved|larger|smaller)|not seen|seen|present|noted)"
)
_BEHIND: Final = re.compile(
    rf"(?:\s+(?:and |is |are |has |have )*{_CHANGED})?\s+{_LINK}\s+{_EARLIER}", re.IGNORECASE
)
"""Of a part of a sentence: "... stenosis unchanged since May 2019"."""
_BEFORE: Final = re.compile(
    r"^(?:(?:again|re-?demonstrated|unchanged|stable|persistent|persisting|new|known|interval"
    r"|previously (?:seen|noted|described))(?: (?:and|but) (?:stable|unchanged))?"
    r"(?: (?:is|are|seen|noted|demonstrated|appearance of|is a))*\s+)+(?=\w+[ -]\w+)",
    re.IGNORECASE,
)
"""Of a part of a sentence: "Stable moderate stenosis ..."."""
_COMPARES: Final = re.compile(
    r"@|\b(?:prior|previous(?:ly)?|un-?changed|compar(?:ed|ison|e)|interval(?:ly)?|since|new(?:ly)?|stable|stability"
    r"|again|re-?demonstrat\w+|progress(?:ed|ion|ive(?:ly)?)|worse(?:n\w*)?|improve[dm]\w*|resolv(?:ed|ing)|resolution"
    r"|no longer|(?:in|de)creas(?:ed|ing) (?:in|from|compared)|larger|smaller|as before|follow-?up|earlier|similar to"
    r"|persist\w*|than (?:on|in|at) |(?:no|without)(?: \w+)? change|(?:less|more) conspicuous"
    r"|last (?:study|exam\w*|mri?))\b",
    re.IGNORECASE,
)
_HIDDEN: Final = re.compile(r"\[[A-Z]{2,}\]")
"""What de-identification took out; a model must not learn to write it."""
_UPPER: Final = re.compile(r"\b(?:[ctls]\d{1,2}(?=\b|[-/])|mri?|ct|stir|csf|[ctls](?=\d))", re.IGNORECASE)


class Target(NamedTuple):
    """What is learned of a report.

    Attributes:
        text: findings and a numbered impression; empty where the report has no evidence.
        dropped: sentences that were left out: nothing but a comparison, or a gap of de-identification.
        shortened: sentences that lost a comparison and stayed.
    """

    text: str
    dropped: int
    shortened: int


def target_of(report: str) -> Target:
    """The text that a model is to write for the examination of a report.

    Findings and impression as the labels read them, in the report's own words: no letterhead, indication, technique or
    signature. The model is shown no earlier examination, so what compares with one goes: the part of a sentence, or
    the whole of it where nothing else is left.
    """
    evidence = " ".join(report_sections(report))
    sections, parts = Sections(fold(report)), {section: list[str]() for section in Section}
    dropped = shortened = 0
    for sentence in evidence_sentences(report):
        if " ".join(sentence.text.split()) not in evidence:
            continue  # of the letterhead, or signed
        whole = " ".join(report[sentence.start : sentence.start + len(sentence.text)].split())
        kept = without_comparison(whole)
        if not kept or _HIDDEN.search(kept):
            dropped += 1
            continue
        shortened += kept != _written(whole)
        parts[sections.at(sentence.start)].append(kept)
    lines = []
    if parts[Section.FINDINGS]:
        lines += ["FINDINGS:", " ".join(parts[Section.FINDINGS])]
    if parts[Section.IMPRESSION]:
        lines += [
            "IMPRESSION:",
            *(f"{n}. {text}" for n, text in enumerate(parts[Section.IMPRESSION], start=1)),
        ]
    return Target("\n".join(lines), dropped, shortened)


def without_comparison(sentence: str) -> str:
    """A sentence without what compares it with an earlier examination; empty where nothing else is left."""
    label, _, rest = sentence.rpartition(": ")
    dated = _DATE.sub("@", rest)
    kept = ""
    # Pieces of text at even places, what divides them at odd ones.
    pieces = re.split(r"(\s*[,;()]\s*)", dated)
    for divider, piece in zip(["", *pieces[1::2]], pieces[::2], strict=True):
        piece = _BEFORE.sub("", _BEHIND.sub("", piece).strip(" .")).strip()
        if piece and not _COMPARES.search(piece):
            kept += (divider if kept else "") + piece
    if kept.count("(") != kept.count(")"):
        kept = kept.replace("(", "").replace(")", "")
    if not re.search(r"[A-Za-z]{2,}\W+[A-Za-z]{2,}", kept):
        return ""
    return _written(f"{label}: {kept}" if label else kept)


def compares(text: str) -> bool:
    """Whether a text speaks of an earlier examination, or of a date."""
    return _COMPARES.search(_DATE.sub("@", text)) is not None


def _written(sentence: str) -> str:
    """With a capital letter at its beginning, a full stop at its end, and not in capitals throughout."""
    sentence = " ".join(sentence.split()).strip(" ,;.")
    label, colon, rest = sentence.rpartition(": ")
    if len(rest) > 8 and rest.isupper():
        rest = _UPPER.sub(lambda found: found[0].upper(), rest.lower())
    return label + colon + rest[:1].upper() + rest[1:] + "." if rest else ""
