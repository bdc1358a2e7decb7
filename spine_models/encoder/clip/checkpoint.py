"""Everything that an alignment run needs to go on as if it had never stopped, on disk.

Belongs here: the files of a checkpoint, written whole or not at all. Does not belong here: models for use.

``<folder>/step-00000120/`` holds ``network.safetensors``, ``optimiser.safetensors``, ``rng-<rank>.safetensors``,
``curves.parquet`` and ``run.json``; it is renamed into place when complete. Where a run is in its data follows from
the step. No pickles.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spine_models.encoder.backbone.checkpoint import CheckpointMismatch
from spine_models.encoder.backbone.distributed import barrier, rank, world_size
from spine_models.encoder.clip.optim import ClipOptimiser
from spine_models.encoder.clip.tables import CURVES

FORMAT = 1


@dataclass
class ClipState:
    """What changes while training runs."""

    network: nn.Module
    optimiser: ClipOptimiser
    step: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)


def _moments(adamw: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = adamw.state_dict()["state"]
    return {
        f"{index}|{key}": value.contiguous() for index, own in state.items() for key, value in own.items()
    }


def _restore_moments(adamw: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split("|")
        state.setdefault(int(index), {})[key] = value
    adamw.load_state_dict({"state": state, "param_groups": adamw.state_dict()["param_groups"]})


def save(folder: Path, state: ClipState, *, identity: dict[str, Any]) -> Path:
    """Write a checkpoint (every rank calls this), then remove the older ones.

    Args:
        folder: of all checkpoints of this run.
        state: network, optimiser and curves are taken from rank 0.
        identity: JSON of what must be the same on resume.
    """
    target = folder / f"step-{state.step:08d}"
    writing = folder / f".writing-{state.step:08d}"
    if rank() == 0:
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir(parents=True)
        weights = {name: tensor.contiguous() for name, tensor in state.network.state_dict().items()}
        save_file(weights, writing / "network.safetensors")
        save_file(_moments(state.optimiser.adamw), writing / "optimiser.safetensors")
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
    barrier()
    if rank() == 0:
        shutil.rmtree(target, ignore_errors=True)
        writing.rename(target)
        for older in folder.glob("step-[0-9]*"):
            if older.name < target.name:
                shutil.rmtree(older)
    barrier()
    return target


def restore(checkpoint: Path, state: ClipState, *, identity: dict[str, Any]) -> None:
    """Fill ``state`` (freshly built) from a checkpoint, generators of this process included.

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
    state.network.load_state_dict(load_file(checkpoint / "network.safetensors"))
    _restore_moments(state.optimiser.adamw, load_file(checkpoint / "optimiser.safetensors"))
    state.optimiser.skipped, state.optimiser.skipped_in_row = run["skipped"], run["skipped_in_row"]
    state.step = run["step"]
    state.rows = pl.read_parquet(checkpoint / "curves.parquet").to_dicts()
    generators = load_file(checkpoint / f"rng-{rank():04d}.safetensors")
    torch.set_rng_state(generators["cpu"])
    if "cuda" in generators and torch.cuda.is_available():
        torch.cuda.set_rng_state(generators["cuda"])
