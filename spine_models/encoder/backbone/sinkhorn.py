"""Sinkhorn-Knopp: teacher logits to assignments that use every prototype equally.

Belongs here: the iteration alone. Does not belong here: temperatures' schedules, losses.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spine_models.encoder.backbone.distributed import maximum, summed, world_size


def _log_sum_over_samples(log_q: Tensor) -> Tensor:
    """log of the sum over the rows of every rank: [N, K] to [1, K]; a rank may hold no row."""
    if world_size() == 1:
        return torch.logsumexp(log_q, dim=0, keepdim=True)
    nothing = log_q.new_full((1, log_q.shape[1]), -math.inf)
    local = log_q.amax(dim=0, keepdim=True) if len(log_q) else nothing
    largest = maximum(local)
    return largest + summed((log_q - largest).exp().sum(dim=0, keepdim=True)).log()


@torch.no_grad()
def sinkhorn_knopp(logits: Tensor, temperature: float, *, iterations: int = 3) -> Tensor:
    """Assign samples to prototypes by alternately normalising prototypes and samples of exp(logits / temperature).

    Cuturi 2013, "Sinkhorn distances"; used so by SwAV (Caron 2020), DINOv2 and DINOv3. Each iteration first gives
    every prototype the same mass over the samples of all ranks, then every sample the same mass.

    Computed on logarithms: subtracting the largest entry of each row and column before every exponential is the same
    iteration, and neither overflows nor loses a whole row for large logits at a low temperature.

    With Q = exp(logits / temperature), one iteration is Q[:, k] /= sum over rows of Q[:, k], then Q[n] /= sum of Q[n];
    factors of 1 / K and 1 / N that some texts add cancel.

    Args:
        logits: [N, K] teacher logits, any float dtype, not changed. N is this rank's own number of rows and may differ
            between ranks or be 0 (masked tokens); the rows that a prototype is shared by are those of all ranks.
        temperature: teacher temperature, above 0.
        iterations: of both normalisations.

    Returns:
        [N, K] float32; every row sums to 1.
    """
    log_q = logits.detach().float() / temperature
    if int(summed(torch.tensor(log_q.shape[0], device=log_q.device))) == 0:
        return log_q
    for _ in range(iterations):
        log_q -= _log_sum_over_samples(log_q)
        log_q -= torch.logsumexp(log_q, dim=1, keepdim=True)
    return log_q.exp_()
