"""Whose rows a report, EHR or annotation table holds, remembered at registration: a look with nothing new opens none.

Belongs here: packing a table into hashes by row, and which rows a batch's index would take of all tables of its cohort.
Does not belong here: the rows themselves (`records`), what else an index rests on (`rests`).

A remembered table is the SHA-256 of its file and, by row, its number and two 64-bit hashes: of the key that says whose
it is, and of its content. Among 10^6 keys and 10^7 rows some key meets another's hash with a chance of 5 in 10^7.
Annotations carry no number: nothing that leaves the archive depends on their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive.annotation_cells import Refused
from spine_models.corpus.archive.annotation_rows import annotation_rows, batches_by_key
from spine_models.corpus.archive.folder import source_path
from spine_models.corpus.archive.instance import examine_table
from spine_models.corpus.archive.records import (
    Key,
    ehr_digest,
    ehr_values,
    first_batches,
    key_of_ehr,
    key_of_report,
    named_rows,
    patients_of_studies,
)
from spine_models.corpus.archive.studies import studies_by_accession
from spine_models.corpus.archive.text_tables import TextTableError, ehr_rows, normalised_mrn, report_rows

UNREADABLE: Final = b"!"
"""In place of the rows of a table that the index rejects; its hash stands before it, where its bytes could be read.

