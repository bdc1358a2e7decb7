"""What a sweep of the lake remembers: which files it found clean, and what each batch's originals are known to hold.

Reading every original's header again is what a sweep mostly costs; the nightly one reads those of changed batches and
searches files that it has not searched before. Files that were clean are not searched again for identifiers of patients
who came later: that is the whole sweep's part.

Belongs here: the two records and when they hold. Does not belong here: searching (``lake``), reading originals
(``identifiers``). Both records are of the restricted zone: one holds identifiers.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from spine_models.corpus.deid.gate.identifiers import Known, known_of
from spine_models.corpus.deid.gate.needles import Needle
from spine_models.corpus.deid.pseudonyms import Pseudonymizer

if TYPE_CHECKING:
    from spine_models.corpus.archive import ArchiveTables

FORMAT: Final = "2"
"""Raise it when needles or the search change: everything is read and searched again then."""

FILES: Final = pl.Schema(
    {
        "path": pl.String,  # relative to the lake
        "size_bytes": pl.Int64,
        "mtime_ns": pl.Int64,
        "format": pl.String,
        "key_id": pl.String,
    }
)
"""Files that were searched and held nothing."""

_NEEDLES: Final = pl.Schema(
    {"reach": pl.String, "patient": pl.String, "rule": pl.String, "text": pl.String, "edge": pl.String}
)


class Identity(NamedTuple):
    """What tells a file from another one in its place: path in the lake, size, time of its last change."""

    path: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class ArchivedBatch:
    """A batch whose archive tables are read only where its originals have to be.

    Args:
        version: another one whenever a row of the batch's instances or EHR tables may be another; identifies nobody.
        load: reads the tables.
    """

    version: str
    load: Callable[[], ArchiveTables]


class SweepMemory:
    """The records of one installation, in a folder of its restricted zone.

    Args:
        folder: made, 0700, where it does not exist.
        key: pseudonym key; under another one nothing that was remembered holds.
    """

    def __init__(self, folder: Path, key: bytes | None) -> None:
        self._folder = folder
        self._names = Pseudonymizer(key) if key else None
        self._key_id = hashlib.sha256(b"sweep" + (key or b"")).hexdigest()[:16]

    def known(
        self, archives: Sequence[ArchiveTables | ArchivedBatch], *, workers: int, anew: bool = False
    ) -> Known:
        """Everything that the originals of all batches are known to hold; only changed batches are read.

        A batch of which an original could not be read is not recorded, so it is read again next time.

        Args:
            archives: frames of every batch, or where to read them: of batches that have not changed they are not.
            workers: processes that share the reading.
            anew: read all originals again, whatever is remembered of them; what was known of those that cannot be
                read now still counts.
        """
        joined, kept = Known(), set()
        for archive in archives:
            place = self._folder / f"known-{self._fingerprint(archive)}.parquet"
            kept.add(place.name)
            held = place.is_file()
            if anew or not held:
                one = known_of(loaded(archive), self._names, workers=workers)
                if not one.unread:
                    self._write(place, _frame(one))
                elif held:
                    join_known(one, _known(pl.read_parquet(place)))
            else:
                one = _known(pl.read_parquet(place))
            join_known(joined, one)
        for former in self._folder.glob("known-*.parquet"):
            if former.name not in kept:
                former.unlink(missing_ok=True)
        return joined

    def clean(self) -> set[Identity]:
        """The files that a sweep found clean, as they were before they were searched."""
        return {Identity(*row) for row in self._files().select(Identity._fields).iter_rows()}

    def remember(self, files: Iterable[Identity]) -> None:
        """Note files as clean; others are forgotten.

        Args:
            files: every file of the lake that is clean, searched just now or before, as it was before the search.
        """
        rows = [(*identity, FORMAT, self._key_id) for identity in files]
        frame = pl.DataFrame(sorted(rows), schema=FILES, orient="row")
        self._write(self._folder / "files.parquet", frame)

    def _files(self) -> pl.DataFrame:
        place = self._folder / "files.parquet"
        if not place.is_file():
            return pl.DataFrame(schema=FILES)
        return pl.read_parquet(place).filter(format=FORMAT, key_id=self._key_id)

    def _fingerprint(self, archive: ArchiveTables | ArchivedBatch) -> str:
        """Of the originals and EHR rows of a batch, whatever order they stand in, or of their version."""
        if isinstance(archive, ArchivedBatch):
            parts = [FORMAT, self._key_id, archive.version]
            return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]
        columns = [
            "inbox",
            "relative_path",
            "sha256",
            "patient_id",
            "issuer_of_patient_id",
            "accession_number",
        ]
        parts = [FORMAT, self._key_id]
        parts += sorted(repr(row) for row in archive.instances.select(columns).rows())
        parts += sorted(archive.ehr["values_json"].to_list())
        return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]

    def _write(self, place: Path, frame: pl.DataFrame) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = place.with_name(f".{place.name}.{os.getpid()}.partial")
        try:
            frame.write_parquet(aside)
            os.replace(aside, place)
        finally:
            aside.unlink(missing_ok=True)


def loaded(archive: ArchiveTables | ArchivedBatch) -> ArchiveTables:
    """The frames of a batch, read now where they were not yet."""
    return archive.load() if isinstance(archive, ArchivedBatch) else archive


def join_known(into: Known, more: Known) -> None:
    """Add one batch's knowledge to that of others."""
    into.shared |= more.shared
    into.unread += more.unread
    for store, added in ((into.own, more.own), (into.births, more.births), (into.studies, more.studies)):
        for patient, values in added.items():
            store.setdefault(patient, set()).update(values)  # type: ignore[arg-type]


def identity_of(path: Path, lake: Path) -> Identity | None:
    """A file as it is now; None where it has gone or is no ordinary file."""
    try:
        told = path.stat()
    except FileNotFoundError:  # a version that was replaced meanwhile
        return None
    if not stat.S_ISREG(told.st_mode):
        return None
    return Identity(path.relative_to(lake).as_posix(), told.st_size, told.st_mtime_ns)


def _frame(known: Known) -> pl.DataFrame:
    rows = [("shared", "", n.rule, n.text, n.edge) for n in known.shared]
    rows += [("own", p, n.rule, n.text, n.edge) for p, needles in known.own.items() for n in needles]
    for reach, days in (("birth", known.births), ("study", known.studies)):
        rows += [(reach, p, "", day.isoformat(), "") for p, found in days.items() for day in found]
    return pl.DataFrame(sorted(rows), schema=_NEEDLES, orient="row")


def _known(frame: pl.DataFrame) -> Known:
    known = Known()
    for reach, patient, rule, text, edge in frame.iter_rows():
        if reach == "shared":
            known.shared.add(Needle(rule, text, edge))
        elif reach == "own":
            known.own.setdefault(patient, set()).add(Needle(rule, text, edge))
        else:
            days = known.births if reach == "birth" else known.studies
            days.setdefault(patient, set()).add(date.fromisoformat(text))
    return known
