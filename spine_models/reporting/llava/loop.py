"""The steps of a training of this stage: rate, checkpoints, what is measured on the way.

Belongs here: what training the tiny decoder, warming up and tuning have in common. Does not belong here: what a step
computes (``tiny``, ``train``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from spine_models.config import LlavaStageSettings, TinyDecoderSettings
from spine_models.encoder.backbone.distributed import barrier, rank
from spine_models.encoder.backbone.whole import latest, remove
from spine_models.encoder.clip import checkpoint
from spine_models.encoder.clip.checkpoint import ClipState
from spine_models.encoder.clip.optim import ClipOptimiser
from spine_models.reporting.llava.tables import CURVES

Report = Callable[[dict[str, float]], None]
CHECKPOINTS: Final = "checkpoints"


@dataclass(frozen=True)
class Pace:
    """How long a training is and how fast; what an optimiser of the encoder layer reads of its settings, too."""

    steps: int
    steps_per_epoch: int
    lr: float
    warmup_steps: int
    weight_decay: float
    clip_grad: float
    max_skipped_steps: int
    checkpoint_every: int
    evaluate_every: int


def pace_of(settings: LlavaStageSettings | TinyDecoderSettings, steps_per_epoch: int) -> Pace:
    """The pace that a section of the profile asks for, on so many steps an epoch."""
    steps = settings.steps if isinstance(settings, TinyDecoderSettings) else settings.epochs * steps_per_epoch
    tiny = isinstance(settings, TinyDecoderSettings)
    return Pace(
        steps,
        steps_per_epoch,
        settings.lr,
        settings.warmup_steps if tiny else math.ceil(settings.warmup_share * steps),
        settings.weight_decay,
        settings.clip_grad,
        settings.max_skipped_steps,
        settings.checkpoint_every,
        steps if tiny else settings.evaluate_every,
    )


def learning_rate(pace: Pace, step: int) -> float:
    """Linear to ``lr`` over the warm-up, the first step's being above 0, then a cosine that would reach 0 after the
    last step."""
    if step < pace.warmup_steps:
        return pace.lr * (step + 1) / pace.warmup_steps
    share = (step - pace.warmup_steps) / max(1, pace.steps - pace.warmup_steps)
    return pace.lr * 0.5 * (1.0 + math.cos(math.pi * share))


class Learning(nn.Module):
    """The parameters that a training changes, under their names in the model; a checkpoint holds these alone."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]]) -> None:
        super().__init__()
        for name, parameter in named:
            if parameter.requires_grad:
                self.register_parameter(name.replace(".", "|"), parameter)


def new_state(model: nn.Module, pace: Pace, *, section: str) -> ClipState:
    """A run at its beginning; the model says which of its parameters learn. ``section`` names the settings."""
    learning = Learning(model.named_parameters())
    return ClipState(learning, ClipOptimiser(learning, pace, section=section), curves=CURVES)


def begin(folder: Path, state: ClipState, identity: dict[str, Any], *, resume: bool) -> None:
    """Go on from the newest whole checkpoint of a run, or forget all of them.

    Raises:
        CheckpointMismatch: the checkpoint is of another run.
    """
    last = latest(folder)
    if last is not None and resume:
        checkpoint.restore(last, state, identity=identity)
    elif rank() == 0:
        remove(folder)
    barrier()


def follow(
    pace: Pace,
    state: ClipState,
    folder: Path,
    identity: dict[str, Any],
    *,
    gradients: Callable[[int], tuple[Tensor, int]],
    measure: Callable[[], float | None],
    report: Report | None,
    stop_after: int | None,
) -> None:
    """Steps until the end or ``stop_after``, with checkpoints. A step that is not finite changes no weight.

    Args:
        pace: of the run.
        state: changed in place.
        folder: of the checkpoints.
        identity: JSON of what must be the same on resume.
        gradients: leaves the gradients of a step in the parameters; returns the mean loss of all ranks, detached, and
            the number of tokens behind it.
        measure: loss on held-out studies, or None.
        report: called on rank 0 with every step's numbers.
        stop_after: stop at this step with a checkpoint.

    Raises:
        TrainingDiverged: too many bad steps in a row.
    """
    end = pace.steps if stop_after is None else min(stop_after, pace.steps)
    while state.step < end:
        state.optimiser.zero_grad()
        loss, tokens = gradients(state.step)
        lr = learning_rate(pace, state.step)
        norm = state.optimiser.step(loss, lr)
        row: dict[str, Any] = dict.fromkeys(CURVES) | {"epoch": state.step // pace.steps_per_epoch}
        state.step += 1
        row |= {"step": state.step, "loss": float(loss), "tokens": tokens, "lr": lr}
        row["grad_norm"] = float("nan") if norm is None else norm
        if state.step % pace.evaluate_every == 0 or state.step in (1, pace.steps):
            row["val_loss"] = measure()
        state.rows.append(row)
        if report is not None and rank() == 0:
            numbers = {name: float(value) for name, value in row.items() if value is not None}
            report(numbers | {"steps": float(pace.steps)})
        if state.step % pace.checkpoint_every == 0 or state.step == end:
            checkpoint.save(folder, state, identity=identity)
