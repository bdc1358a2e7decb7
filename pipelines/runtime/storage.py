"""Tables and artifact folders on disk: written aside, renamed when whole, read by asset key.

Belongs here: the layout ``<zone>/<stage>/<thing>/<partition>``, atomicity, what a killed writer left, and content
hashes. Does not belong here: Dagster, the meaning of any table.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import polars as pl

from pipelines.runtime import generations
from pipelines.runtime.locks import exclusive, if_free
from sql.generations import stage_root

WHOLE = "all"
"""Partition name of an asset that has no partitions."""


_REMEDIES: Final = {
    errno.ENOSPC: "the disk is full: free space where SPINE_ROOT lies",
    errno.EDQUOT: "the disk quota is used up: free space where SPINE_ROOT lies",
    errno.EFBIG: "the file would be larger than the file system or a limit allows",
    errno.EROFS: "the file system is read-only: mount it for writing, or set SPINE_ROOT",
    errno.EACCES: "permission is denied: let this user write where SPINE_ROOT lies, or set SPINE_ROOT",
    errno.EPERM: "permission is denied: let this user write where SPINE_ROOT lies, or set SPINE_ROOT",
    errno.EXDEV: "the restricted zone and the lake are on two file systems: keep both on one",
    errno.EIO: "the disk reports an error: check it",
}


_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")


class StorageError(RuntimeError):
    """A table or artifact is absent, cannot be written, or is not of its declared schema."""


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn a refusal of the operating system into a `StorageError` that names what was written and the remedy.

    Libraries in Rust (polars, safetensors) have exceptions of their own, with the system's number in the text.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        found = _OS_ERROR.search(str(error))
        number = error.errno if isinstance(error, OSError) else int(found[1]) if found else None
        remedy = _REMEDIES.get(number or 0)
        if remedy is None:
            raise
        # The cause would name a path.
        raise StorageError(
            f"{what} could not be written: {remedy}, then run again; what was published before is unchanged"
        ) from None


def _absent(key: Sequence[str], partition: str | None) -> StorageError:
    return StorageError(
        f"{'/'.join(key)} [{partition or WHOLE}] has not been materialised yet: run "
        f"`spineagent run INBOX --through {key[0]}`, or materialise it in the Dagster UI"
    )


def content_version(frame: pl.DataFrame) -> str:
    """Content hash of a frame, 16 hex digits: equal for equal columns, types and rows in the same order."""
    digest = hashlib.sha256(repr(list(frame.schema.items())).encode())
    # Newer string columns share buffers with the frame that they were cut from: the oldest layout holds its rows alone.
    rows = frame.rechunk().write_ipc(None, compat_level=pl.CompatLevel.oldest())
    digest.update(rows.getbuffer())
    return digest.hexdigest()[:16]


def folder_version(folder: Path) -> str:
    """Content hash of every file below ``folder`` but its card, 16 hex digits."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "card.json"):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


@dataclass
class Draft:
    """An artifact under construction: fill ``folder``, then set ``card``; leaving the block publishes it."""

    folder: Path
    card: dict[str, object] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True)
