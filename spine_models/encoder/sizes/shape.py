"""The shape of a ViT and of its heads as numbers, read off a network that was built without memory.

Belongs here: building on torch's ``meta`` device, counting, what formulas need of a network. Does not belong here: the
formulas (``flops``, ``memory``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.network import Network


@dataclass(frozen=True)
class Shape:
    """Of a backbone and its heads; widths in numbers, edges in pixels.

    Attributes:
        dim: width of a token.
        hidden: width inside the feed-forward layer.
        gated: two layers lead into it (SwiGLU), not one.
        depth: blocks.
        heads: of attention.
        patch_px: edge of a patch.
        prefix: CLS and registers.
        head_hidden: width inside a projection head.
        head_layers: linear layers of a head before the prototypes.
        bottleneck: what the prototypes read.
        prototypes: of a head.
    """

    dim: int
    hidden: int
    gated: bool
    depth: int
    heads: int
    patch_px: int
    prefix: int
    head_hidden: int
    head_layers: int
    bottleneck: int
    prototypes: int

    def patches(self, image_px: int) -> int:
        """Patches of a square image."""
        return (image_px // self.patch_px) ** 2

    def tokens(self, image_px: int) -> int:
        """Patches, CLS and registers of a square image."""
        return self.patches(image_px) + self.prefix


def built(settings: BackboneSettings) -> Network:
    """Backbone and heads with every shape and no values: parameters live on the ``meta`` device."""
    with torch.device("meta"):
        return Network(settings)


def shape_of(network: Network, settings: BackboneSettings) -> Shape:
    """The numbers of a network."""
    block = network.backbone.vit.blocks[0]
    return Shape(
        dim=settings.dim,
        hidden=block.mlp.fc2.in_features,
        gated=hasattr(block.mlp, "fc1_g"),
        depth=len(network.backbone.vit.blocks),
        heads=settings.heads,
        patch_px=settings.patch_px,
        prefix=network.backbone.vit.num_prefix_tokens,
        head_hidden=settings.head_hidden,
        head_layers=settings.head_layers,
        bottleneck=settings.head_bottleneck,
        prototypes=settings.prototypes,
    )


def parameters(module: nn.Module, *, trainable: bool = False) -> int:
    """Number of parameters, each once; with ``trainable`` those that a gradient reaches."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)