Not empty, as the rows of a table with a header alone are. Null is a table that was not read.
"""

_PACKED: Final = np.dtype([("row", "<u4"), ("whose", "<u8"), ("content", "<u8")])
_SHA_BYTES: Final = 32
_NOBODY: Final = 0
_FILE_ORDER: Final = ("batch_key", "inbox", "relative_path")
_COLUMNS: Final = {"file": pl.UInt32, "row": pl.UInt32, "whose": pl.UInt64, "content": pl.UInt64}

Row = dict[str, Any]


@dataclass(frozen=True)
class Taken:
    """What the index of batches would take of the tables of one cohort.

    Args:
        rows: by batch, a hash of its rows with file, number, content and owner; no entry where it has none.
        repeats: by batch, its own tables that are copies of one before them.
        unread: ledger rows of tables whose rows are not known: they may concern anybody.
    """

    rows: dict[str, str]
    repeats: dict[str, list[str]]
    unread: pl.DataFrame


def is_text_table() -> pl.Expr:
    """Ledger rows of EHR tables, and of reports in tables."""
    suffix = pl.col("relative_path").str.contains(r"(?i)\.(csv|jsonl)$")
    return (pl.col("kind") == "ehr") | ((pl.col("kind") == "report") & suffix)


def is_table() -> pl.Expr:
    """Ledger rows of tables of any kind: EHR, reports, annotations."""
    return is_text_table() | (pl.col("kind") == "annotation")


def with_tables_read(ledger: pl.DataFrame, inbox: str, settings: ArchiveSettings) -> pl.DataFrame:
    """The ledger with ``table_rows`` of every table of an inbox that is there and was not read yet."""
    unread = is_table() & pl.col("size_bytes").is_not_null() & pl.col("table_rows").is_null()
    places = ledger.with_row_index("at").filter((pl.col("inbox") == inbox) & unread)
    if places.is_empty():
        return ledger
    read = [
        packed(inbox, path, kind, settings)
        for path, kind in places.select("relative_path", "kind").iter_rows()
    ]
    found = pl.DataFrame({"at": places["at"], "read": pl.Series(read, dtype=pl.Binary)})
    joined = ledger.with_row_index("at").join(found, on="at", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("read", "table_rows").alias("table_rows")).select(ledger.columns)


def packed(inbox: str, relative_path: str, kind: str, settings: ArchiveSettings) -> bytes:
    """One file of ``kind`` ehr, report or annotation, packed; ``UNREADABLE`` where the index would reject it.

    Args:
        inbox: as the ledger says.
        relative_path: the same; the stem of its name is what the index calls an EHR table.
        kind: the same.
        settings: `max_file_bytes` is used.
    """
    path = source_path(inbox, relative_path)
    examined = examine_table(path, settings)
    if examined.reason is not None or examined.sha256 is None:
        return UNREADABLE
    sha256 = bytes.fromhex(examined.sha256)
    found = {
        "ehr": partial(_ehr, path, Path(relative_path).stem),
        "report": partial(_reports, path),
        "annotation": partial(_annotations, path, inbox),
    }[kind]
    try:
        rows = np.fromiter(found(), dtype=_PACKED)
    except (Refused, TextTableError, OSError, RecursionError, MemoryError):
        return sha256 + UNREADABLE
    return sha256 + rows.tobytes()


def taken(cohort: pl.DataFrame) -> Taken:
    """From the ledger of one cohort, by the rules of ``records`` and ``annotations.index_annotations``."""
    tables = cohort.filter(is_table() & pl.col("size_bytes").is_not_null())
    # A table may be a copy of one that cannot be read, as a csv file can be of a jsonl file.
    hashed = pl.col("table_rows").bin.size().fill_null(0) >= _SHA_BYTES
    readable = hashed & (pl.col("table_rows").bin.size() != _SHA_BYTES + len(UNREADABLE))
    named = named_rows(cohort)
    parts, repeats = [], {}
    resolvers = {
        "ehr": partial(_of_patients, named=named),
        "report": partial(_of_studies, named=named),
        "annotation": partial(_of_annotated, cohort=cohort),
    }
    for kind, resolved in resolvers.items():
        files, copies = _without_copies(
            tables.filter((pl.col("kind") == kind) & hashed).sort(_FILE_ORDER).to_dicts()
        )
        for copy in copies:
            repeats.setdefault(copy["batch_key"], []).append(
                f"{kind}\t{copy['inbox']}\t{copy['relative_path']}"
            )
        files = [f for f in files if len(f["table_rows"]) != _SHA_BYTES + len(UNREADABLE)]
        if files:
            parts.append(resolved(_unpacked(files), files))
    rows: dict[str, str] = {}
    if parts:
        everything = pl.concat(parts).sort("batch_key", "file", "row", "content")
        for (batch,), own in everything.partition_by("batch_key", as_dict=True, include_key=False).items():
            digest = hashlib.sha256()
            for name in ("file", "row", "content", "owner"):
                digest.update(own[name].cast(pl.UInt64).to_numpy().tobytes())
            rows[str(batch)] = digest.hexdigest()
    return Taken(rows, repeats, tables.filter(~readable.fill_null(value=False)))


def _ehr(path: Path, table: str) -> Iterator[tuple[int, int, int]]:
    for number, line in enumerate(ehr_rows(path), start=1):
        content = ehr_digest(table, ehr_values(line))
        yield number, _key_hash(key_of_ehr(line)), int.from_bytes(content[:8], "little")


def _reports(path: Path) -> Iterator[tuple[int, int, int]]:
    for report in report_rows(path):
        accession = "" if report.accession_number is None else report.accession_number
        content = _hash(f"{accession}\0{report.report_text}")
        yield report.row, _key_hash(key_of_report(report)), content


def _annotations(path: Path, inbox: str) -> Iterator[tuple[int, int, int]]:
    for key, content in annotation_rows(path, inbox):
        yield 0, _key_hash(key), _hash(content)


def _without_copies(files: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    first: dict[tuple[str, bytes], Row] = {}
    copies = []
    for file in files:
        # Folder names, and so annotations, mean something within their inbox alone.
        within = file["inbox"] if file["kind"] == "annotation" else ""
        if first.setdefault((within, file["table_rows"][:_SHA_BYTES]), file) is not file:
            copies.append(file)
    return list(first.values()), copies


def _unpacked(files: Sequence[Row]) -> pl.DataFrame:
    """Rows of the files in their order; ``file`` counts them from 0."""
    frames = []
    for number, file in enumerate(files):
        rows = np.frombuffer(file["table_rows"], dtype=_PACKED, offset=_SHA_BYTES)
        columns = {name: np.ascontiguousarray(rows[name]) for name in ("row", "whose", "content")}
        of = np.full(len(rows), number, dtype=np.uint32)
        frames.append(pl.DataFrame({"file": of, **columns}, schema=_COLUMNS))
    return pl.concat(frames)


def _of_patients(rows: pl.DataFrame, files: Sequence[Row], named: Sequence[Row]) -> pl.DataFrame:
    first_batch, of_study = first_batches(named), patients_of_studies(named)
    key: dict[int, str] = {_key_hash(("patient", patient)): patient for patient in first_batch}
    key |= {_key_hash(("study", study)): patient for study, patient in of_study.items()}
    for accession, study in studies_by_accession(named).items():
        if study in of_study:
            key[_key_hash(("accession", accession))] = of_study[study]
    theirs = {(normalised_mrn(r["patient_id"]), r["batch_key"]) for r in named if r["patient_id"]}
    whom = [(patient, batch, first_batch[patient] == batch) for patient, batch in theirs]
    # The index takes a row that stands in several exports of one table from the first of them.
    once = rows.unique("content", keep="first", maintain_order=True)
    return _joined(once, files, key, whom)


def _of_studies(rows: pl.DataFrame, files: Sequence[Row], named: Sequence[Row]) -> pl.DataFrame:
    study_of = studies_by_accession(named)
    key = {_key_hash(("accession", accession)): study for accession, study in study_of.items()}
    whom = [(study, batch, False) for study, batch in {(r["study_uid"], r["batch_key"]) for r in named}]
    return _joined(rows, files, key, whom)


def _of_annotated(rows: pl.DataFrame, files: Sequence[Row], cohort: pl.DataFrame) -> pl.DataFrame:
    key = {_key_hash(key): batch for key, batch in batches_by_key(cohort).items()}
    whom = [(batch, batch, False) for batch in set(key.values())]
    # Of a box that stands in two files the index takes the first: which comes first is told in the row's place.
    joined = _joined(rows.with_columns(pl.col("file").alias("row")), files, key, whom)
    return joined.with_columns(pl.col("row").rank("dense").over("batch_key").cast(pl.UInt32).alias("row"))


def _joined(
    rows: pl.DataFrame, files: Sequence[Row], key: Mapping[int, str], whom: Sequence[tuple[str, str, bool]]
) -> pl.DataFrame:
    """Rows by the batch that takes them: the one of whom they concern, or, of nobody known, the file's."""
    ids = [_hash(f"{f['kind']}\0{f['inbox']}\0{f['relative_path']}") for f in files]
    places = pl.DataFrame(
        {"file": range(len(files)), "of_file": [f["batch_key"] for f in files], "id": ids},
        schema={"file": pl.UInt32, "of_file": pl.String, "id": pl.UInt64},
    )
    keys = pl.DataFrame(
        {"whose": list(key), "who": list(key.values())}, schema={"whose": pl.UInt64, "who": pl.String}
    )
    theirs = pl.DataFrame(
        list(whom), schema={"who": pl.String, "batch_key": pl.String, "owner": pl.Boolean}, orient="row"
    )
    resolved = rows.join(keys, on="whose", how="left").join(places, on="file", how="left")
    columns = ("batch_key", pl.col("id").alias("file"), "row", "content", pl.col("owner").cast(pl.UInt8))
    somebody = resolved.filter(pl.col("who").is_not_null()).join(theirs, on="who").select(columns)
    nobody = resolved.filter(pl.col("who").is_null())
    # The index owns rows of nobody; for reports, whose rows nobody owns, this tells those without a study.
    nobodys = nobody.select(
        pl.col("of_file").alias("batch_key"),
        pl.col("id").alias("file"),
        "row",
        "content",
        pl.lit(1, pl.UInt8).alias("owner"),
    )
    return pl.concat([somebody, nobodys])


def _key_hash(key: Key | None) -> int:
    return _NOBODY if key is None else _hash("\0".join(key))


def _hash(text: str) -> int:
    raw = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")
