"""One step of training: what the training loop does between two batches, and the same for whoever wants to time it.

Belongs here: masks, both forwards, losses, guarded update and EMA of one step, in this order. Does not belong here:
the state of a run, its curves and files (run, loop), the data (data).

The published comparison at its smallest, on two threads::

    torch.set_num_threads(2)
    settings = BackboneSettings(
        dim=192, depth=6, heads=3, patch_px=16, image_px=112, local_px=48, global_crops=2, local_crops=4,
        batch_size=16, prototypes=1024, head_hidden=512, head_bottleneck=128, precision="float32",
    )
    step, crops = build_step(settings), random_crops(settings)
    print(step(crops)["loss"])
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone import schedule
from spine_models.encoder.backbone.augment import Crops
from spine_models.encoder.backbone.distributed import rank, summed, world_size
from spine_models.encoder.backbone.gram_teacher import GramTeacher
from spine_models.encoder.backbone.masking import batch_masks
from spine_models.encoder.backbone.network import Network
from spine_models.encoder.backbone.objective import Losses, objective
from spine_models.encoder.backbone.optim import GuardedAdamW
from spine_models.encoder.backbone.teacher import make_teacher, update_teacher


def take_step(
    settings: BackboneSettings,
    crops: Crops,
    *,
    step: int,
    student: nn.Module,
    teacher: nn.Module,
    optimiser: GuardedAdamW,
    gram: GramTeacher | None = None,
) -> dict[str, float]:
    """Masks, teacher, student, losses, clipped AdamW, EMA. A step that is not finite changes nothing but a counter.

    Args:
        settings: of the run; masks are drawn from its seed, ``step`` and this process's rank.
        crops: of B slices, on any device.
        step: number of steps taken before this one, which the schedules go by.
        student: ``Network`` in training mode, or its DDP wrapper; its own place decides where the step is computed.
        teacher: what ``make_teacher`` made of the student.
        optimiser: over the student's parameters.
        gram: teacher of the Gram loss, if there is one.

    Returns:
        ``loss``, ``dino``, ``ibot``, ``koleo`` (and ``gram``), means over ranks before the update; ``lr``,
        ``teacher_temperature``, ``ema_momentum`` of this step; ``grad_norm`` before clipping, NaN where the step was
        skipped.

    Raises:
        TrainingDiverged: too many steps in a row that are not finite.
    """
    network = student.module if isinstance(student, nn.parallel.DistributedDataParallel) else student
    device = next(network.parameters()).device
    crops = Crops(*(None if part is None else part.to(device, non_blocking=True) for part in crops))
    masks = batch_masks(
        crops.global_crops.shape[0] * crops.global_crops.shape[1],
        network.backbone.grid(*crops.global_crops.shape[-2:]),
        probability=settings.mask_probability,
        ratio=settings.mask_ratio,
        generator=np.random.default_rng([settings.seed, step, rank()]),
    ).to(device)
    lr = schedule.learning_rate(settings, step)
    temperature = schedule.teacher_temperature(settings, step)
    momentum = schedule.ema_momentum(settings, step)
    losses = objective(student, teacher, crops, masks, settings, temperature=temperature, gram=gram)
    last_layer_lr = schedule.last_layer_learning_rate(settings, step)
    norm = optimiser.step(losses.total, lr, last_layer_lr=last_layer_lr)
    if norm is not None:
        update_teacher(teacher, network, momentum)
    scheduled = {"lr": lr, "teacher_temperature": temperature, "ema_momentum": momentum}
    return _mean_over_ranks(losses) | scheduled | {"grad_norm": math.nan if norm is None else norm}


def _mean_over_ranks(losses: Losses) -> dict[str, float]:
    own = {name: value.detach() for name, value in losses._asdict().items() if value is not None}
    means = (summed(torch.stack(list(own.values()))) / world_size()).tolist()
    return dict(zip(["loss" if name == "total" else name for name in own], means, strict=True))


class Step:
    """Student, teacher and optimiser; every call is one optimisation step.

    Attributes:
        student: in training mode; ``parameters()`` are what a call moves.
        teacher: its moving average.
        optimiser: guarded AdamW.
        taken: calls so far, which the schedules go by.
    """

    def __init__(self, settings: BackboneSettings, student: Network) -> None:
        self.settings, self.student = settings, student
        self.teacher = make_teacher(student)
        self.optimiser = GuardedAdamW(student, settings)
        self.taken = 0

    def __call__(self, crops: Crops) -> dict[str, float]:
        """Take a step on a batch; arguments, numbers and errors are those of ``take_step``."""
        numbers = take_step(
            self.settings,
            crops,
            step=self.taken,
            student=self.student,
            teacher=self.teacher,
            optimiser=self.optimiser,
        )
        self.taken += 1
        return numbers


def build_step(
    settings: BackboneSettings, *, seed: int = 0, device: torch.device | str | None = None
) -> Step:
    """A fresh model, and a callable that takes one step of pretraining on the crops it is given.

    Args:
        settings: sizes, recipe and precision; data, probe and checkpoint settings are not looked at.
        seed: of the weights, the masks, and the draws of drop path and RoPE, which come from torch's own generator: it
            is seeded here.
        device: of the model; None is the CPU.
    """
    torch.manual_seed(seed)
    student = Network(settings).to(device or "cpu").train()
    return Step(settings.model_copy(update={"seed": seed}), student)


def random_crops(settings: BackboneSettings, *, seed: int = 0) -> Crops:
    """Uniform noise in place of a batch: [G, B, 1, image_px, image_px] and [L, B, 1, local_px, local_px] float32."""
    generator = torch.Generator().manual_seed(seed)

    def noise(crops: int, size_px: int) -> Tensor:
        return torch.rand(crops, settings.batch_size, 1, size_px, size_px, generator=generator)

    global_crops = noise(settings.global_crops, settings.image_px)
    return Crops(
        global_crops, noise(settings.local_crops, settings.local_px) if settings.local_crops else None
    )
