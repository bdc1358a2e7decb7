"""The image-level loss: a student's view predicts the teacher's assignment of another view.

Belongs here: the cross-entropy over pairs of crops. Does not belong here: assignments, heads, schedules.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def dino_loss(
    student_global: Tensor,
    student_local: Tensor | None,
    teacher_global: Tensor,
    *,
    temperature: float = 0.1,
) -> Tensor:
    """Mean cross-entropy of teacher assignments and student log-softmax over all pairs of different crops.

    Caron 2021 (DINO), with Sinkhorn-Knopp assignments as in DINOv2 and DINOv3. Pairs are teacher global with student
    global of another index, G (G - 1), and teacher global with student local, G L; every pair weighs the same. For
    assignments that say nothing the loss is ln K.

    Args:
        student_global: [G, B, K] logits.
        student_local: [L, B, K] logits, or None without local crops.
        teacher_global: [G, B, K] assignments, rows sum to 1.
        temperature: the student's.

    Returns:
        A scalar, float32.

    Raises:
        ValueError: one global crop and no local crop leave no pair.
    """
    crops, batch, _ = student_global.shape
    pairs = crops * (crops - 1)
    global_log = functional.log_softmax(student_global.float() / temperature, dim=-1)
    per_pair = -torch.einsum("sbk,tbk->st", global_log, teacher_global.float())
    total = per_pair.sum() - per_pair.diagonal().sum()
    if student_local is not None and student_local.shape[0]:
        local_log = functional.log_softmax(student_local.float() / temperature, dim=-1)
        total = total - torch.einsum("sbk,tbk->", local_log, teacher_global.float())
        pairs += crops * student_local.shape[0]
    if pairs == 0:
        raise ValueError("no pair of crops to compare: set global_crops to 2 or local_crops above 0")
    return total / (pairs * batch)
