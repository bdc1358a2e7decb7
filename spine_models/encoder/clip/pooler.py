"""Slice vectors of a study to one study vector: gated attention that knows where in its series a slice lies.

Belongs here: the pooler and what it adds to a slice. Does not belong here: choosing slices (``data``), projections.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

FREQUENCIES = 8
KIND_DIM = 8


class Pooled(NamedTuple):
    """Study vectors [B, D], attention [B, S] (sums to 1 over a row's slices) and present [B] bool.

    A row without a slice has present False, a vector of zeros and attention of zeros: it is not to be used.
    """

    vectors: Tensor
    attention: Tensor
    present: Tensor


def position_in_series(series: Tensor, mask: Tensor) -> Tensor:
    """Where each slice lies within its series, in (0, 1): the middle slice of a series has 0.5.

    Args:
        series: [B, S] int, the same number for slices of one series, in the order of the slices.
        mask: [B, S] bool, True for slices.

    Returns:
        [B, S] float32; 0 for padding.
    """
    same = (series[:, :, None] == series[:, None, :]) & mask[:, None, :]
    count = same.sum(dim=2).clamp(min=1)
    before = same.tril().sum(dim=2)
    return torch.where(mask, (before - 0.5) / count, torch.zeros(()).to(mask.device))


def sinusoids(position: Tensor) -> Tensor:
    """Sines and cosines [..., 16] of a position in [0, 1] at 8 octaves, the lowest half a turn."""
    turns = math.pi * 2.0 ** torch.arange(FREQUENCIES, device=position.device)
    angles = position[..., None] * turns
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class GatedAttentionPooler(nn.Module):
    """Gated attention pooling (Ilse, Tomczak and Welling 2018, equation 9).

    The weight of slice k is the softmax over the slices of w . (tanh(V x_k) * sigmoid(U x_k)), where x_k is the slice
    vector beside the sinusoids of its position in its series and a learned embedding of the series' kind. What is
    averaged are the slice vectors themselves, so a study vector lies among its slices. Dropout is on the gated
    hidden units.
    """

    def __init__(self, dim: int, *, hidden: int = 256, dropout: float = 0.25, kinds: int = 1) -> None:
        super().__init__()
        self.kind = nn.Embedding(kinds, KIND_DIM)
        width = dim + 2 * FREQUENCIES + KIND_DIM
        self.tanh, self.gate = nn.Linear(width, hidden), nn.Linear(width, hidden)
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Linear(hidden, 1, bias=False)

    def forward(self, vectors: Tensor, mask: Tensor, series: Tensor, kind: Tensor | None = None) -> Pooled:
        """Pool; what stands in padding, and how much of it there is, changes nothing.

        Args:
            vectors: [B, S, D] float.
            mask: [B, S] bool, True for slices.
            series: [B, S] int, index of the series of a slice within its study.
            kind: [B, S] int below ``kinds`` (a plane, say); None is kind 0 for all.

        Raises:
            ValueError: shapes that do not belong together, or a mask that is not bool.
        """
        if vectors.ndim != 3 or mask.shape != vectors.shape[:2] or series.shape != mask.shape:
            raise ValueError(
                f"vectors [B, S, D], mask [B, S] and series [B, S] are needed, not {list(vectors.shape)}, "
                f"{list(mask.shape)} and {list(series.shape)}"
            )
        if mask.dtype != torch.bool:
            raise ValueError(f"the mask is bool, True for slices, not {mask.dtype}")
        vectors = vectors.masked_fill(~mask[..., None], 0.0)
        kind = (torch.zeros_like(series) if kind is None else kind).masked_fill(~mask, 0)
        place = sinusoids(position_in_series(series, mask)).to(vectors.dtype)
        seen = torch.cat([vectors, place, self.kind(kind)], dim=-1)
        gated = self.dropout(torch.tanh(self.tanh(seen)) * torch.sigmoid(self.gate(seen)))
        logits = self.weight(gated).squeeze(-1).float()
        logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
        # A row without slices has a softmax over padding, which the mask then takes away.
        attention = (logits.softmax(dim=1) * mask).to(vectors.dtype)
        return Pooled(torch.einsum("bs,bsd->bd", attention, vectors), attention, mask.any(dim=1))
