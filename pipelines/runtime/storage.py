"""Tables and artifact folders on disk: written aside, renamed when whole, read by asset key.

Belongs here: the layout ``<zone>/<stage>/<thing>/<partition>``, atomicity and content hashes.
Does not belong here: Dagster, the meaning of any table.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import polars as pl

WHOLE = "all"
"""Partition name of an asset that has no partitions."""


class StorageError(RuntimeError):
    """A table or artifact is absent or not of its declared schema."""


def _absent(key: Sequence[str], partition: str | None) -> StorageError:
    return StorageError(
        f"{'/'.join(key)} [{partition or WHOLE}] has not been materialised yet: run "
        f"`spineagent run INBOX --through {key[0]}`, or materialise it in the Dagster UI"
    )


def content_version(frame: pl.DataFrame) -> str:
    """Content hash of a frame, 16 hex digits: equal for equal columns, types and rows in the same order."""
    digest = hashlib.sha256(repr(list(frame.schema.items())).encode())
    digest.update(frame.rechunk().write_ipc(None).getbuffer())
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
    """

    root: Path
    mode: int = 0o755

    def table_path(self, key: Sequence[str], partition: str | None = None) -> Path:
        """``<root>/<stage>/<thing>/<partition or all>.parquet``."""
        return self.root.joinpath(*key) / f"{partition or WHOLE}.parquet"

    def write_table(self, key: Sequence[str], partition: str | None, frame: pl.DataFrame) -> Path:
        """Write one table; a reader sees the old one or the new one, never half of it."""
        self._make_root()
        path = self.table_path(key, partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            frame.write_parquet(aside, compression="zstd", statistics=True)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
        return path

    def read_table(self, key: Sequence[str], partitions: Sequence[str | None]) -> pl.DataFrame:
        """One frame of all partitions asked for, in their order.

        Raises:
            StorageError: a partition has not been materialised (names asset and partition).
        """
        frames = []
        for partition in partitions:
            path = self.table_path(key, partition)
            if not path.is_file():
                raise _absent(key, partition)
            frames.append(pl.read_parquet(path))
        if not frames:
            raise StorageError(f"{'/'.join(key)} has no partition yet: register an inbox first")
        return pl.concat(frames, how="vertical")

    def partitions(self, key: Sequence[str]) -> list[str]:
        """Partitions of a table that exist on disk, sorted."""
        return sorted(
            p.stem for p in self.root.joinpath(*key).glob("*.parquet") if not p.name.startswith(".")
        )

    def artifact_root(self, key: Sequence[str], partition: str | None = None) -> Path:
        """Folder that holds the versions of an artifact and its pointer."""
        return self.root.joinpath(*key) / (partition or WHOLE)

    def current(self, key: Sequence[str], partition: str | None = None) -> Path:
        """Folder of the published version, by the pointer file, never by modification time.

        Raises:
            StorageError: nothing has been published yet.
        """
        root = self.artifact_root(key, partition)
        pointer = root / "current.json"
        if not pointer.is_file():
            raise _absent(key, partition)
        return root / json.loads(pointer.read_text(encoding="utf-8"))["version"]

    def has_artifact(self, key: Sequence[str], partition: str | None = None) -> bool:
        """Whether a version has been published."""
        return (self.artifact_root(key, partition) / "current.json").is_file()

    def card(self, key: Sequence[str], partition: str | None = None) -> dict[str, Any]:
        """The published version's ``card.json``."""
        return json.loads((self.current(key, partition) / "card.json").read_text(encoding="utf-8"))

    @contextmanager
    def draft(
        self, key: Sequence[str], partition: str | None = None, *, aside: Path | None = None
    ) -> Iterator[Draft]:
        """Build an artifact in a hidden folder and publish it under its content hash when the block ends well.

        Args:
            key: asset key.
            partition: partition, None where the asset has none.
            aside: where to build; default beside the target. Must be on the same file system. De-identification
                builds in the restricted zone, so that nothing reaches the lake before the gate has passed it.
        """
        self._make_root()
        root = self.artifact_root(key, partition)
        root.mkdir(parents=True, exist_ok=True)
        building = aside or root
        building.mkdir(parents=True, exist_ok=True)
        draft = Draft(Path(mkdtemp(prefix=".draft-", dir=building)))
        try:
            yield draft
            draft.version = folder_version(draft.folder)
            card = {
                "asset": "/".join(key),
                "partition": partition or WHOLE,
                "version": draft.version,
                **draft.card,
            }
            (draft.folder / "card.json").write_text(
                json.dumps(card, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8"
            )
            target = root / draft.version
            if target.exists():
                shutil.rmtree(target)
            draft.folder.chmod(self.mode)
            os.replace(draft.folder, target)
            self._point(root, draft.version)
        finally:
            shutil.rmtree(draft.folder, ignore_errors=True)

    def _point(self, root: Path, version: str) -> None:
        pointer = root / "current.json"
        before = json.loads(pointer.read_text(encoding="utf-8"))["version"] if pointer.is_file() else None
        aside = root / f".current.{os.getpid()}.partial"
        aside.write_text(json.dumps({"version": version}) + "\n", encoding="utf-8")
        os.replace(aside, pointer)
        # The version before stays for readers that hold it open; older ones go.
        for old in root.iterdir():
            if old.is_dir() and not old.name.startswith(".") and old.name not in {version, before}:
                shutil.rmtree(old)

    def _make_root(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(self.mode)
