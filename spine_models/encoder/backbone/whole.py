"""The folder of a checkpoint, whole or not there: how any run of this layer writes one and reads one back.

Belongs here: the folder's appearance and disappearance, who may resume from it, the generators of every rank. Does not
belong here: which networks lie in it (``checkpoint``, ``encoder.clip.checkpoint``).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from spine_models.encoder.backbone.distributed import barrier, rank, world_size
from spine_models.encoder.backbone.tensor_files import write_tensors

_HASH = re.compile("[0-9a-f]{16,}")


class CheckpointMismatch(ValueError):
    """A checkpoint of another run: other settings, data, route or number of processes."""


def latest(folder: Path) -> Path | None:
    """The whole checkpoint with the highest step number, or None."""
    found = sorted(folder.glob("step-[0-9]*")) if folder.is_dir() else []
    return found[-1] if found else None


def remove(folder: Path) -> None:
    """Forget all checkpoints of a run."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def whole_folder(folder: Path, step: int) -> Iterator[Path]:
    """A folder to write a checkpoint into; every rank enters.

    When all ranks have left it holds the generators of each, is renamed to ``step-<step>``, and older ones go. One
    that a process did not finish never has that name.
    """
    target, writing = folder / f"step-{step:08d}", folder / f".writing-{step:08d}"
    if rank() == 0:
        for unfinished in folder.glob(".writing-*"):
            shutil.rmtree(unfinished)
        writing.mkdir(parents=True)
    barrier()
    yield writing
    generators = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        generators["cuda"] = torch.cuda.get_rng_state()
    save_file(generators, writing / f"rng-{rank():04d}.safetensors")
    barrier()
    if rank() == 0:
        _settle(writing)
        shutil.rmtree(target, ignore_errors=True)
        writing.rename(target)
        for older in folder.glob("step-[0-9]*"):
            if older.name < target.name:
                shutil.rmtree(older)
    barrier()


def _settle(folder: Path) -> None:
    """Wait until the disk has a folder's files, so that a machine that goes down leaves no empty ones behind a name."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save_network(module: nn.Module, file: Path) -> None:
    """All parameters and buffers of a network as safetensors; rank 0 writes (``write_tensors``)."""
    write_tensors(module.state_dict(), file)


def write_run(
    writing: Path, state: Any, curves: pl.Schema, *, format_: int, identity: dict[str, Any]
) -> None:
    """Write ``run.json`` and ``curves.parquet``: where the run stands and who may go on from here.

    Args:
        writing: the folder.
        state: with ``step``, ``rows`` and an ``optimiser`` that counts its skipped steps.
        curves: schema of the rows.
        format_: of the checkpoint's files.
        identity: JSON of what must be the same on resume.
    """
    pl.DataFrame(state.rows, schema=curves).write_parquet(writing / "curves.parquet")
    run = {
        "format": format_,
        "step": state.step,
        "skipped": state.optimiser.skipped,
        "skipped_in_row": state.optimiser.skipped_in_row,
        "processes": world_size(),
        "identity": identity,
    }
    (writing / "run.json").write_text(json.dumps(run, indent=1, sort_keys=True), encoding="utf-8")


def demand_same_run(checkpoint: Path, *, format_: int, identity: dict[str, Any]) -> dict[str, Any]:
    """The content of ``run.json``.

    Raises:
        CheckpointMismatch: names what differs, with the checkpoint's value and this run's.
    """
    run: dict[str, Any] = json.loads((checkpoint / "run.json").read_text(encoding="utf-8"))
    if run["format"] != format_ or run["processes"] != world_size():
        raise CheckpointMismatch(
            f"checkpoint {checkpoint.name} is of {run['processes']} processes (format {run['format']}), this run has "
            f"{world_size()} (format {format_}): start it alike, or start afresh with resume=False"
        )
    if differing := _differences(run["identity"], identity):
        raise CheckpointMismatch(
            f"checkpoint {checkpoint.name} was written with other {', '.join(differing)} "
            f"({'; '.join(differing.values())}): give it what it had, or start afresh with resume=False"
        )
    return run


def _differences(had: dict[str, Any], has: dict[str, Any]) -> dict[str, str]:
    """By name, what differs with both values; of a section, what differs in it."""
    found: dict[str, str] = {}
    for name in sorted({*had, *has}):
        one, other = had.get(name), has.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            if inner := _differences(one, other):
                found[name] = "; ".join(f"{name}.{text}" for text in inner.values())
        elif one != other:
            found[name] = f"{name} {_shown(one)}, now {_shown(other)}"
    return found


def _shown(value: Any) -> str:
    """A value in a message: of a hash its beginning, of a path its last part."""
    if isinstance(value, str):
        return value[:12] if _HASH.fullmatch(value) else Path(value).name
    return "nothing" if value is None else json.dumps(value)[:80]


def restore_run(checkpoint: Path, state: Any, run: dict[str, Any]) -> None:
    """Set step, curves, counts of skipped steps and this process's generators as they were."""
    state.optimiser.skipped, state.optimiser.skipped_in_row = run["skipped"], run["skipped_in_row"]
    state.step = run["step"]
    state.rows = pl.read_parquet(checkpoint / "curves.parquet").to_dicts()
    generators = load_file(checkpoint / f"rng-{rank():04d}.safetensors")
    torch.set_rng_state(generators["cpu"])
    if "cuda" in generators and torch.cuda.is_available():
        torch.cuda.set_rng_state(generators["cuda"])
