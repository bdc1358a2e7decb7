"""One batch through student and teacher, and the losses of it.

Belongs here: what is compared with what, and the weights. Does not belong here: updating anything.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.augment import Crops
from spine_models.encoder.backbone.dino_loss import dino_loss
from spine_models.encoder.backbone.gram_loss import gram_loss
from spine_models.encoder.backbone.gram_teacher import GramTeacher
from spine_models.encoder.backbone.ibot_loss import ibot_loss
from spine_models.encoder.backbone.koleo_loss import koleo_loss
from spine_models.encoder.backbone.network import NetworkOutput
from spine_models.encoder.backbone.sinkhorn import sinkhorn_knopp


class Losses(NamedTuple):
    """Scalars of this rank's batch before weighing, float32; only ``total`` is meant for backward."""

    total: Tensor
    dino: Tensor
    ibot: Tensor
    koleo: Tensor  # mean over global crops
    gram: Tensor | None = None  # None without a Gram teacher


def objective(
    student: nn.Module,
    teacher: nn.Module,
    crops: Crops,
    masks: Tensor,
    settings: BackboneSettings,
    *,
    temperature: float,
    gram: GramTeacher | None = None,
) -> Losses:
    """dino_weight * DINO + ibot_weight * iBOT + koleo_weight * (sum of KoLeo over global crops), as in DINOv2 and v3.

    With a Gram teacher, ``gram.weight`` * Gram more (DINOv3, section 4): of all patch tokens of the student's global
    crops, masked ones included (or of one kind alone, ``gram.tokens``), against those of the crops' high-resolution
    twins.

    Args:
        student: a ``Network`` in training mode, or its DDP wrapper.
        teacher: a frozen ``Network``; sees the global crops without masks.
        crops: of B slices.
        masks: [G * B, P] bool.
        settings: weights, student temperature, precision.
        temperature: the teacher's at this step.
        gram: teacher of the Gram loss; None in pretraining.

    Raises:
        ValueError: a Gram teacher, and crops without twins.
    """
    kind = crops.global_crops.device.type
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=settings.precision == "bfloat16"):
        with torch.no_grad():
            seen: NetworkOutput = teacher(crops.global_crops, masks, hide_masked=False)
        out: NetworkOutput = student(
            crops.global_crops, masks, crops.local_crops, all_patches=gram is not None
        )
    n_crops, batch = seen.global_logits.shape[:2]
    assigned = sinkhorn_knopp(seen.global_logits.flatten(0, 1), temperature).unflatten(0, (n_crops, batch))
    dino = dino_loss(out.global_logits, out.local_logits, assigned, temperature=settings.student_temperature)
    ibot = ibot_loss(
        out.patch_logits,
        sinkhorn_knopp(seen.patch_logits, temperature),
        masks,
        temperature=settings.student_temperature,
    )
    koleo = torch.stack([koleo_loss(cls) for cls in out.cls]).mean()
    total = (
        settings.dino_weight * dino + settings.ibot_weight * ibot + settings.koleo_weight * n_crops * koleo
    )
    if gram is None:
        return Losses(total, dino, ibot, koleo)
    anchored = _gram(out.patches, masks, crops, gram, settings)
    return Losses(total + gram.settings.weight * anchored, dino, ibot, koleo, anchored)


def _gram(
    patches: Tensor, masks: Tensor, crops: Crops, gram: GramTeacher, settings: BackboneSettings
) -> Tensor:
    """Gram loss of the student's patch tokens [G * B, P, D], all or those that the student's masks choose."""
    if crops.gram_crops is None:
        raise ValueError("a Gram teacher needs the high-resolution twins of the global crops")
    kind = patches.device.type
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=settings.precision == "bfloat16"):
        grid = gram.backbone.grid(*crops.global_crops.shape[-2:])
        target = gram.tokens(crops.gram_crops.flatten(0, 1), grid)
    variant = gram.settings
    chosen = {"all": None, "masked": masks, "unmasked": ~masks}[variant.tokens]
    return gram_loss(
        patches,
        target,
        image_level=variant.image_level,
        normalised=variant.normalised,
        remove_negative=variant.remove_negative,
        remove_only_teacher_negative=variant.remove_only_teacher_negative,
        chosen=chosen,
    )
