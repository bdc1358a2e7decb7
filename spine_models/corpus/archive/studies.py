"""Which ledger rows name a study, and which study an accession number means.

Belongs here: what registration, index and fingerprints must answer alike. Does not belong here: reading files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from spine_models.corpus.archive.text_tables import normalised_accession


def studies_by_accession(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Study UID per normalised accession number; an accession of several studies resolves to none."""
    studies: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["study_uid"] is not None and row["accession_number"] is not None:
            studies[normalised_accession(row["accession_number"])].add(row["study_uid"])
    return {accession: next(iter(uids)) for accession, uids in studies.items() if len(uids) == 1}


def is_named() -> pl.Expr:
    """Ledger rows of files that are there and name a study."""
    return pl.col("study_uid").is_not_null() & pl.col("size_bytes").is_not_null()
