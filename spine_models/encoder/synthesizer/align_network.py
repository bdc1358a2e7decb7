"""What the training with reports trains: the gates, and a pooler and a projection above the fused encoder.

Belongs here: from images of studies to their vectors in the space of the reports. Does not belong here: the fused
encoder itself (``fused``), reading images, the loss.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from spine_models.config import AlignSettings
from spine_models.encoder.clip.data import KINDS
from spine_models.encoder.clip.pooler import GatedAttentionPooler
from spine_models.encoder.clip.projection import Projection
from spine_models.encoder.synthesizer.align_data import ImageBag
from spine_models.encoder.synthesizer.encode import slice_vector
from spine_models.encoder.synthesizer.fused import FusedEncoder


class StudyHead(nn.Module):
    """Slice vectors of a fused encoder to one unit vector a study."""

    def __init__(self, in_dim: int, dim: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.pooler = GatedAttentionPooler(in_dim, hidden=hidden, dropout=dropout, kinds=len(KINDS))
        self.projection = Projection(in_dim, dim)

    def forward(self, vectors: Tensor, mask: Tensor, series: Tensor, kind: Tensor) -> Tensor:
        """[B, dim] unit rows of a padded bag, as ``GatedAttentionPooler.forward`` takes it."""
        return self.projection(self.pooler(vectors, mask, series, kind).vectors)


class AlignNetwork(nn.Module):
    """A fused encoder whose gates learn, and the head above it.

    Nothing is masked here, so the mask tokens stay as they are. With a fixed variant, or where ``train_gates`` is off,
    only the head learns.
    """

    def __init__(
        self,
        fused: FusedEncoder,
        settings: AlignSettings,
        dim: int,
        *,
        precision: Literal["float32", "bfloat16"],
    ) -> None:
        super().__init__()
        self.fused = fused
        for token in (fused.t1_mask_token, fused.t2_mask_token):
            if token is not None:
                token.requires_grad_(False)
        fused.gates.requires_grad_(settings.train_gates)
        self.head = StudyHead(
            3 * fused.encoders[0].mask_token.numel(),
            dim,
            hidden=settings.pool_hidden,
            dropout=settings.pool_dropout,
        )
        self._low = precision == "bfloat16"

    def forward(self, bag: ImageBag) -> Tensor:
        """Unit vectors [B, dim] of studies; a study's depends on its own slices alone, up to rounding."""
        device = self.head.projection.linear.weight.device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._low):
            flat = slice_vector(self.fused(self.fused.images_of(bag.images).to(device)))
        owner, slot, mask, series, kind = (part.to(device) for part in bag[1:])
        vectors = flat.new_zeros(*mask.shape, flat.shape[1]).index_put((owner, slot), flat)
        return self.head(vectors, mask, series, kind)
