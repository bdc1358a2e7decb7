"""How the blocks of a student are run in training: recomputed instead of kept, compiled instead of interpreted.

Belongs here: both, put around blocks from outside, so that names of weights and what a block computes stay. Does not
belong here: the blocks (vit), dealing their weights over processes (sharding).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from spine_models.config import BackboneSettings


def blocks_of(backbone: nn.Module) -> list[nn.Module]:
    """The blocks of a ViT backbone; none of a backbone that is built otherwise."""
    return list(getattr(getattr(backbone, "vit", None), "blocks", []))


def prepare_blocks(backbone: nn.Module, settings: BackboneSettings) -> None:
    """Compile and recompute blocks as the settings say, in place; ``state_dict`` is what it was.

    Compiled is each block alone: all run the same code, so it is compiled once for each size of crops. What a block
    draws (drop path) is drawn again by a recomputation from the same state of the generators.
    """
    for block in blocks_of(backbone):
        if settings.compile:
            # Two sizes of crops and no more: no need for code that takes any.
            block.forward = torch.compile(block.forward, backend=settings.compile_backend, dynamic=False)
        if settings.activation_checkpointing:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=True)
