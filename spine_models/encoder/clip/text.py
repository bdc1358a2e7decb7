"""Reports to chunks of tokens, and chunk vectors back to one vector a report.

Belongs here: sections, cutting, batching, the weighted mean. Does not belong here: vocabularies and networks
(``text_encoder``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor

from spine_models.corpus.labels.rules.headings import has_findings, heading_at, inline_headings
from spine_models.corpus.labels.rules.sections import Section, Sections
from spine_models.corpus.labels.rules.sentences import evidence_sentences, fold

_SIGNED: Final = re.compile(
    r"(?:electronically )?(?:signed|read|dictated|reported|verified|approved|transcribed|reviewed) (?:by|on)\b"
    r"|(?:radiologist|technologist|attending|resident|transcriptionist)s? ?:"
    r"|(?:date of (?:exam|birth|service)|exam date|accession|patient(?: id)?|mrn|dob|phone|ordering) ?[:#]"
    r"|.*\btranscribed \d"
    r"|.*\b(?:results?|findings?) (?:was |were )?(?:called|discussed|communicated|conveyed) (?:to|with)\b"
)
"""Who signed, read or was told: a site and its people, not what the images show."""


class Vocabulary(NamedTuple):
    """Text to token ids without special tokens, and the ids that frame a chunk."""

    encode: Callable[[str], list[int]]
    cls: int
    sep: int
    pad: int


class ReportTokens(NamedTuple):
    """Chunks of B reports.

    Attributes:
        ids: [C, L] int64, framed by CLS and SEP and padded at the end.
        mask: [C, L] bool, True for tokens.
        owner: [C] int64, the report of a chunk, below B.
        present: [B] bool; a report without a token has False and no chunk.
    """

    ids: Tensor
    mask: Tensor
    owner: Tensor
    present: Tensor

    def to(self, device: torch.device) -> ReportTokens:
        """The same on a device."""
        return ReportTokens(*(part.to(device) for part in self))


def report_sections(report: str) -> tuple[str, ...]:
    """Findings and impression of a report, in this order, those that are not empty.

    The text is folded (lower case); indication, technique, comparison and headings are left out, as in the labels.
    So are the letterhead before the first heading and the lines that sign: they name the site, which a scanner's look
    gives away as well, and the alignment would learn that instead of findings.
    """
    folded = fold(report)
    sections, begin = Sections(folded), _letterhead_end(folded, report)
    parts: dict[Section, list[str]] = {section: [] for section in Section}
    for sentence in evidence_sentences(report):
        text = " ".join(sentence.text.split())
        if sentence.start >= begin and text and not _SIGNED.match(text):
            parts[sections.at(sentence.start)].append(text)
    texts = (" ".join(parts[section]) for section in Section)
    return tuple(text for text in texts if text)


def _letterhead_end(folded: str, report: str) -> int:
    """Where the first heading of the findings or of what is no evidence stands; 0 where there is none.

    A report that opens with findings and has a heading of the impression only keeps its beginning.
    """
    position = 0
    for line in folded.splitlines(keepends=True):
        stop = position + len(line.rstrip())
        begin = position + len(line) - len(line.lstrip())
        found = heading_at(folded, report, begin, stop) if begin < stop else None
        if found is not None and (not found[0] or has_findings(line)):
            return begin
        for match in inline_headings(folded, report, begin, stop):
            if match.group("no") is not None or has_findings(folded[match.start() : match.end()] + "\n"):
                return match.start()
        position += len(line)
    return 0


def report_chunks(report: str, vocabulary: Vocabulary, *, max_tokens: int) -> list[list[int]]:
    """Token ids of a report's chunks, CLS and SEP included, each at most ``max_tokens`` long.

    A chunk never spans two sections. A section that is too long is cut into as few chunks as hold it, of about the
    same length, so that no chunk is a scrap. A report without evidence has no chunk.
    """
    room = max_tokens - 2
    chunks = []
    for section in report_sections(report):
        ids = vocabulary.encode(section)
        n_chunks = -(-len(ids) // room)
        bounds = [len(ids) * i // n_chunks for i in range(n_chunks + 1)] if n_chunks else []
        chunks += [[vocabulary.cls, *ids[a:b], vocabulary.sep] for a, b in pairwise(bounds)]
    return chunks


def batch_reports(reports: Sequence[Sequence[Sequence[int]]], pad: int) -> ReportTokens:
    """Reports given as their chunks (``report_chunks``) in one batch; also where no report has a chunk."""
    chunks = [list(chunk) for report in reports for chunk in report]
    longest = max((len(chunk) for chunk in chunks), default=0)
    ids = torch.tensor([c + [pad] * (longest - len(c)) for c in chunks], dtype=torch.int64)
    lengths = torch.tensor([len(c) for c in chunks], dtype=torch.int64)
    return ReportTokens(
        ids=ids.reshape(len(chunks), longest),
        mask=torch.arange(longest)[None] < lengths[:, None],
        owner=torch.tensor([i for i, r in enumerate(reports) for _ in r], dtype=torch.int64),
        present=torch.tensor([len(r) > 0 for r in reports], dtype=torch.bool),
    )


def pool_chunks(vectors: Tensor, tokens: ReportTokens) -> Tensor:
    """Report vectors [B, D]: the mean of chunk vectors [C, D] weighed by tokens, CLS and SEP not counted.

    An absent report has a row of zeros; ``tokens.present`` says that it is not to be used.
    """
    weights = (tokens.mask.sum(dim=1) - 2).to(vectors.dtype)
    totals = weights.new_zeros(len(tokens.present)).index_add(0, tokens.owner, weights)
    sums = vectors.new_zeros(len(tokens.present), vectors.shape[1])
    sums = sums.index_add(0, tokens.owner, vectors * weights[:, None])
    return sums / totals.clamp(min=1.0)[:, None]
