"""The whole lake, decoded file by file, searched for every identifier of every batch.

Belongs here: opening what the lake holds (Parquet, DICOM, archives, text) down to searchable bytes.
Does not belong here: per-batch consistency (batch). Subjects are lake paths, which carry pseudonyms only; a path
that itself contains an identifier is reported by its top folder.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import current_process, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from spine_models.corpus.deid.gate.frames import FrameSearch
from spine_models.corpus.deid.gate.identifiers import Known, known_of
from spine_models.corpus.deid.gate.memory import (
    ArchivedBatch,
    Identity,
    SweepMemory,
    identity_of,
    join_known,
    loaded,
)
from spine_models.corpus.deid.gate.needles import Haystack
from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from spine_models.corpus.deid.tables import GATE

if TYPE_CHECKING:
    from spine_models.corpus.archive import ArchiveTables

_TEXT: Final = frozenset(
    [
        ".json",
        ".jsonl",
        ".html",
        ".htm",
        ".txt",
        ".csv",
        ".tsv",
        ".md",
        ".yaml",
        ".yml",
        ".sql",
        ".svg",
        ".xml",
        ".log",
        ".css",
        ".js",
        ".toml",
        ".ini",
        ".py",
    ]
)
_INLINE_BELOW: Final = 400
_CHUNK: Final = 16
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"


class Swept(NamedTuple):
    """What a sweep found.

    Attributes:
        hits: GATE rows without a batch key; the subject is the file's path in the lake.
        searched: files that were searched now.
        remembered: files that an earlier sweep found clean and that have not changed since.
        unread: originals that could not be read now; where there are any, nothing searched now is noted as clean.
    """

    hits: pl.DataFrame
    searched: int
    remembered: int
    unread: int = 0


class _Sweep:
    def __init__(self, known: Known) -> None:
        self.frames = FrameSearch(known)
        self.text = Haystack(known.shared)
        self.binary = Haystack(known.shared, shortest=9)

    def rows(self, path: Path, lake: Path) -> list[dict[str, object]] | None:
        """GATE rows of one file; None where it has gone since it was listed."""
        relative = path.relative_to(lake).as_posix()
        named = self.text.hits(relative.encode("utf-8", "surrogateescape"))
        subject = relative.split("/")[0] if named and "/" in relative else "lake" if named else relative
        try:
            found = self.data(path.name, path.read_bytes())
        except (
            FileNotFoundError
        ):  # a version or a table that was replaced meanwhile: the new one is another file
            return None
        except (
            OSError,
            ValueError,
            EOFError,
            tarfile.TarError,
            zipfile.BadZipFile,
            pl.exceptions.PolarsError,
        ):
            found = Counter({"unreadable": 1})
        return [
            {"batch_key": None, "rule": rule, "subject": subject, "hits": hits}
            for rule, hits in sorted((found + named).items())
        ]

    def data(self, name: str, data: bytes) -> Counter[str]:
        suffix = Path(name).suffix.casefold()
        if suffix == ".parquet":
            return self.frames.hits(pl.read_parquet(io.BytesIO(data)))
        if suffix in (".tar", ".tgz") or name.endswith(".tar.gz"):
            return self._tar(data)
        if suffix == ".zip":
            return self._zip(data)
        if suffix == ".gz":
            return self.data(name[:-3], gzip.decompress(data))
        if suffix in _TEXT:
            return self.text.hits(data)
        if data[128:132] == b"DICM":
            return self._dicom(data)
        return self.binary.hits(data)

    def _dicom(self, data: bytes) -> Counter[str]:
        found = self.binary.hits(data)
        at = data.find(b"\xe0\x7f\x10\x00")
        found += self.text.hits(data[: at if at > 0 else len(data)])
        if _DEFLATED in data[:1024]:
            length = 144 + int.from_bytes(data[140:144], "little")
            try:
                found += self.text.hits(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[length:]))
            except zlib.error:
                found["unreadable"] += 1
        return found

    def _tar(self, data: bytes) -> Counter[str]:
        found: Counter[str] = Counter()
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                found += self.text.hits(member.name.encode())
                stream = archive.extractfile(member) if member.isfile() else None
                if stream:
                    found += self.data(member.name, stream.read())
        return found

    def _zip(self, data: bytes) -> Counter[str]:
        found: Counter[str] = Counter()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                found += self.text.hits(name.encode()) + self.data(name, archive.read(name))
        return found


def sweep_lake(
    archive_tables: Sequence[ArchiveTables | ArchivedBatch],
    lake: Path,
    *,
    key: bytes | None = None,
    workers: int = 1,
    memory: Path | None = None,
    whole: bool = True,
) -> Swept:
    """Every known identifier of the archive that any file of the lake contains.

    Args:
        archive_tables: the frames of all batches, or where to read them.
        lake: the folder of everything that left the restricted zone.
        key: with the pseudonym key, rows that name a patient are also searched for that patient's single words.
        workers: processes that share the files where there are many; the rows are the same for any number.
        memory: folder of the restricted zone where what was read and searched is remembered; None remembers nothing.
        whole: search files too that an earlier sweep found clean, so for patients who came after it, and read every
            original again.
    """
    remembered = SweepMemory(memory, key) if memory is not None else None
    # Before anything is read: a file that is written anew while this goes on must not be noted as searched.
    files = _listed(lake)
    clean = remembered.clean() if remembered is not None else set()
    due = [path for path, identity in files.items() if whole or identity not in clean]
    if not due:
        return Swept(pl.DataFrame(schema=GATE), 0, len(files))
    if remembered is None:
        known = Known()
        for archive in archive_tables:
            join_known(known, known_of(loaded(archive), Pseudonymizer(key) if key else None, workers=workers))
    else:
        known = remembered.known(archive_tables, workers=workers, anew=whole)
    found = dict(zip(due, _swept(due, known, lake, workers), strict=True))
    if remembered is not None:
        # Searched for too little, a file is not clean; what a whole search found clean before still is.
        passed = [
            identity
            for path, identity in files.items()
            if found.get(path, []) == [] and (identity in clean or (path in found and not known.unread))
        ]
        remembered.remember(passed)
    rows = [row for rows in found.values() for row in rows or ()]
    return Swept(pl.DataFrame(rows, schema=GATE), len(due), len(files) - len(due), known.unread)


def _listed(lake: Path) -> dict[Path, Identity]:
    """Every file below the lake as it is now, sorted by path, but for locks, which are empty and come and go."""
    found: dict[Path, Identity] = {}
    for folder, _, names in os.walk(lake):
        for path in (Path(folder, name) for name in names):
            identity = identity_of(path, lake)
            if identity is not None and not (path.suffix == ".lock" and identity.size_bytes == 0):
                found[path] = identity
    return dict(sorted(found.items()))


def _swept(
    paths: Sequence[Path], known: Known, lake: Path, workers: int
) -> Iterator[list[dict[str, object]] | None]:
    # A daemonic process may not have children of its own. A worker that dies raises: the sweep never guesses.
    if workers > 1 and len(paths) >= _INLINE_BELOW and not current_process().daemon:
        with ProcessPoolExecutor(workers, get_context("spawn"), _open_sweep, (known, lake)) as pool:
            yield from pool.map(_sweep_one, paths, chunksize=_CHUNK)
    else:
        sweep = _Sweep(known)
        yield from (sweep.rows(path, lake) for path in paths)


_sweeps: list[tuple[_Sweep, Path]] = []
"""The searcher of a worker process: made once, since it compiles every known identifier."""


def _open_sweep(known: Known, lake: Path) -> None:
    _sweeps[:] = [(_Sweep(known), lake)]


def _sweep_one(path: Path) -> list[dict[str, object]] | None:
    sweep, lake = _sweeps[0]
    return sweep.rows(path, lake)
