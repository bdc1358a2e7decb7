"""The teacher: an exponential moving average of the student that no gradient touches.

Belongs here: making a teacher and moving it. Does not belong here: when a step is skipped.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from spine_models.encoder.backbone.network import Network


def make_teacher(student: Network) -> Network:
    """A frozen copy of the student, in eval mode for ever: no drop path, no random RoPE scale, no gradient."""
    teacher = copy.deepcopy(student)
    teacher.requires_grad_(False)
    teacher.backbone.freeze()
    return teacher.eval()


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move every parameter in place: teacher = momentum * teacher + (1 - momentum) * student."""
    targets, sources = list(teacher.parameters()), [p.detach() for p in student.parameters()]
    torch._foreach_lerp_(targets, sources, 1.0 - momentum)
