"""The patch-level loss: the student names masked patches as the teacher, who saw them, assigns them.

Belongs here: the weighted cross-entropy. Does not belong here: which patches are masked.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def patch_weights(masks: Tensor) -> Tensor:
    """Weight 1 / (masked patches of its image) of every masked patch.

    Args:
        masks: [N, P] bool.

    Returns:
        [M] float32 in the order of ``tokens[masks]``; the weights of one image sum to 1.
    """
    per_image = masks.sum(dim=1, keepdim=True).clamp(min=1).float()
    return per_image.reciprocal().expand(masks.shape)[masks]


def ibot_loss(student: Tensor, teacher: Tensor, masks: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Cross-entropy over masked patches, mean within an image, then mean over all images given to the student.

    Zhou 2022 (iBOT), as in DINOv2 and DINOv3: images without a mask add nothing and are counted in the mean.

    Args:
        student: [M, K] logits of the masked patches, in the order of ``tokens[masks]``.
        teacher: [M, K] assignments of the same patches.
        masks: [N, P] bool with M true entries; N is all global crops of the batch.
        temperature: the student's.

    Returns:
        A scalar, float32; 0 where nothing is masked.
    """
    log_probability = functional.log_softmax(student.float() / temperature, dim=-1)
    per_patch = -(teacher.float() * log_probability).sum(dim=-1)
    return (per_patch * patch_weights(masks)).sum() / masks.shape[0]