class Zone:
    """One root of tables and artifacts.

    Args:
        root: absolute folder; created with ``mode`` on first write.
        mode: permissions of the root (0700 for the restricted zone).
        generation: whose findings are read and written; None where there are no generations.
        pinned: whether models are those that the generation pins; training reads the newest instead.
    """

    root: Path
    mode: int = 0o755
    generation: str | None = None
    pinned: bool = True

    def table_path(self, key: Sequence[str], partition: str | None = None) -> Path:
        """``<root>/<stage>/<thing>/<partition or all>.parquet``, in the generation's room where the stage has one."""
        return self.folder(key) / f"{partition or WHOLE}.parquet"

    def folder(self, key: Sequence[str]) -> Path:
        """Folder of a table's files or of an artifact's partitions."""
        return stage_root(self.root, self.generation or generations.FIRST, key[0]).joinpath(*key)

    def write_table(self, key: Sequence[str], partition: str | None, frame: pl.DataFrame) -> Path:
        """Write one table; a reader sees the old one or the new one, never half of it.

        Raises:
            StorageError: the disk is full, read-only or closed to this user.
        """
        path = self.table_path(key, partition)
        with writing(_name(key, partition)):
            self._make_root()
            path.parent.mkdir(parents=True, exist_ok=True)
            with exclusive(path.with_name(f".{path.stem}.lock"), _name(key, partition)):
                for left in path.parent.glob(f".{path.name}.*.partial"):
                    left.unlink(missing_ok=True)
                aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
                try:
                    frame.write_parquet(aside, compression="zstd", statistics=True)
                    _settle(aside)
                    os.replace(aside, path)
                finally:
                    aside.unlink(missing_ok=True)
        return path

    @contextmanager
    def journal(self, key: Sequence[str], partition: str | None) -> Iterator[Path]:
        """A hidden file beside a table, for what a long computation of it has finished; one process has it at a time.

        It goes when the block ends well and stays when the block, or the process, does not: the next block finds it.

        Raises:
            StorageError: the disk is full, read-only or closed to this user, also while the block writes to it.
        """
        path = self.table_path(key, partition)
        path = path.with_name(f".{path.name}.journal")
        with writing(_name(key, partition)):
            self._make_root()
            path.parent.mkdir(parents=True, exist_ok=True)
            with exclusive(path.with_name(f"{path.name}.lock"), _name(key, partition)):
                yield path
                path.unlink(missing_ok=True)

    def read_table(
        self, key: Sequence[str], partitions: Sequence[str | None], *, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """One frame of all partitions asked for, in their order; of ``columns`` alone where they are named.

        Raises:
            StorageError: a partition has not been materialised (names asset and partition).
        """
        frames = []
        for partition in partitions:
            path = self.table_path(key, partition)
            if not path.is_file():
                raise _absent(key, partition)
            frames.append(pl.read_parquet(path, columns=None if columns is None else list(columns)))
        if not frames:
            raise StorageError(f"{'/'.join(key)} has no partition yet: register an inbox first")
        return pl.concat(frames, how="vertical")

    def partitions(self, key: Sequence[str]) -> list[str]:
        """Partitions of a table that exist on disk, sorted."""
        return sorted(p.stem for p in self.folder(key).glob("*.parquet") if not p.name.startswith("."))

    def artifact_root(self, key: Sequence[str], partition: str | None = None) -> Path:
        """Folder that holds the versions of an artifact and its pointer."""
        return self.folder(key) / (partition or WHOLE)

    def current(self, key: Sequence[str], partition: str | None = None) -> Path:
        """Folder of the published version, by the pointer file, never by modification time.

        A model is the one that the zone's generation pins, if it does.

        Raises:
            StorageError: nothing has been published yet, or the pinned version is gone.
        """
        root = self.artifact_root(key, partition)
        if (version := self._pin(key, partition)) is not None:
            if not (root / version).is_dir():
                raise StorageError(
                    f"{_name(key, partition)}: version {version} is gone, which generation {self.generation} "
                    "rests on: run `spineagent models build` under another name and switch to it"
                )
            return root / version
        pointer = root / "current.json"
        if not pointer.is_file():
            raise _absent(key, partition)
        return root / json.loads(pointer.read_text(encoding="utf-8"))["version"]

    def _pin(self, key: Sequence[str], partition: str | None) -> str | None:
        if self.generation is None or not self.pinned or tuple(key) not in generations.MODELS:
            return None
        return generations.pins(self.root, self.generation).get(generations.pin_of(key, partition))

    def has_artifact(self, key: Sequence[str], partition: str | None = None) -> bool:
        """Whether a version has been published."""
        return (self.artifact_root(key, partition) / "current.json").is_file()

    def card(self, key: Sequence[str], partition: str | None = None) -> dict[str, Any]:
        """The published version's ``card.json``."""
        return json.loads((self.current(key, partition) / "card.json").read_text(encoding="utf-8"))

    @contextmanager
    def draft(
        self,
        key: Sequence[str],
        partition: str | None = None,
        *,
        aside: Path | None = None,
        fence: Callable[[], None] | None = None,
    ) -> Iterator[Draft]:
        """Build an artifact in a hidden folder and publish it under its content hash when the block ends well.

        Args:
            key: asset key.
            partition: partition, None where the asset has none.
            aside: where to build; default beside the target. Must be on the same file system. De-identification
                builds in the restricted zone, so that nothing reaches the lake before the gate has passed it.
            fence: called last, when all is built; where it raises nothing is published.
        """
        what, root = _name(key, partition), self.artifact_root(key, partition)
        building = aside or root
        # What is missing or closed shows before the work, not after hours of it.
        with writing(what):
            self._make_root()
            root.mkdir(parents=True, exist_ok=True)
            building.mkdir(parents=True, exist_ok=True)
            os.rmdir(mkdtemp(prefix=".probe-", dir=root))
        name = ".".join((*key, partition or WHOLE))
        with writing(what), exclusive(building / f".{name}.lock", what):
            for left in building.glob(f".draft-{name}.*"):
                shutil.rmtree(left, ignore_errors=True)
            draft = Draft(Path(mkdtemp(prefix=f".draft-{name}.", dir=building)))
            try:
                yield draft
                draft.version = folder_version(draft.folder)
                card = {
                    "asset": "/".join(key),
                    "partition": partition or WHOLE,
                    "version": draft.version,
                    **draft.card,
                }
                _write_text(
                    draft.folder / "card.json", json.dumps(card, indent=2, sort_keys=True, default=str) + "\n"
                )
                draft.folder.chmod(self.mode)
                if fence is not None:
                    fence()
                self._publish(draft, root, generations.pinned_versions(self.root, key, partition))
            finally:
                shutil.rmtree(draft.folder, ignore_errors=True)

    def sweep(self) -> int:
        """Remove what killed writers left in this zone, without touching what a living one builds.

        Returns:
            Number of files and folders removed.
        """
        rooms = [Zone(room, self.mode) for room in self.root.glob("generations/*") if room.is_dir()]
        removed = sum(room.sweep() for room in rooms)
        for left in (*self.root.glob("*/.draft-*"), *self.root.glob("*/*/*/.draft-*")):
            name = left.name.removeprefix(".draft-").rpartition(".")[0]
            removed += _remove_if_free(left, left.with_name(f".{name}.lock"))
        for left in self.root.glob("*/*/.*.partial"):
            partition = left.name[1:].partition(".parquet.")[0]
            removed += _remove_if_free(left, left.with_name(f".{partition}.lock"))
        kinds = (".probe-*", "*/*/*/.probe-*", "*/*/*/.current.*.partial")
        for left in (path for kind in kinds for path in self.root.glob(kind)):
            removed += _remove_if_free(left, left.with_name(".sweep.lock"))
        locks = ("*/.*.lock", "*/*/.*.lock", "*/*/*/.*.lock")
        for lock in (path for pattern in locks for path in self.root.glob(pattern)):
            with if_free(lock):
                pass
        return removed

    def _publish(self, draft: Draft, root: Path, kept: set[str]) -> None:
        """Give a whole draft its place, then point to it: at every moment the pointer names a whole version."""
        target = root / draft.version
        if target.is_dir() and folder_version(target) == draft.version:
            # Readers may have it open: only what was said about it changes.
            card = target / "card.json"
            os.replace(draft.folder / "card.json", card)
        else:
            if target.exists():
                _discard(target)
            os.replace(draft.folder, target)
        self._point(root, draft.version, kept)

    def _point(self, root: Path, version: str, kept: set[str]) -> None:
        pointer = root / "current.json"
        before = json.loads(pointer.read_text(encoding="utf-8"))["version"] if pointer.is_file() else None
        aside = root / f".current.{os.getpid()}.partial"
        try:
            _write_text(aside, json.dumps({"version": version}) + "\n")
            os.replace(aside, pointer)
        finally:
            aside.unlink(missing_ok=True)
        # The version before stays for readers that hold it open, and what generations rest on; older ones go.
        for old in root.iterdir():
            if old.is_dir() and not old.name.startswith(".") and old.name not in {version, before, *kept}:
                _discard(old)

    def _make_root(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        mode = self.root.stat().st_mode & 0o777
        if mode & ~self.mode:  # a site may close the zone further, never open it
            self.root.chmod(mode & self.mode)


def _name(key: Sequence[str], partition: str | None) -> str:
    return f"{'/'.join(key)} [{partition or WHOLE}]"


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    _settle(path)


def _settle(path: Path) -> None:
    """Bring a file to the disk, so that after a power cut its name never means an empty file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(folder: Path) -> None:
    """Remove a folder so that no half of it is ever seen under its name."""
    hidden = Path(mkdtemp(prefix=f".draft-{folder.name}.", dir=folder.parent))
    os.replace(folder, hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _remove_if_free(left: Path, lock: Path) -> int:
    with if_free(lock) as free:
        if free and left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        elif free:
            left.unlink(missing_ok=True)
        return int(free)
