"""Drafted reports as pages: one HTML file a study, and an index.

Belongs here: files, and what each of them needs. Does not belong here: a study's page (``study``), its key slices
(``pictures``), the list of drafts (``index``), report wording (``phrasing``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from spine_models.reporting.reports.pages.index import index_page
from spine_models.reporting.reports.pages.pictures import KeySlice, key_slices, shard_pixels
from spine_models.reporting.reports.pages.study import study_page

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

__all__ = ["KeySlice", "key_slices", "shard_pixels", "write_pages"]


def write_pages(
    drafts: pl.DataFrame,
    sentences: pl.DataFrame,
    claims: pl.DataFrame,
    out: Path,
    *,
    removed: pl.DataFrame | None = None,
    pictures: Mapping[str, Sequence[KeySlice]] | None = None,
) -> int:
    """Write ``<study_key>.html`` for every draft and ``index.html`` into ``out``; returns the study pages.

    Args:
        drafts: ``DRAFTS``.
        sentences: ``SENTENCES`` of these drafts.
        claims: ``agents.CLAIMS`` that the sentences point to.
        out: Folder, made if needed. Same tables, same bytes.
        removed: ``REMOVED`` of these drafts.
        pictures: key slices by study_key, of ``key_slices``; pages have none without.

    Raises:
        ValueError: a study_key that is no plain name, or a sentence that points to a claim not given.
    """
    out.mkdir(parents=True, exist_ok=True)
    sentences_of = _grouped(sentences.sort("study_key", "position"))
    claims_of = _grouped(claims.sort("study_key", "claim_key"))
    removed_of = {} if removed is None else _grouped(removed.sort("study_key", "position"))
    entries = []
    for draft in drafts.sort("study_key").iter_rows(named=True):
        key = draft["study_key"]
        if not _FILE_NAME.fullmatch(key):
            raise ValueError("a study_key is no pseudonym: run deid of its batch again")
        own = claims_of.get(key, [])
        shown = (pictures or {}).get(key, ())
        page = study_page(draft, sentences_of.get(key, []), own, removed_of.get(key, []), shown)
        (out / f"{key}.html").write_text(page, encoding="utf-8")
        entries.append((draft, own))
    (out / "index.html").write_text(index_page(entries), encoding="utf-8")
    return len(entries)


def _grouped(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        groups.setdefault(row["study_key"], []).append(row)
    return groups
