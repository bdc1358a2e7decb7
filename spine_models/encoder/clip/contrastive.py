"""Symmetric InfoNCE between two modalities over the studies of all ranks, and its learnable temperature.

Belongs here: one pair of modalities. Does not belong here: which pairs a variant sums (``variants``).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from spine_models.encoder.backbone.distributed import gathered_rows, rank, summed, world_size


class LogitScale(nn.Module):
    """The inverse temperature, learned as its logarithm (Radford et al. 2021): 1 / 0.07 at first, at most 100."""

    def __init__(self, temperature: float = 0.07, largest: float = 100.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self._log_largest = math.log(largest)

    def forward(self) -> Tensor:
        """The scale, a scalar, never above ``largest``."""
        return self.log_scale.clamp(max=self._log_largest).exp()

    @torch.no_grad()
    def keep_in_range(self) -> None:
        """Put the parameter back under its bound after a step; beyond it the gradient is 0 and it would stay."""
        self.log_scale.clamp_(max=self._log_largest)


def contrastive_loss(
    left: Tensor, right: Tensor, present: Tensor, scale: Tensor, alike: Tensor | None = None
) -> Tensor:
    """Symmetric InfoNCE (van den Oord et al. 2018; two-sided as in Zhang et al. 2020 and Radford et al. 2021).

    Let P be the studies of all ranks that have both modalities, l_i and r_i their unit vectors and s the scale:

        loss = 1/2 * mean over i in P of [ -log( exp(s l_i.r_i) / sum over j in P of exp(s l_i.r_j) )
                                           -log( exp(s l_i.r_i) / sum over j in P of exp(s l_j.r_i) ) ]

    A study outside P is neither an anchor nor a negative, in either direction, whatever its rows hold. With fewer
    than two studies in P there is nothing to tell apart: the loss is 0 and so is its gradient.

    With ``alike`` the sums run over j = i and those j in P that share no label with i: studies that are alike are
    neither positives nor negatives of each other. The mean stays over P; an anchor without a negative adds 0.

    Every rank brings the same N. A rank's value covers its own anchors and is scaled so that the mean over ranks is
    the loss of the joined batch; gradients reach the rows of all ranks, so averaging parameter gradients over ranks
    gives the joined batch's gradient.

    Args:
        left: [N, D] float, unit rows.
        right: [N, D] float, unit rows of the same studies.
        present: [N] bool, both modalities are there.
        scale: scalar, inverse temperature.
        alike: [N, C] int64, C labels of each study (``alike.likeness``); None tells all studies apart.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: shapes that do not belong together, or a mask that is not bool.
    """
    if left.ndim != 2 or left.shape != right.shape or present.shape != left.shape[:1]:
        raise ValueError(
            f"left [N, D], right [N, D] and present [N] are needed, not {list(left.shape)}, "
            f"{list(right.shape)} and {list(present.shape)}"
        )
    if present.dtype != torch.bool:
        raise ValueError(f"present is bool, not {present.dtype}")
    if alike is not None and (alike.ndim != 2 or len(alike) != len(left) or alike.dtype != torch.int64):
        raise ValueError(f"alike is int64 [N, C], not {alike.dtype} {list(alike.shape)}")
    left = left.float().masked_fill(~present[:, None], 0.0)
    right = right.float().masked_fill(~present[:, None], 0.0)
    everywhere = gathered_rows(present.float()[:, None]).squeeze(1) > 0
    n_pairs = summed(present.sum().float().reshape(1)).squeeze(0).clamp(min=1.0)
    answers = torch.arange(len(left), device=left.device) + rank() * len(left)
    told_apart = everywhere[None, :].repeat(len(left), 1)
    if alike is not None:
        told_apart &= (alike[:, None, :] != gathered_rows(alike)[None, :, :]).all(dim=2)
        told_apart[torch.arange(len(left), device=left.device), answers] = present
    both = _anchored(left, gathered_rows(right), told_apart, answers, scale) + _anchored(
        right, gathered_rows(left), told_apart, answers, scale
    )
    return both.masked_fill(~present, 0.0).sum() / (2.0 * n_pairs) * world_size()


def _anchored(anchors: Tensor, others: Tensor, told_apart: Tensor, answers: Tensor, scale: Tensor) -> Tensor:
    """Cross-entropy [N] of this rank's anchors with those rows of all ranks that ``told_apart`` [N, M] lets count."""
    logits = scale.float() * anchors @ others.T
    logits = logits.masked_fill(~told_apart, torch.finfo(logits.dtype).min)
    return torch.nn.functional.cross_entropy(logits, answers, reduction="none")
