"""Where an encoder keeps what it was after some steps of its own training.

Belongs here: folder names. Does not belong here: writing or opening an encoder (``backbone.encoder``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

SNAPSHOTS: Final = "snapshots"


def snapshot_folder(folder: Path, step: int | None = None) -> Path:
    """The snapshot of a step inside an encoder's folder; the folder of all where none is named."""
    snapshots = folder / SNAPSHOTS
    return snapshots if step is None else snapshots / f"step-{step:08d}"


def snapshots_of(folder: Path) -> dict[int, Path]:
    """Folders of an encoder's snapshots by step, ascending; ``load_encoder`` opens each."""
    found = sorted((folder / SNAPSHOTS).glob("step-*"))
    return {int(path.name.removeprefix("step-")): path for path in found}
