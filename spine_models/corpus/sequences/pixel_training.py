"""Fitting of the pixel network: torch once, numpy ever after.

Belongs here: the training loop and the hand-over of its weights; deterministic by seed on one thread.
Does not belong here: where pictures come from (a program beside the benchmarks), inference (`pixel_net`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spine_models.corpus.sequences.pixel_net import CHANNELS, FACTS, PixelNet


@dataclass(frozen=True)
class NetRecipe:
    """How the network is fitted."""

    widths: tuple[int, ...] = (16, 32, 64, 96)
    epochs: int = 14
    batch: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 1e-3
    smoothing: float = 0.05
    seed: int = 7


def fit_net(
    images: np.ndarray,
    facts: np.ndarray,
    truth: np.ndarray,
    classes: int,
    recipe: NetRecipe,
    progress: Callable[[int, float], None] | None = None,
) -> PixelNet:
    """A network from slices.

    Args:
        images: ``[N, 2, 64, 64]`` float32 of `pixel_net.prepared`.
        facts: ``[N, FACTS]`` float32 of `pixel_net.slice_facts`.
        truth: ``[N]`` class indices.
        classes: number of scores; one without an example is pushed down like every wrong one.
        recipe: numbers of the fit.
        progress: called with (epoch, mean loss).
    """
    import torch
    from torch import nn

    torch.manual_seed(recipe.seed)
    layers: list[nn.Module] = []
    before = CHANNELS
    for width in recipe.widths:
        layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.ReLU()]
        before = width
    body, head = nn.Sequential(*layers), nn.Linear(2 * before + FACTS, classes)
    drop = nn.Dropout(0.1)
    parameters = [*body.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * -(-len(images) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    rng = np.random.default_rng(recipe.seed)
    x, extra, y = torch.from_numpy(images), torch.from_numpy(facts), torch.from_numpy(truth.astype(np.int64))
    for epoch in range(recipe.epochs):
        losses = []
        order = rng.permutation(len(images))
        for start in range(0, len(order), recipe.batch):
            chosen = torch.from_numpy(order[start : start + recipe.batch])
            maps = body(x[chosen])
            pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3)), extra[chosen]], dim=1)
            loss = loss_of(head(drop(pooled)), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        if progress is not None:
            progress(epoch, float(np.mean(losses)))
    convolutions = [layer for layer in body if isinstance(layer, nn.Conv2d)]
    return PixelNet(
        tuple(layer.weight.detach().numpy().copy() for layer in convolutions),
        tuple(layer.bias.detach().numpy().copy() for layer in convolutions),  # type: ignore[union-attr]
        head.weight.detach().numpy().copy(),
        head.bias.detach().numpy().copy(),
    )
