"""Everything that a run needs to go on as if it had never stopped, on disk.

Belongs here: the files of a checkpoint, written whole or not at all. Does not belong here: encoders for use.

``<folder>/step-00000120/`` holds ``student.safetensors``, ``teacher.safetensors``, ``optimiser.safetensors``,
in Gram anchoring ``gram.safetensors`` (the Gram teacher's backbone),
``rng-<rank>.safetensors``, ``rank-<rank>.json`` (data positions) and ``run.json``; it is renamed into place when
complete, so a folder of that name is a whole checkpoint. No pickles.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spine_models.encoder.backbone.data import Position
from spine_models.encoder.backbone.distributed import barrier, rank, world_size
from spine_models.encoder.backbone.gram_teacher import GramTeacher
from spine_models.encoder.backbone.optim import GuardedAdamW
from spine_models.encoder.backbone.tables import CURVES

FORMAT = 1


class CheckpointMismatch(ValueError):
    """A checkpoint of another run: other settings, data, route or number of processes."""


@dataclass
class RunState:
    """What changes while training runs."""

    student: nn.Module
    teacher: nn.Module
    optimiser: GuardedAdamW
    step: int
    positions: list[Position]
    rows: list[dict[str, Any]]
    gram: GramTeacher | None = None


def latest(folder: Path) -> Path | None:
    """The whole checkpoint with the highest step number, or None."""
    found = sorted(folder.glob("step-[0-9]*")) if folder.is_dir() else []
    return found[-1] if found else None


def remove(folder: Path) -> None:
    """Forget all checkpoints of a run."""
    shutil.rmtree(folder, ignore_errors=True)


def _moments(student: nn.Module, adamw: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}|{key}": value.contiguous()
        for name, parameter in student.named_parameters()
        for key, value in adamw.state.get(parameter, {}).items()
    }


def _restore_moments(student: nn.Module, adamw: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    by_name: dict[str, dict[str, Tensor]] = {}
    for full_name, value in tensors.items():
        name, key = full_name.split("|")
        by_name.setdefault(name, {})[key] = value
    for name, parameter in student.named_parameters():
        if name in by_name:
            adamw.state[parameter] = {k: v.to(parameter.device) for k, v in by_name[name].items()}


def save(folder: Path, state: RunState, *, identity: dict[str, Any]) -> Path:
    """Write a checkpoint (every rank calls this), then remove the older ones.

    Args:
        folder: of all checkpoints of this run.
        state: of this rank; network and optimiser are taken from rank 0.
        identity: JSON of what must be the same on resume.
    """
    target = folder / f"step-{state.step:08d}"
    writing = folder / f".writing-{state.step:08d}"
    if rank() == 0:
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir(parents=True)
        save_file(
            {k: v.contiguous() for k, v in state.student.state_dict().items()},
            writing / "student.safetensors",
        )
        save_file(
            {k: v.contiguous() for k, v in state.teacher.state_dict().items()},
            writing / "teacher.safetensors",
        )
        if state.gram is not None:
            save_file(
                {k: v.contiguous() for k, v in state.gram.backbone.state_dict().items()},
                writing / "gram.safetensors",
            )
        save_file(_moments(state.student, state.optimiser.adamw), writing / "optimiser.safetensors")
        pl.DataFrame(state.rows, schema=CURVES).write_parquet(writing / "curves.parquet")
        run = {
            "format": FORMAT,
            "step": state.step,
            "skipped": state.optimiser.skipped,
            "skipped_in_row": state.optimiser.skipped_in_row,
            "processes": world_size(),
            "identity": identity,
        }
        (writing / "run.json").write_text(json.dumps(run, indent=1, sort_keys=True), encoding="utf-8")
    barrier()
    generators = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        generators["cuda"] = torch.cuda.get_rng_state()
    save_file(generators, writing / f"rng-{rank():04d}.safetensors")
    own = {"positions": [list(position) for position in state.positions]}
    (writing / f"rank-{rank():04d}.json").write_text(json.dumps(own), encoding="utf-8")
    barrier()
    if rank() == 0:
        shutil.rmtree(target, ignore_errors=True)
        writing.rename(target)
        for older in folder.glob("step-[0-9]*"):
            if older.name < target.name:
                shutil.rmtree(older)
    barrier()
    return target


def restore(checkpoint: Path, state: RunState, *, identity: dict[str, Any]) -> None:
    """Fill ``state`` (freshly built network and optimiser) from a checkpoint, generators of this process included.

    Raises:
        CheckpointMismatch: names what differs.
    """
    run = json.loads((checkpoint / "run.json").read_text(encoding="utf-8"))
    if run["format"] != FORMAT or run["processes"] != world_size():
        raise CheckpointMismatch(
            f"checkpoint {checkpoint.name} is of {run['processes']} processes (format {run['format']}), this run has "
            f"{world_size()} (format {FORMAT}): start it alike, or start afresh with resume=False"
        )
    differing = sorted(k for k in {*identity, *run["identity"]} if identity.get(k) != run["identity"].get(k))
    if differing:
        raise CheckpointMismatch(
            f"checkpoint {checkpoint.name} was written with other {', '.join(differing)}: "
            "start afresh with resume=False"
        )
    state.student.load_state_dict(load_file(checkpoint / "student.safetensors"))
    state.teacher.load_state_dict(load_file(checkpoint / "teacher.safetensors"))
    if state.gram is not None:
        state.gram.backbone.load_state_dict(load_file(checkpoint / "gram.safetensors"))
    _restore_moments(state.student, state.optimiser.adamw, load_file(checkpoint / "optimiser.safetensors"))
    state.optimiser.skipped, state.optimiser.skipped_in_row = run["skipped"], run["skipped_in_row"]
    state.step = run["step"]
    state.rows = pl.read_parquet(checkpoint / "curves.parquet").to_dicts()
    own = json.loads((checkpoint / f"rank-{rank():04d}.json").read_text(encoding="utf-8"))
    state.positions = [Position(*position) for position in own["positions"]]
    generators = load_file(checkpoint / f"rng-{rank():04d}.safetensors")
    torch.set_rng_state(generators["cpu"])
    if "cuda" in generators and torch.cuda.is_available():
        torch.cuda.set_rng_state(generators["cuda"])
