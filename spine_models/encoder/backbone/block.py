"""A transformer block over images of several sizes at once, and the patch embedding before it.

Belongs here: norms, residuals, LayerScale and stochastic depth around attention and feed-forward; they hold timm's
parameters under timm's names. Does not belong here: attention itself, tokens that are no patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from spine_models.encoder.backbone.attention import attention, rotation

Size = tuple[int, int]
"""Images, and tokens of each."""


class PatchEmbedding(nn.Module):
    """Patches of [N, 1, H, W], each through the same linear map: [N, H / p, W / p, D].

    The same as a convolution of stride p, without its slow kernels for a single channel.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.proj = convolution

    def forward(self, images: Tensor) -> Tensor:
        """Embed whole patches."""
        edge = self.proj.kernel_size[0]
        n, _, height, width = images.shape
        cut = images.view(n, height // edge, edge, width // edge, edge).transpose(2, 3).flatten(3)
        return functional.linear(cut, self.proj.weight.flatten(1), self.proj.bias)


class Block(nn.Module):
    """x + scale * attention(norm(x)), then x + scale * feed_forward(norm(x)); drops either in training.

    Stochastic depth (Huang 2016) as in DINOv2: of N images, those that keep a residual are drawn without replacement,
    max(1, int(N * (1 - rate))) of them for each size of image; the others' residual is not computed, and what is kept
    weighs N / kept, so the sum is right in the mean.

    Attributes:
        drop_path: rate.
    """

    def __init__(self, block: nn.Module, drop_path: float = 0.0) -> None:
        """``block`` is timm's, whose parameters these are from now on."""
        super().__init__()
        self.drop_path = drop_path
        self.gamma_1, self.gamma_2 = block.gamma_1, block.gamma_2
        self.norm1, self.attn, self.norm2, self.mlp = block.norm1, block.attn, block.norm2, block.mlp

    def forward(
        self,
        tokens: Tensor,
        rope: Tensor | Sequence[Tensor],
        sizes: Sequence[Size] | None = None,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """Run images of one size, or of several packed one after another.

        Args:
            tokens: [N, T, D], or [N1 * T1 + N2 * T2 ..., D] with ``sizes``.
            rope: [P, 2 * d] of the P patches that end an image's tokens, or one of each size.
            sizes: (N1, T1), (N2, T2), ...
            wanted: [W] rows of packed tokens; the others have no feed-forward and are not returned. None wants all.

        Returns:
            Like ``tokens``, or [W, D].
        """
        if sizes is None:
            return self(tokens.flatten(0, 1), [rope], [tokens.shape[:2]]).view(tokens.shape)
        turns = [rotation(own, each - len(own)) for own, (_, each) in zip(rope, sizes, strict=True)]
        heads = self.attn.num_heads

        def attend(x: Tensor, kept: Sequence[Size]) -> Tensor:
            parts = self.attn.qkv(self.norm1(x)).split([n * each for n, each in kept])
            mixed = [
                attention(part, n, heads, *turn)
                for part, (n, _), turn in zip(parts, kept, turns, strict=True)
            ]
            return self.attn.proj(mixed[0] if len(mixed) == 1 else torch.cat(mixed))

        tokens = self._add(tokens, sizes, attend, self.gamma_1)
        if wanted is None:
            return self._add(tokens, sizes, lambda x, _: self.mlp(self.norm2(x)), self.gamma_2)
        tokens = tokens.index_select(0, wanted)
        out = self.mlp(self.norm2(tokens))
        if self._drops:
            factors = [
                torch.zeros(n, 1, device=tokens.device).index_fill_(0, own, n / len(own)).expand(n, each)
                for own, (n, each) in zip(self._drawn(sizes, tokens.device), sizes, strict=True)
            ]
            out = out * torch.cat([part.flatten() for part in factors])[wanted].unsqueeze(1)
        return tokens + out if self.gamma_2 is None else torch.addcmul(tokens, self.gamma_2, out)

    @property
    def _drops(self) -> bool:
        return self.training and self.drop_path > 0

    def _drawn(self, sizes: Sequence[Size], device: torch.device) -> list[Tensor]:
        """Images of each size that keep a residual."""
        rate = self.drop_path
        return [torch.randperm(n, device=device)[: max(1, int(n * (1 - rate)))] for n, _ in sizes]

    def _add(
        self,
        tokens: Tensor,
        sizes: Sequence[Size],
        residual: Callable[[Tensor, Sequence[Size]], Tensor],
        gamma: Tensor | None,
    ) -> Tensor:
        if not self._drops:
            out = residual(tokens, sizes)
            return tokens + out if gamma is None else torch.addcmul(tokens, gamma, out)
        chosen = self._drawn(sizes, tokens.device)
        kept = [(len(own), each) for own, (_, each) in zip(chosen, sizes, strict=True)]
        out = residual(_Picked.apply(tokens, sizes, chosen), kept)
        return _Added.apply(tokens, out if gamma is None else gamma * out, sizes, chosen)


def _images(packed: Tensor, sizes: Sequence[Size]) -> list[Tensor]:
    """Views [N, T, D] of packed tokens."""
    parts = packed.split([n * each for n, each in sizes])
    return [part.unflatten(0, size) for part, size in zip(parts, sizes, strict=True)]


def _picked(packed: Tensor, sizes: Sequence[Size], chosen: Sequence[Tensor]) -> Tensor:
    kept = [(len(own), each) for own, (_, each) in zip(chosen, sizes, strict=True)]
    out = packed.new_empty(sum(n * each for n, each in kept), packed.shape[1])
    for to, of, own in zip(_images(out, kept), _images(packed, sizes), chosen, strict=True):
        torch.index_select(of, 0, own, out=to)
    return out


class _Picked(torch.autograd.Function):
    """Chosen images of packed tokens, packed. An image is moved whole, which row-wise indexing does not do."""

    @staticmethod
    def forward(context: Any, packed: Tensor, sizes: Sequence[Size], chosen: Sequence[Tensor]) -> Tensor:
        context.sizes, context.chosen, context.rows = sizes, chosen, len(packed)
        return _picked(packed, sizes, chosen)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        full = gradient.new_zeros(context.rows, gradient.shape[1])
        _add_to(full, gradient, context.sizes, context.chosen, weighted=False)
        return full, None, None


class _Added(torch.autograd.Function):
    """Packed tokens plus the residual of the chosen images, times images / chosen images."""

    @staticmethod
    def forward(
        context: Any, packed: Tensor, residual: Tensor, sizes: Sequence[Size], chosen: Sequence[Tensor]
    ) -> Tensor:
        context.sizes, context.chosen, context.kind = sizes, chosen, residual.dtype
        out = packed.clone()
        _add_to(out, residual.to(out.dtype), sizes, chosen, weighted=True)
        return out

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_residual = _picked(gradient, context.sizes, context.chosen)
        kept = [(len(own), each) for own, (_, each) in zip(context.chosen, context.sizes, strict=True)]
        for part, (n, _), (n_kept, _) in zip(_images(of_residual, kept), context.sizes, kept, strict=True):
            part *= n / n_kept
        return gradient, of_residual.to(context.kind), None, None


def _add_to(
    full: Tensor, part: Tensor, sizes: Sequence[Size], chosen: Sequence[Tensor], *, weighted: bool
) -> None:
    kept = [(len(own), each) for own, (_, each) in zip(chosen, sizes, strict=True)]
    for to, of, own in zip(_images(full, sizes), _images(part, kept), chosen, strict=True):
        to.index_add_(0, own, of, alpha=len(to) / len(of) if weighted else 1)
