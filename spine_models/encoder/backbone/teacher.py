"""The teacher: an exponential moving average of the student that no gradient touches.

Belongs here: making a teacher and moving it. Does not belong here: when a step is skipped.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from spine_models.encoder.backbone.distributed import local
from spine_models.encoder.backbone.network import Network


def make_teacher(student: Network) -> Network:
    """A frozen copy of the student, in eval mode for ever: no drop path, no random RoPE scale, no gradient."""
    teacher = copy.deepcopy(student)
    teacher.requires_grad_(False)
    teacher.backbone.freeze()
    return teacher.eval()


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move every parameter in place: teacher = momentum * teacher + (1 - momentum) * student.

    Where both are dealt over processes alike, each moves the parts that it has.
    """
    targets = [local(p) for p in teacher.parameters()]
    sources = [local(p.detach()) for p in student.parameters()]
    torch._foreach_mul_(targets, momentum)
    torch._foreach_add_(targets, sources, alpha=1.0 - momentum)
