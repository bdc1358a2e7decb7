"""Files that cannot both be right: copies, UIDs that mean two things, studies of two patients.

Belongs here: comparing the files of a batch with each other, and with what other batches registered.
Does not belong here: whether one file is sound (`instance`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from spine_models.corpus.archive.folder import source_path
from spine_models.corpus.archive.instance import Examined, data_set_hash
from spine_models.corpus.archive.reasons import Reason
from spine_models.corpus.archive.text_tables import normalised_mrn

Row = dict[str, Any]
_OF_HASH = {"sop_hash": Reason.CONFLICTING_SOP, "series_hash": Reason.CONFLICTING_SERIES}


def uid_hash(uid: str | None) -> int | None:
    """64 bits that stand for a UID in the ledger; among 10^8 UIDs two share theirs with a chance of 3 in 10^4."""
    if uid is None:
        return None
    return int.from_bytes(hashlib.blake2b(uid.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def claimed_elsewhere(ledger: pl.DataFrame) -> pl.DataFrame:
    """Which batch may not use which UID: ``batch_key``, ``column``, ``hash``, since one before it uses it already.

    A study lies in one batch, so that a series or instance of two batches is one of two studies.
    """
    found = []
    for column in _OF_HASH:
        used = ledger.filter(pl.col(column).is_not_null() & pl.col("size_bytes").is_not_null())
        used = used.select("batch_key", hash=column).unique()
        first = used.group_by("hash").agg(first=pl.col("batch_key").min(), n=pl.len()).filter(pl.col("n") > 1)
        later = used.join(first, on="hash").filter(pl.col("batch_key") > pl.col("first"))
        found.append(later.select("batch_key", pl.lit(column).alias("column"), "hash"))
    return pl.concat(found).sort("batch_key", "column", "hash")


def without_reused_uids(examined: Sequence[Examined], claimed: pl.DataFrame) -> list[Examined]:
    """Reject what names a series or instance that an earlier batch has, or an earlier study of this batch."""
    taken: Mapping[str, set[int]] = {
        column: set(claimed.filter(column=column)["hash"]) for column in _OF_HASH
    }
    study_of_series: dict[str, str] = {}
    kept = []
    for found in examined:
        reason, row = found.reason, found.row
        if row is not None and reason is None:
            study = study_of_series.setdefault(row["series_uid"], row["study_uid"])
            if uid_hash(row["sop_uid"]) in taken["sop_hash"]:
                reason = Reason.CONFLICTING_SOP
            elif study != row["study_uid"] or uid_hash(row["series_uid"]) in taken["series_hash"]:
                reason = Reason.CONFLICTING_SERIES
        kept.append(replace(found, reason=reason))
    return kept


def without_duplicates(own: Sequence[Row], examined: Sequence[Examined]) -> list[Examined]:
    """Content counts once; of an instance UID with other data only the first file is kept."""
    first_content: set[str] = set()
    first_sop: dict[str, Path] = {}
    kept = []
    for row, found in zip(own, examined, strict=True):
        reason = found.reason
        if found.row is not None and reason is None:
            path, sop = source_path(row["inbox"], row["relative_path"]), found.row["sop_uid"]
            if found.row["sha256"] in first_content:
                reason = Reason.DUPLICATE_CONTENT
            elif sop in first_sop:
                reason = Reason.DUPLICATE_SOP if _same_data(first_sop[sop], path) else Reason.CONFLICTING_SOP
            first_content.add(found.row["sha256"])
            first_sop.setdefault(sop, path)
        kept.append(replace(found, reason=reason))
    return kept


def without_mixed_patients(examined: Sequence[Examined]) -> list[Examined]:
    """Reject studies that name more than one patient, whole."""
    patients: defaultdict[str, set[tuple[str | None, str | None]]] = defaultdict(set)
    for found in examined:
        if found.row is not None and found.reason is None:
            patients[found.row["study_uid"]].add(_patient(found.row))
    return [
        replace(found, reason=Reason.CONFLICTING_PATIENT)
        if found.row is not None and found.reason is None and len(patients[found.row["study_uid"]]) > 1
        else found
        for found in examined
    ]


def _same_data(first: Path, second: Path) -> bool:
    try:
        return data_set_hash(first) == data_set_hash(second)
    except OSError:
        return False


def _patient(row: Row) -> tuple[str | None, str | None]:
    issuer = row["issuer_of_patient_id"]
    patient = row["patient_id"]
    return normalised_mrn(patient) if patient else None, issuer.casefold() if issuer else None
