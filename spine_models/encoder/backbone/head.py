"""The projection head: features to prototype logits.

Belongs here: the head of DINO and of iBOT, which are two instances. Does not belong here: temperatures, assignments.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.distributed import summed, summed_with_gradient


def batch_standardise(features: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Zero mean and unit variance of every dimension over the rows of all ranks; [N, D] float32.

    Has no parameters and no memory. Fewer than two rows in all have no variance and come back unchanged.
    """
    rows = features.float()
    count = int(summed(torch.tensor(rows.shape[0], device=rows.device)))
    if count < 2:
        return rows
    mean = summed_with_gradient(rows.sum(dim=0)) / count
    centred = rows - mean
    variance = summed_with_gradient(centred.square().sum(dim=0)) / count
    return centred * (variance + epsilon).rsqrt()


class ProjectionHead(nn.Module):
    """MLP with GELU, bottleneck, L2 norm, then prototypes without bias and without weight normalisation (DINOv3)."""

    def __init__(self, settings: BackboneSettings) -> None:
        super().__init__()
        self.standardise = settings.head_batch_standardise
        widths = [
            settings.dim,
            *[settings.head_hidden] * (settings.head_layers - 1),
            settings.head_bottleneck,
        ]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.GELU()]
        self.mlp = nn.Sequential(*layers[:-1])
        self.prototypes = nn.Linear(settings.head_bottleneck, settings.prototypes, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.prototypes.weight, std=settings.prototype_std)

    def forward(self, features: Tensor) -> Tensor:
        """[N, dim] features to [N, prototypes] logits; N may be 0."""
        if self.standardise:
            features = batch_standardise(features)
        bottleneck = functional.normalize(self.mlp(features), dim=-1, eps=1e-6)
        return self.prototypes(bottleneck)
