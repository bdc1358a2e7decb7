"""Study and report vectors into the space in which they are compared.

Belongs here: the linear map and the normalisation. Does not belong here: pooling, losses.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Projection(nn.Module):
    """A linear map without bias to the shared space, then unit length (Radford et al. 2021, figure 3)."""

    def __init__(self, in_dim: int, dim: int = 1024) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, dim, bias=False)
        nn.init.normal_(self.linear.weight, std=in_dim**-0.5)

    def raw(self, vectors: Tensor) -> Tensor:
        """[B, dim] of vectors [B, in_dim], not normalised: what may be summed with another modality's."""
        return self.linear(vectors)

    def forward(self, vectors: Tensor) -> Tensor:
        """Unit vectors [B, dim] of vectors [B, in_dim]; a row of zeros stays zeros."""
        return unit(self.raw(vectors))


def unit(vectors: Tensor) -> Tensor:
    """Rows [B, D] at length 1; a row of zeros stays zeros, with a finite gradient."""
    return F.normalize(vectors, dim=-1, eps=1e-6)
