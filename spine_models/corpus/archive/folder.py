"""Walking an inbox folder: every entry once, in a fixed order, without following links or opening anything.

Belongs here: entries, their kind by place and name, paths as text and back, reading many files at once.
Does not belong here: the content of files.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from spine_models.config import ArchiveSettings

KNOWN_FOLDERS: Final = frozenset({"dicom", "reports", "ehr", "annotations"})
IMAGES_FOLDER: Final = "train_images"
ANNOTATION_FILES: Final = ("train.csv", "train_label_coordinates.csv", "train_series_descriptions.csv")
"""The RSNA layout as it is shipped: its tables lie beside the images, not in a folder of their own."""
PARALLEL_FROM_FILES: Final = 8000
"""Below it, starting worker processes costs more than they save."""

_REPORT_SUFFIXES: Final = frozenset({".txt", ".csv", ".jsonl"})
_ESCAPED_BYTE: Final = re.compile(r"\\x([89a-f][0-9a-f])")
_CHUNK_FILES: Final = 64

Result = TypeVar("Result")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the inbox that is not a folder, or a folder that cannot be listed.

    `kind` is null where only the content can tell (dicom or other).
    """

    relative_path: str
    size_bytes: int
    mtime_ns: int
    kind: str | None


def list_entries(inbox: Path) -> list[Entry]:
    """All entries below a folder, sorted by path. Raises OSError where the folder itself cannot be listed."""
    with os.scandir(inbox) as top:
        names = {entry.name.casefold() for entry in top if entry.is_dir(follow_symlinks=False)}
    structured = bool(names & KNOWN_FOLDERS)
    annotated = IMAGES_FOLDER in names
    entries, folders = [], [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(inbox / folder) as listing:
                children = list(listing)
        except OSError:
            entries.append(Entry(path_text(folder), 0, 0, "other"))
            continue
        for child in children:
            relative = os.path.join(folder, child.name)
            try:
                if child.is_dir(follow_symlinks=False):
                    folders.append(relative)
                    continue
                status = child.stat(follow_symlinks=False)
            except OSError:
                entries.append(Entry(path_text(relative), 0, 0, "other"))
                continue
            regular = stat.S_ISREG(status.st_mode)
            kind = _kind_by_name(relative) if structured else None
            if annotated and relative.casefold() in ANNOTATION_FILES:
                kind = "annotation"
            if not regular:
                kind = "other"
            entries.append(Entry(path_text(relative), status.st_size, status.st_mtime_ns, kind))
    return sorted(entries, key=lambda entry: entry.relative_path)


def path_text(path: str) -> str:
    """A path as text that every table can hold: bytes that are no UTF-8 are written as ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def source_path(inbox: str, relative_path: str) -> Path:
    """The file that a ledger row means; the inverse of `path_text`."""
    path = Path(inbox) / relative_path
    if "\\x" not in relative_path or os.path.lexists(path):
        return path
    raw = b"".join(
        bytes([int(part, 16)]) if index % 2 else part.encode()
        for index, part in enumerate(_ESCAPED_BYTE.split(relative_path))
    )
    return Path(inbox) / os.fsdecode(raw)


def read_all(
    function: Callable[[Path, ArchiveSettings], Result],
    paths: Sequence[Path],
    settings: ArchiveSettings,
    progress: Progress | None,
) -> list[Result]:
    """``function(path, settings)`` of every path, in their order, in worker processes when there are many.

    ``function`` must be importable and never raise. A worker that dies (killed for memory) does not lose the
    batch: what is left is read in this process.
    """
    results: list[Result] = []
    parallel = settings.workers > 1 and len(paths) >= PARALLEL_FROM_FILES
    # A daemonic process may not have children of its own.
    if parallel and not multiprocessing.current_process().daemon:
        with suppress(BrokenProcessPool):
            for result in _in_pool(partial(function, settings=settings), paths, settings.workers):
                results.append(result)
                _tell(progress, len(results), len(paths))
    for path in paths[len(results) :]:
        results.append(function(path, settings))
        _tell(progress, len(results), len(paths))
    return results


def _in_pool(call: Callable[[Path], Result], paths: Sequence[Path], workers: int) -> Iterator[Result]:
    # Not fork: the caller may hold threads (of polars, an orchestrator) that a forked child would wait for.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=workers, mp_context=context) as pool:
        yield from pool.map(call, paths, chunksize=_CHUNK_FILES)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None and (done % 100 == 0 or done == total):
        progress(done, total)


def _kind_by_name(relative: str) -> str | None:
    parts = Path(relative).parts
    place = parts[0].casefold() if len(parts) > 1 else ""
    suffix = Path(relative).suffix.casefold()
    if place == "reports" and suffix in _REPORT_SUFFIXES:
        return "report"
    if place == "ehr" and suffix == ".csv":
        return "ehr"
    if place == "annotations" and suffix == ".csv":
        return "annotation"
    return None
