"""Backbone and both heads as one module, so that student and teacher are the same thing twice.

Belongs here: which tokens reach which head. Does not belong here: losses, augmentation.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.head import ProjectionHead
from spine_models.encoder.backbone.vit import Backbone, Watched


class NetworkOutput(NamedTuple):
    """Outputs of one batch; G global and L local crops of B images, M masked patches."""

    cls: Tensor  # [G, B, D] CLS tokens of the global crops, before the head
    global_logits: Tensor  # [G, B, K]
    local_logits: Tensor | None  # [L, B, K]
    patch_logits: Tensor  # [M, K] masked patches in the order of patches[masks]
    patches: Tensor | None  # [G * B, P, D] patch tokens of the global crops, before the head; where asked for


class Network(nn.Module):
    """Student or teacher. The two heads share no weights."""

    def __init__(self, settings: BackboneSettings, backbone: nn.Module | None = None) -> None:
        """``backbone`` replaces the ViT of the settings; it takes images and masks and gives tokens as that does."""
        super().__init__()
        self.backbone = Backbone(settings) if backbone is None else backbone
        self.dino_head = ProjectionHead(settings)
        self.ibot_head = ProjectionHead(settings)

    def forward(
        self,
        global_crops: Tensor,
        masks: Tensor,
        local_crops: Tensor | None = None,
        *,
        hide_masked: bool = True,
        all_patches: bool = False,
    ) -> NetworkOutput:
        """Run all crops.

        Args:
            global_crops: [G, B, 1, H, W].
            masks: [G * B, P] bool, crop after crop.
            local_crops: [L, B, 1, h, w] or None.
            hide_masked: the student does not see the masked patches; the teacher (False) does.
            all_patches: give ``patches``, those that are not masked too; they take longer.
        """
        crops, batch = global_crops.shape[:2]
        images, hidden = global_crops.flatten(0, 1), masks if hide_masked else None
        local_images = local_crops.flatten(0, 1) if local_crops is not None and local_crops.shape[0] else None
        patches = None
        if isinstance(self.backbone, Backbone) and not all_patches:
            seen = self.backbone.watched(images, masks, hidden, local_images)
        else:
            tokens = self.backbone(images, hidden)
            local_cls = None if local_images is None else self.backbone(local_images, local=True).cls
            seen, patches = Watched(tokens.cls, tokens.patches[masks], local_cls), tokens.patches
        global_logits, local_logits = self._logits(seen.cls, seen.local_cls)
        return NetworkOutput(
            cls=seen.cls.unflatten(0, (crops, batch)),
            global_logits=global_logits.unflatten(0, (crops, batch)),
            local_logits=None if local_logits is None else local_logits.unflatten(0, (-1, batch)),
            patch_logits=self.ibot_head(seen.patches),
            patches=patches,
        )

    def _logits(self, cls: Tensor, local_cls: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Of global and local CLS tokens; in one pass unless the head looks at what stands beside a row."""
        if local_cls is None:
            return self.dino_head(cls), None
        if self.dino_head.standardise:
            return self.dino_head(cls), self.dino_head(local_cls)
        logits = self.dino_head(torch.cat([cls, local_cls]))
        return logits[: len(cls)], logits[len(cls) :]
