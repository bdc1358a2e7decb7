"""The network that sees slices: timm's DINOv3 ViT with what self-supervised training needs around it.

Belongs here: building the ViT from the settings, its initialisation, mask token, the CLS norm of local crops, RoPE
draws, which tokens training looks at. Does not belong here: what a layer computes (block, attention), projection heads,
losses, pooling of tokens into a vector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import timm
import torch
from torch import Tensor, nn

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.block import Block, PatchEmbedding

SWIGLU_ALIGN = 64


class Tokens(NamedTuple):
    """Normalised output tokens of N images."""

    cls: Tensor  # [N, D]
    registers: Tensor  # [N, R, D]
    patches: Tensor  # [N, P, D], row-major over the patch grid


class Watched(NamedTuple):
    """Normalised output tokens that training looks at: N global and L local crops, M patches that were asked for."""

    cls: Tensor  # [N, D]
    patches: Tensor  # [M, D] in the order of patches[picks]
    local_cls: Tensor | None  # [L, D]


def _build_vit(settings: BackboneSettings) -> nn.Module:
    feed_forward = (
        {"swiglu_mlp": True, "swiglu_align_to": SWIGLU_ALIGN, "mlp_ratio": 8 / 3}
        if settings.mlp == "swiglu"
        else {"swiglu_mlp": False, "mlp_ratio": 4.0}
    )
    return timm.create_model(
        settings.model,
        pretrained=False,
        num_classes=0,
        global_pool="token",
        img_size=settings.image_px,
        patch_size=settings.patch_px,
        in_chans=1,
        embed_dim=settings.dim,
        depth=settings.depth,
        num_heads=settings.heads,
        num_reg_tokens=settings.registers,
        qkv_bias=False,
        init_values=settings.layer_scale,
        rope_temperature=settings.rope_base,
        rope_rescale_coords=settings.rope_rescale,
        drop_path_rate=0.0,
        **feed_forward,
    )


def _initialise(module: nn.Module) -> None:
    """Linear layers truncated normal 0.02 with zero bias; everything else keeps its own default.

    timm divides attn.proj and fc2 by a factor of the depth on top of this; the published model does not.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Backbone(nn.Module):
    """ViT over single-channel slices with intensities in [0, 1].

    Training mode draws drop path (same rate in every block) and a RoPE rescale per block. A frozen backbone stays in
    eval mode whatever it is told, so an encoder's output never depends on a draw.
    """

    def __init__(self, settings: BackboneSettings) -> None:
        super().__init__()
        if settings.dim % (4 * settings.heads):
            raise ValueError(
                f"backbone.dim {settings.dim} must be a multiple of 4 times heads {settings.heads}"
            )
        if settings.image_px % settings.patch_px or settings.local_px % settings.patch_px:
            raise ValueError("backbone.image_px and local_px must be multiples of patch_px")
        self.patch_px = settings.patch_px
        self.pixel_mean, self.pixel_std = settings.pixel_mean, settings.pixel_std
        self.frozen = False
        self.vit = _build_vit(settings)
        self.mask_token = nn.Parameter(torch.zeros(settings.dim))
        # Local crops are seen in training only; without them the norm would be a parameter that never gets a gradient.
        self.local_cls_norm = nn.LayerNorm(settings.dim, eps=1e-5) if settings.local_crops else None
        self.vit.apply(_initialise)
        for token in (self.vit.cls_token, self.vit.reg_token):
            if token is not None:
                nn.init.normal_(token, std=0.02)
        self.vit.patch_embed = PatchEmbedding(self.vit.patch_embed.proj)
        self.vit.blocks = nn.ModuleList(Block(block, settings.drop_path) for block in self.vit.blocks)

    def train(self, mode: bool = True) -> Backbone:
        """Training or eval mode; a frozen backbone stays in eval mode."""
        return super().train(mode and not self.frozen)

    def freeze(self) -> Backbone:
        """No gradients and no training mode from now on."""
        self.frozen = True
        self.requires_grad_(False)
        return self.eval()

    def grid(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Rows and columns of patches.

        Raises:
            ValueError: the image is not a whole number of patches.
        """
        if height_px % self.patch_px or width_px % self.patch_px:
            raise ValueError(
                f"image of {height_px}x{width_px} px is not a whole number of {self.patch_px} px patches"
            )
        return height_px // self.patch_px, width_px // self.patch_px

    def forward(self, images: Tensor, masks: Tensor | None = None, *, local: bool = False) -> Tokens:
        """Encode.

        Args:
            images: [N, 1, H, W] intensities in [0, 1].
            masks: [N, P] bool, true where the patch is replaced by the mask token; None masks nothing.
            local: these are local crops; in training mode their CLS (and registers) get the separate norm.
        """
        n_prefix = self.vit.num_prefix_tokens
        size = (len(images), n_prefix + math.prod(self.grid(*images.shape[-2:])))
        tokens = self._encoded([images], [masks]).unflatten(0, size)
        if local and self.training and self.local_cls_norm is not None:
            head = self.local_cls_norm(tokens[:, :n_prefix])
            return Tokens(head[:, 0], head[:, 1:], self.vit.norm(tokens[:, n_prefix:]))
        tokens = self.vit.norm(tokens)
        return Tokens(tokens[:, 0], tokens[:, 1:n_prefix], tokens[:, n_prefix:])

    def watched(
        self, images: Tensor, picks: Tensor, masks: Tensor | None = None, local_images: Tensor | None = None
    ) -> Watched:
        """What the heads look at, of global and local crops, in one pass and without computing the rest to the end.

        Args:
            images: [N, 1, H, W] global crops.
            picks: [N, P] bool, the patches that are asked for.
            masks: [N, P] bool, the patches replaced by the mask token; None replaces nothing.
            local_images: [L, 1, h, w] local crops, or None.

        Returns:
            The same numbers as ``forward`` of the global and, with ``local``, of the local crops.
        """
        n_prefix, parts, hidden = self.vit.num_prefix_tokens, [images], [masks]
        n, device = len(images), images.device
        each = n_prefix + picks.shape[1]
        image, patch = picks.nonzero(as_tuple=True)
        rows = [torch.arange(n, device=device) * each, image * each + n_prefix + patch]
        if local_images is not None:
            parts, hidden = [images, local_images], [masks, None]
            height, width = self.grid(*local_images.shape[-2:])
            starts = torch.arange(len(local_images), device=device) * (n_prefix + height * width)
            rows.append(n * each + starts)
        tokens = self._encoded(parts, hidden, torch.cat(rows))
        seen = self.vit.norm(tokens[: n + len(image)])
        if local_images is None:
            return Watched(seen[:n], seen[n:], None)
        own = self.training and self.local_cls_norm is not None
        local_norm = self.local_cls_norm if own else self.vit.norm
        return Watched(seen[:n], seen[n:], local_norm(tokens[n + len(image) :]))

    def _encoded(
        self, images: Sequence[Tensor], masks: Sequence[Tensor | None], wanted: Tensor | None = None
    ) -> Tensor:
        """Tokens [N1 * T1 + N2 * T2 ..., D] of images of one or more sizes after the last layer, or [W, D] of them."""
        vit = self.vit
        shapes = [self.grid(*own.shape[-2:]) for own in images]
        parts = [self._embedded(own, mask) for own, mask in zip(images, masks, strict=True)]
        sizes = [part.shape[:2] for part in parts]
        packed = torch.cat([part.flatten(0, 1) for part in parts])
        ropes: list[Tensor] = []
        for block in vit.blocks:
            if not ropes or (self.training and vit.rope.aug_active):
                ropes = [vit.rope.get_embed(shape=shape).to(packed.device) for shape in shapes]
            packed = block(
                packed, rope=ropes, sizes=sizes, wanted=wanted if block is vit.blocks[-1] else None
            )
        return packed

    def _embedded(self, images: Tensor, masks: Tensor | None) -> Tensor:
        """CLS, registers and patches [N, T, D] as they enter the first layer."""
        patches = self.vit.patch_embed((images - self.pixel_mean) / self.pixel_std).flatten(1, 2)
        if masks is not None:
            patches = torch.where(masks.unsqueeze(-1), self.mask_token.to(patches.dtype), patches)
        prefix = [token for token in (self.vit.cls_token, self.vit.reg_token) if token is not None]
        return torch.cat([*(token.expand(len(patches), -1, -1) for token in prefix), patches], dim=1)
