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
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from spine_models.corpus.deid.gate.identifiers import Known, known_of
from spine_models.corpus.deid.gate.needles import Needle
from spine_models.corpus.deid.pseudonyms import Pseudonymizer

if TYPE_CHECKING:
    from spine_models.corpus.archive import ArchiveTables

FORMAT: Final = "1"
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

    def known(self, archives: Sequence[ArchiveTables], *, workers: int) -> Known:
        """Everything that the originals of all batches are known to hold; only changed batches are read."""
        joined, kept = Known(), set()
        for archive in archives:
            place = self._folder / f"known-{self._fingerprint(archive)}.parquet"
            kept.add(place.name)
            if place.is_file():
                one = _known(pl.read_parquet(place))
            else:
                one = known_of(archive, self._names, workers=workers)
                self._write(place, _frame(one))
            join_known(joined, one)
        for former in self._folder.glob("known-*.parquet"):
            if former.name not in kept:
                former.unlink(missing_ok=True)
        return joined

    def unsearched(self, paths: Iterable[Path], lake: Path) -> list[Path]:
        """The files that no sweep has found clean as they are now."""
        held = self._files().select("path", "size_bytes", "mtime_ns").rows()
        clean = set(held)
        return [path for path in paths if _identity(path, lake) not in clean]

    def remember(self, paths: Iterable[Path], lake: Path) -> None:
        """Note files as clean; others are forgotten.

        Args:
            paths: every file of the lake that is clean now, searched just now or before.
            lake: its root.
        """
        rows = [(*identity, FORMAT, self._key_id) for p in paths if (identity := _identity(p, lake))]
        frame = pl.DataFrame(sorted(rows), schema=FILES, orient="row")
        self._write(self._folder / "files.parquet", frame)

    def _files(self) -> pl.DataFrame:
        place = self._folder / "files.parquet"
        if not place.is_file():
            return pl.DataFrame(schema=FILES)
        return pl.read_parquet(place).filter(format=FORMAT, key_id=self._key_id)

    def _fingerprint(self, archive: ArchiveTables) -> str:
        """Of the originals and EHR rows of a batch, whatever order they stand in."""
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


def join_known(into: Known, more: Known) -> None:
    """Add one batch's knowledge to that of others."""
    into.shared |= more.shared
    for store, added in ((into.own, more.own), (into.births, more.births), (into.studies, more.studies)):
        for patient, values in added.items():
            store.setdefault(patient, set()).update(values)  # type: ignore[arg-type]


def _identity(path: Path, lake: Path) -> tuple[str, int, int] | None:
    try:
        told = path.stat()
    except FileNotFoundError:  # a version that was replaced meanwhile
        return None
    return path.relative_to(lake).as_posix(), told.st_size, told.st_mtime_ns


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
