"""Two frozen encoders as one: at each layer both see the same tokens and their outputs are mixed.

Belongs here: the layer-by-layer forward, its own mask tokens, the frozen encoders that several copies share.
Does not belong here: how weights are computed (gates), training, files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from spine_models.encoder.backbone.augment import reduced, to_unit
from spine_models.encoder.backbone.vit import Backbone, Tokens
from spine_models.encoder.synthesizer.gates import FIXED, Variant, make_gates


class _Shared:
    """The frozen encoders. Copies of a fused encoder (student, EMA teacher) hold the same two, not copies of them."""

    def __init__(self, t1: Backbone, t2: Backbone) -> None:
        self.pair = (t1.freeze(), t2.freeze())

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def shape_of(backbone: Backbone) -> dict[str, int]:
    """What two encoders must share for their tokens to be mixed."""
    return {
        "dim": backbone.mask_token.numel(),
        "depth": len(backbone.vit.blocks),
        "patch_px": backbone.patch_px,
        "registers": backbone.vit.num_prefix_tokens - 1,
    }


def _mixed(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    """w1 * first + w2 * second of [N, T, D] tokens and [N, 2] weights with sum 1.

    Written as an interpolation, so equal streams come out as they are, bit for bit, whatever the weights.
    """
    return torch.lerp(second, first, weights[:, :1, None].to(first.dtype))


class FusedEncoder(nn.Module):
    """Input x of a layer goes into that layer of both encoders; w1 * T1(x) + w2 * T2(x) is the next layer's x.

    The weights w [N, 2] come from the layer's gate. The embedding of patches, CLS and registers is each encoder's own
    and enters the first layers unmixed. The output is the mixture of both encoders' final norms of the last x, with
    the last layer's weights. Local crops get no norm of their own, as the encoders are frozen and in eval mode.

    The mask tokens are this module's own, one a stream (the streams' patch embeddings are different spaces); they start
    as the encoders' and are trained with the gates. Frozen encoders are not part of ``parameters``, ``state_dict`` or
    ``train``: no gradient, EMA, optimiser or checkpoint sees them, and a deep copy shares them. ``to`` moves them, for
    all copies. The fixed variants run one encoder only and give exactly its output.

    Attributes:
        variant: name of the gates.
        depth: number of layers.
        patch_px: side of a patch.
        image_px: edge that larger slices are brought down to (``images_of``); None takes slices as they are.
    """

    def __init__(
        self, t1: Backbone, t2: Backbone, variant: Variant, *, hidden: int = 256, image_px: int | None = None
    ) -> None:
        """``hidden`` is the width of a conditional gate, ``image_px`` the edge that larger slices are brought down to.

        Raises:
            ValueError: encoders of different shapes (names both), or no such variant.
        """
        super().__init__()
        if (one := shape_of(t1)) != (two := shape_of(t2)):
            raise ValueError(f"the encoders cannot be fused: T1 has {one}, T2 has {two}; train both alike")
        self.variant, self.depth, self.patch_px = variant, one["depth"], one["patch_px"]
        self.image_px = image_px
        self.frozen = False
        self.gates = make_gates(variant, dim=one["dim"], depth=self.depth, hidden=hidden)
        self._shared = _Shared(t1, t2)
        for name, backbone, used in (("t1", t1, variant != "t2_only"), ("t2", t2, variant != "t1_only")):
            token = nn.Parameter(backbone.mask_token.detach().clone()) if used else None
            self.register_parameter(f"{name}_mask_token", token)

    @property
    def encoders(self) -> tuple[Backbone, Backbone]:
        """T1 and T2, frozen."""
        return self._shared.pair

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        for backbone in self.encoders:
            backbone._apply(fn)
        return super()._apply(fn, recurse)

    def train(self, mode: bool = True) -> Self:
        """Training or eval mode of the gates; the encoders stay in eval mode."""
        return super().train(mode and not self.frozen)

    def freeze(self) -> Self:
        """No gradients and no training mode from now on, for the gates too."""
        self.frozen = True
        self.requires_grad_(False)
        return self.eval()

    def images_of(self, slices: np.ndarray) -> Tensor:
        """Slices as the shards store them, as the encoders see them: [N, S, S] uint16 to [N, 1, s, s] in [0, 1]."""
        images = to_unit(slices)
        return images if self.image_px is None else reduced(images, self.image_px)

    def grid(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Rows and columns of patches; ``Backbone.grid``."""
        return self.encoders[0].grid(height_px, width_px)

    def forward(self, images: Tensor, masks: Tensor | None = None, *, local: bool = False) -> Tokens:
        """Encode, with the arguments and tokens of ``Backbone.forward``."""
        return self.with_gates(images, masks, local=local)[0]

    def with_gates(
        self, images: Tensor, masks: Tensor | None = None, *, local: bool = False
    ) -> tuple[Tokens, Tensor]:
        """Encode and tell the weights.

        Args:
            images: [N, 1, H, W] intensities in [0, 1], float32.
            masks: [N, P] bool, true where the patch is replaced by the stream's mask token; None masks nothing.
            local: these are local crops; makes no difference here.

        Returns:
            Tokens of N images, and [N, L, 2] float32 weights of T1 and T2 at every layer.

        Raises:
            ValueError: the image is not a whole number of patches.
        """
        shape = self.grid(*images.shape[-2:])
        if self.variant in FIXED:
            weights = images.new_tensor(FIXED[self.variant]).expand(len(images), self.depth, 2)
            index = FIXED[self.variant].index(1.0)
            backbone = self.encoders[index]
            tokens = _embedded(backbone, images, masks, (self.t1_mask_token, self.t2_mask_token)[index])
            rope = _rope(backbone, tokens, shape)
            for layer in range(self.depth):
                tokens = _layer(backbone, layer, tokens, rope)
            return _split(backbone.vit.norm(tokens), backbone.vit.num_prefix_tokens), weights
        t1, t2 = self.encoders
        n_prefix = t1.vit.num_prefix_tokens
        first = _embedded(t1, images, masks, self.t1_mask_token)
        second = _embedded(t2, images, masks, self.t2_mask_token)
        rope_t1, rope_t2 = _rope(t1, first, shape), _rope(t2, second, shape)
        rows: list[Tensor] = []
        for layer, gate in enumerate(self.gates):
            first, second = _layer(t1, layer, first, rope_t1), _layer(t2, layer, second, rope_t2)
            rows.append(gate(first, second, n_prefix))
            first = second = _mixed(first, second, rows[-1])
        tokens = _mixed(t1.vit.norm(first), t2.vit.norm(second), rows[-1])
        return _split(tokens, n_prefix), torch.stack(rows, dim=1)


