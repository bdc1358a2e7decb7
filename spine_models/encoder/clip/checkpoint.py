"""Everything that an alignment run needs to go on as if it had never stopped, on disk.

Belongs here: the files of a checkpoint, written whole or not at all. Does not belong here: models for use.

``<folder>/step-00000120/`` holds ``network.safetensors``, ``optimiser.safetensors``, ``rng-<rank>.safetensors``,
``curves.parquet`` and ``run.json``; it is renamed into place when complete. Where a run is in its data follows from
the step. No pickles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spine_models.encoder.backbone.distributed import rank
from spine_models.encoder.backbone.whole import (
    demand_same_run,
    restore_run,
    save_network,
    whole_folder,
    write_run,
)
from spine_models.encoder.clip.optim import ClipOptimiser
from spine_models.encoder.clip.tables import CURVES

FORMAT = 1


@dataclass
class ClipState:
    """What changes while training runs; ``curves`` is the schema of ``rows``."""

    network: nn.Module
    optimiser: ClipOptimiser
    step: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    curves: pl.Schema = field(default_factory=lambda: CURVES)


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


def save(folder: Path, state: ClipState, *, identity: dict[str, Any]) -> None:
    """Write a checkpoint (every rank calls this), then remove the older ones.

    Args:
        folder: of all checkpoints of this run.
        state: network, optimiser and curves are taken from rank 0.
        identity: JSON of what must be the same on resume.
    """
    with whole_folder(folder, state.step) as writing:
        if rank() == 0:
            save_network(state.network, writing / "network.safetensors")
            save_file(_moments(state.optimiser.adamw), writing / "optimiser.safetensors")
            write_run(writing, state, state.curves, format_=FORMAT, identity=identity)


def restore(checkpoint: Path, state: ClipState, *, identity: dict[str, Any]) -> None:
    """Fill ``state`` (freshly built) from a checkpoint, generators of this process included.

    Raises:
        CheckpointMismatch: names what differs.
    """
    run = demand_same_run(checkpoint, format_=FORMAT, identity=identity)
    state.network.load_state_dict(load_file(checkpoint / "network.safetensors"))
    _restore_moments(state.optimiser.adamw, load_file(checkpoint / "optimiser.safetensors"))
    restore_run(checkpoint, state, run)
