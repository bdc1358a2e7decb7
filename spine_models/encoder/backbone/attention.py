"""Self-attention of images of one size, from projected tokens to mixed values, with rotary positions.

Belongs here: rotation of queries and keys, scaled products. Does not belong here: projections,
norms, the position table itself.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def rotation(rope: Tensor, n_prefix: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every token.

    Args:
        rope: [P, 2 * d] sines then cosines of the patches, as timm's DINOv3 table gives them: the second half of the d
            columns repeats the first.
        n_prefix: tokens before the patches, which have no position.

    Returns:
        Two of [n_prefix + P, d / 2] float32; 1 and 0 for tokens without a position.
    """
    sines, cosines = rope.float().chunk(2, dim=-1)
    half = sines.shape[-1] // 2
    return (
        functional.pad(cosines[:, :half], (0, 0, n_prefix, 0), value=1.0),
        functional.pad(sines[:, :half], (0, 0, n_prefix, 0), value=0.0),
    )


def attention(qkv: Tensor, n_images: int, heads: int, cosines: Tensor, sines: Tensor) -> Tensor:
    """softmax(R q (R k)^T / sqrt(d)) v for every head (Vaswani 2017), R being the rotation of each token (Su 2021).

    Each pair (i, i + d / 2) of a query's and a key's d numbers turns by its token's angle i.

    Args:
        qkv: [N * T, 3 * D] projected tokens of N images, image after image: queries, keys, values, each head by head.
        n_images: N.
        heads: H; d is D / H.
        cosines: [T, d / 2].
        sines: [T, d / 2].

    Returns:
        [N * T, D], head by head, dtype of ``qkv``. Rotation is in float32.
    """
    tokens, half = cosines.shape
    split = qkv.view(n_images, tokens, 3, heads, 2 * half).permute(2, 0, 3, 1, 4)
    q, k = _turned(split[:2], cosines, sines).to(qkv.dtype)
    v = split[2]
    if qkv.is_cuda:
        mixed = functional.scaled_dot_product_attention(q, k, v)
    else:
        # On a CPU the fused kernel's backward takes four times as long as plain products, in bfloat16 ten times.
        mixed = (q * (2 * half) ** -0.5 @ k.mT).softmax(dim=-1) @ v
    return mixed.transpose(1, 2).reshape(len(qkv), 2 * half * heads)


def _turned(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1)