def _embedded(backbone: Backbone, images: Tensor, masks: Tensor | None, mask_token: Tensor) -> Tensor:
    """CLS, registers and patches [N, T, D] as they enter the first layer of an encoder."""
    vit = backbone.vit
    patches = vit.patch_embed((images - backbone.pixel_mean) / backbone.pixel_std).flatten(1, 2)
    if masks is not None:
        patches = torch.where(masks.unsqueeze(-1), mask_token.to(patches.dtype), patches)
    prefix = [
        token.expand(len(patches), -1, -1) for token in (vit.cls_token, vit.reg_token) if token is not None
    ]
    return torch.cat([*prefix, patches], dim=1)


def _rope(backbone: Backbone, tokens: Tensor, shape: tuple[int, int]) -> Tensor:
    """Position embedding of the patch grid, the same in every layer of an encoder in eval mode."""
    return backbone.vit.rope.get_embed(shape=shape).to(tokens.device)


def _layer(backbone: Backbone, layer: int, tokens: Tensor, rope: Tensor) -> Tensor:
    """One block of an encoder, [N, T, D] to [N, T, D]."""
    return backbone.vit.blocks[layer](tokens, rope=rope)


def _split(tokens: Tensor, n_prefix: int) -> Tokens:
    return Tokens(tokens[:, 0], tokens[:, 1:n_prefix], tokens[:, n_prefix:])
