"""Everything that a run needs to go on as if it had never stopped, on disk.

Belongs here: the files of a checkpoint, written whole or not at all. Does not belong here: encoders for use.

``<folder>/step-00000120/`` holds ``student.safetensors``, ``teacher.safetensors``, ``optimiser.safetensors``, in Gram
anchoring ``gram.safetensors`` (the Gram teacher's backbone), ``rng-<rank>.safetensors``, ``rank-<rank>.json`` (data
positions, spoilt shards) and ``run.json``; it is renamed into place when complete (``whole``), so a folder of that name
is a whole checkpoint. No pickles.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from spine_models.encoder.backbone.data import Position, Spoilt
from spine_models.encoder.backbone.distributed import is_dealt, rank
from spine_models.encoder.backbone.gram_teacher import GramTeacher
from spine_models.encoder.backbone.optim import GuardedAdamW
from spine_models.encoder.backbone.sharding import part_for
from spine_models.encoder.backbone.tables import CURVES
from spine_models.encoder.backbone.tensor_files import load_network, write_tensors
from spine_models.encoder.backbone.whole import (
    demand_same_run,
    restore_run,
    save_network,
    whole_folder,
    write_run,
)

FORMAT = 2


@dataclass
class RunState:
    """What changes while training runs."""

    student: nn.Module
    teacher: nn.Module
    optimiser: GuardedAdamW
    step: int
    positions: list[Position]
    spoilt: list[Spoilt]
    rows: list[dict[str, Any]]
    gram: GramTeacher | None = None


def _moments(student: nn.Module, adamw: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}|{key}": value
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
            adamw.state[parameter] = {k: _as_held(parameter, v) for k, v in by_name[name].items()}


def _as_held(parameter: Tensor, value: Tensor) -> Tensor:
    """A moment where its parameter is, and dealt as that is; the count of steps is never dealt."""
    if is_dealt(parameter) and value.shape == parameter.shape:
        return part_for(parameter, value)
    return value.to(parameter.device)


def save(folder: Path, state: RunState, *, identity: dict[str, Any]) -> None:
    """Write a checkpoint (every rank calls this), then remove the older ones.

    Args:
        folder: of all checkpoints of this run.
        state: of this rank; network and optimiser are taken from rank 0, or gathered where they are dealt.
        identity: JSON of what must be the same on resume.
    """
    with whole_folder(folder, state.step) as writing:
        save_network(state.student, writing / "student.safetensors")
        save_network(state.teacher, writing / "teacher.safetensors")
        if state.gram is not None:
            save_network(state.gram.backbone, writing / "gram.safetensors")
        write_tensors(_moments(state.student, state.optimiser.adamw), writing / "optimiser.safetensors")
        if rank() == 0:
            write_run(writing, state, CURVES, format_=FORMAT, identity=identity)
        own = {"positions": [list(position) for position in state.positions], "spoilt": state.spoilt}
        (writing / f"rank-{rank():04d}.json").write_text(json.dumps(own), encoding="utf-8")


def restore(checkpoint: Path, state: RunState, *, identity: dict[str, Any]) -> None:
    """Fill ``state`` (freshly built network and optimiser) from a checkpoint, generators of this process included.

    Raises:
        CheckpointMismatch: names what differs.
    """
    run = demand_same_run(checkpoint, format_=FORMAT, identity=identity)
    load_network(state.student, checkpoint / "student.safetensors")
    load_network(state.teacher, checkpoint / "teacher.safetensors")
    if state.gram is not None:
        load_network(state.gram.backbone, checkpoint / "gram.safetensors")
    _restore_moments(state.student, state.optimiser.adamw, load_file(checkpoint / "optimiser.safetensors"))
    own = json.loads((checkpoint / f"rank-{rank():04d}.json").read_text(encoding="utf-8"))
    state.positions = [Position(*position) for position in own["positions"]]
    state.spoilt = own["spoilt"]
    restore_run(checkpoint, state, run)
