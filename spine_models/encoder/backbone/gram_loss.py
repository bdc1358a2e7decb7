"""Gram anchoring: patches keep the similarities to each other that they have in an earlier encoder.

Belongs here: the loss and its variants. Does not belong here: where the teacher's tokens come from (gram_teacher).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-8


def gram_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    image_level: bool = True,
    normalised: bool = True,
    remove_negative: bool = False,
    remove_only_teacher_negative: bool = False,
    chosen: Tensor | None = None,
) -> Tensor:
    """Mean squared difference of the entries of two Gram matrices, in float32 (DINOv3, arXiv 2508.10104, section 4).

    The paper writes the squared Frobenius norm of X_S X_S^T - X_G X_G^T. Here that sum is divided by the number of
    entries (diagonal included), so neither the number of patches nor that of images changes the loss's weight: with
    ``image_level`` the mean is over the N * P * P entries of N matrices, without it over the (N P) * (N P) entries of
    the one matrix of all patches of this rank's batch.

    Args:
        student: [N, P, D] patch tokens, any float dtype; gradient flows into these alone.
        teacher: [N, P, D] patch tokens of the same images on the same grid; taken as constants.
        image_level: compare the patches of one image with each other only.
        normalised: tokens are made unit length first, so that entries are cosine similarities.
        remove_negative: negative entries count as 0, in both matrices: there is no loss where both are negative, and
            no gradient where the student's is.
        remove_only_teacher_negative: where the teacher's entry is negative its target is 0 and a negative entry of
            the student counts as 0 too; where the teacher's is not negative, the student's negative entries count.
        chosen: [N, P] bool, the patches that are compared; the mean is over the entries whose two patches are both
            chosen, and 0 with a gradient of 0 where there is none. None compares all.

    Returns:
        A scalar, float32: the mean over this rank's images, dimensionless with ``normalised``.

    Raises:
        ValueError: shapes that are not the same [N, P, D], a choice that is not [N, P], or both removals at once.
    """
    if student.ndim != 3 or student.shape != teacher.shape:
        raise ValueError(
            f"patch tokens of student and Gram teacher are both [N, P, D], not {list(student.shape)} and "
            f"{list(teacher.shape)}"
        )
    if remove_negative and remove_only_teacher_negative:
        raise ValueError("remove_negative and remove_only_teacher_negative exclude each other")
    if chosen is not None and chosen.shape != student.shape[:2]:
        raise ValueError(
            f"chosen patches are [N, P], here {list(student.shape[:2])}, not {list(chosen.shape)}"
        )
    with torch.autocast(student.device.type, enabled=False):
        own = _similarities(student.float(), image_level=image_level, normalised=normalised)
        target = _similarities(teacher.detach().float(), image_level=image_level, normalised=normalised)
        if remove_negative:
            own, target = own.clamp(min=0), target.clamp(min=0)
        elif remove_only_teacher_negative:
            # Asked before the target changes: afterwards no entry of it is negative any more.
            both_negative = (target < 0) & (own < 0)
            own, target = own.masked_fill(both_negative, 0.0), target.clamp(min=0)
        if chosen is None:
            return functional.mse_loss(own, target)
        rows = chosen if image_level else chosen.reshape(1, -1)
        pairs = rows[:, :, None] & rows[:, None, :]
        return ((own - target).square() * pairs).sum() / pairs.sum().clamp(min=1)


def _similarities(tokens: Tensor, *, image_level: bool, normalised: bool) -> Tensor:
    """Gram matrices [N, P, P] or, not at image level, [1, N * P, N * P]."""
    if normalised:
        tokens = functional.normalize(tokens, dim=-1, eps=EPSILON)
    if not image_level:
        tokens = tokens.flatten(0, 1).unsqueeze(0)
    return tokens @ tokens.transpose(1, 2)
