"""Gated attention over a study's slices (Ilse, Tomczak, Welling, ICML 2018), one attention a condition.

Each route's vectors are standardised and projected to a common width; h is what comes out. The weight of slice i for
condition c is the softmax over the study's slices of w_c . (tanh(V h_i) * sigmoid(U h_i)), and the logit is the
weighted sum of u_c . h_i plus a bias. A route that a study lacks has no slices and so no part in the sum.

Belongs here: the network, its loss and one training run. Does not belong here: folds and choices (``mil``), storage
(``bags``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, dropout, relu

from spine_models.config import ProbeSettings
from spine_models.findings.probes.bags import Bag, Bags

BATCH: Final = 16
RATE: Final = 3e-3


class GatedAttention(nn.Module):
    """Slices of some studies to logits.

    Args:
        widths: vector length by route.
        dim: common width.
        conditions: outputs.
        share: of dropout, on the projected slices in training.
    """

    def __init__(self, widths: Mapping[str, int], dim: int, conditions: int, share: float = 0.0) -> None:
        super().__init__()
        self.widths = dict(widths)
        self.share = share
        self.project = nn.ModuleDict({route: nn.Linear(width, dim) for route, width in self.widths.items()})
        for route, width in self.widths.items():
            self.register_buffer(f"mean_{route}", torch.zeros(width))
            self.register_buffer(f"scale_{route}", torch.ones(width))
        self.content = nn.Linear(dim, dim)
        self.gate = nn.Linear(dim, dim)
        self.weigh = nn.Linear(dim, conditions, bias=False)
        self.judge = nn.Linear(dim, conditions, bias=False)
        self.bias = nn.Parameter(torch.zeros(conditions))

    def forward(self, bag: Bag) -> Tensor:
        """Logits [studies, C]; a study without slices has the bias alone."""
        _, parts, member = self.parts(bag)
        sums = torch.zeros(bag.size, parts.shape[1], dtype=parts.dtype).index_add(0, member, parts)
        return sums + self.bias

    def parts(self, bag: Bag) -> tuple[Tensor, Tensor, Tensor]:
        """Attention weights [n, C], their share of the logit [n, C] and the study of each slice [n].

        Slices stand route by route in the order of ``widths``.
        """
        hidden, members = [], []
        for route in self.widths:
            if route in bag.vectors:
                standard = (bag.vectors[route] - getattr(self, f"mean_{route}")) / getattr(
                    self, f"scale_{route}"
                )
                hidden.append(relu(self.project[route](standard)))
                members.append(bag.member[route])
        if not hidden:
            nothing = torch.zeros(0, len(self.bias))
            return nothing, nothing, torch.zeros(0, dtype=torch.int64)
        joined, member = torch.cat(hidden), torch.cat(members)
        if self.training and self.share:
            joined = dropout(joined, self.share)
        score = self.weigh(torch.tanh(self.content(joined)) * torch.sigmoid(self.gate(joined)))
        index = member[:, None].expand_as(score)
        highest = torch.full((bag.size, score.shape[1]), -torch.inf).scatter_reduce(
            0, index, score.detach(), "amax"
        )
        raised = torch.exp(score - highest[member])
        weights = raised / torch.zeros(bag.size, score.shape[1]).index_add(0, member, raised)[member]
        return weights, weights * self.judge(joined), member


def class_weights(labels: np.ndarray, fitted: np.ndarray) -> Tensor:
    """Weight of each label [N, C]: both classes of a condition count the same, -1 and what is not fitted nothing."""
    weights = np.zeros(labels.shape, dtype=np.float32)
    for value in (0, 1):
        counts = (labels == value).sum(axis=0)
        weights += (labels == value) * (0.5 * len(labels) / np.maximum(counts, 1))
    return torch.from_numpy(weights * fitted)


def train(
    bags: Bags,
    rows: np.ndarray,
    labels: np.ndarray,
    fitted: np.ndarray,
    *,
    routes: Sequence[str],
    decay: float,
    epochs: int,
    settings: ProbeSettings,
    after: Callable[[int, GatedAttention], None] | None = None,
) -> GatedAttention:
    """Train one network for so many epochs; the same arguments give the same weights.

    Args:
        bags: all studies.
        rows: studies to train on, rows of ``bags`` [N].
        labels: theirs, [N, C] of 1, 0, -1.
        fitted: conditions to train, bool [C].
        routes: to read.
        decay: AdamW's weight decay.
        epochs: passes over the studies.
        settings: width, dropout, seed.
        after: called with (epochs done, network in evaluation mode) after every epoch.
    """
    widths = {route: bags.vectors[route].shape[1] for route in routes if route in bags.vectors}
    weights = class_weights(labels, fitted)
    truth = torch.from_numpy((labels == 1).astype(np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = GatedAttention(widths, settings.mil_dim, labels.shape[1], settings.mil_dropout)
        _standardise(network, bags, rows)
        optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=decay)
        for epoch in range(1, epochs + 1):
            network.train()
            for part in torch.randperm(len(rows)).split(BATCH):
                logits = network(bags.take(rows[part.numpy()], routes))
                losses = binary_cross_entropy_with_logits(logits, truth[part], reduction="none")
                optimiser.zero_grad(set_to_none=True)
                (losses * weights[part]).mean().backward()
                optimiser.step()
            network.eval()
            if after is not None:
                after(epoch, network)
    return network.eval()


@torch.inference_mode()
def logits_of(network: GatedAttention, bags: Bags, rows: np.ndarray) -> np.ndarray:
    """float64 [N, C] of these studies."""
    parts = [network(bags.take(rows[at : at + 256], list(network.widths))) for at in range(0, len(rows), 256)]
    return torch.cat(parts).double().numpy() if parts else np.zeros((0, len(network.bias)))


def _standardise(network: GatedAttention, bags: Bags, rows: np.ndarray) -> None:
    """Mean and deviation of the training slices, a few studies at a time."""
    for route in network.widths:
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for at in range(0, len(rows), 256):
            values = bags.take(rows[at : at + 256], [route]).vectors[route].double()
            count += len(values)
            total, squares = total + values.sum(dim=0), squares + (values**2).sum(dim=0)
        if count:
            mean = total / count
            deviation = (squares / count - mean**2).clamp_min(0.0).sqrt()
            scale = torch.where(deviation > 1e-6 * (1.0 + mean.abs()), deviation, torch.ones_like(deviation))
            getattr(network, f"mean_{route}").copy_(mean)
            getattr(network, f"scale_{route}").copy_(scale)
