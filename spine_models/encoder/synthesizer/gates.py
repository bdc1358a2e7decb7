"""Gates: how much of each encoder's layer goes on to the next layer.

Belongs here: the weights of one layer from both streams' tokens, and the variants by name. Does not belong here: the
encoders, the mixing itself (fused).

The paper says that a module at each layer computes fusion weights; the conditional gate does. The scalar gate, one
static pair a layer, is the released form, kept as an ablation; so are the two gates that are fixed on one encoder.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

Variant = Literal["conditional", "scalar", "t1_only", "t2_only"]
VARIANTS: tuple[str, ...] = get_args(Variant)
FIXED: dict[str, tuple[float, float]] = {"t1_only": (1.0, 0.0), "t2_only": (0.0, 1.0)}


class ConditionalGate(nn.Module):
    """Weights from the input: CLS and mean patch token of both streams, through one hidden layer, by softmax.

    Each of the four vectors is normalised on its own, so that the width of a layer's activations does not speak. The
    last layer starts at zero: both weights are 0.5 until training says otherwise.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.dim = dim
        self.hidden = nn.Linear(4 * dim, hidden)
        self.out = nn.Linear(hidden, 2)
        nn.init.trunc_normal_(self.hidden.weight, std=0.02)
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, first: Tensor, second: Tensor, n_prefix: int) -> Tensor:
        """Weights of a layer.

        Args:
            first: [N, T, D] tokens of the T1 stream, CLS first; float32 or bfloat16.
            second: [N, T, D] of the T2 stream.
            n_prefix: CLS and registers, which lie before the patches.

        Returns:
            [N, 2] float32, each row positive with sum 1.
        """
        parts = [
            functional.layer_norm(vector.float(), (self.dim,))
            for tokens in (first, second)
            for vector in (tokens[:, 0], tokens[:, n_prefix:].mean(dim=1))
        ]
        hidden = functional.gelu(self.hidden(torch.cat(parts, dim=1)))
        return self.out(hidden).float().softmax(dim=1)


class ScalarGate(nn.Module):
    """One learnable pair of logits that the input does not touch; both weights start at 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(2))

    def forward(self, first: Tensor, second: Tensor, n_prefix: int) -> Tensor:
        """[N, 2] float32, the same for every image; arguments as for ``ConditionalGate``."""
        return self.logits.float().softmax(dim=0).expand(len(first), 2)


def make_gates(variant: Variant, *, dim: int, depth: int, hidden: int) -> nn.ModuleList:
    """One gate a layer; empty for the fixed variants, whose weights are ``FIXED``.

    Raises:
        ValueError: no such variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"no synthesizer variant {variant!r}: choose one of {', '.join(VARIANTS)}")
    if variant == "conditional":
        return nn.ModuleList(ConditionalGate(dim, hidden) for _ in range(depth))
    return nn.ModuleList(ScalarGate() for _ in range(depth if variant == "scalar" else 0))
