"""Alignment: what a large contrastive batch in chunks costs in time and saves in memory, beside the batch at once.

Belongs here: a step's two ways to the same gradient, timed in turns. Does not belong here: absolute times, retrieval.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from timing import in_turns

from spine_models.config import ClipSettings, load_profile
from spine_models.encoder.clip.data import ClipStudy, RouteSlices
from spine_models.encoder.clip.grad_cache import cached_backward
from spine_models.encoder.clip.model import ClipModel, new_model
from spine_models.encoder.clip.objective import Embedded, clip_objective
from spine_models.encoder.clip.optim import ClipOptimiser

STUDIES, DIM = 64, 128
CHUNKS = (16, 8)
ROUNDS = 7


def bench() -> list[tuple[str, float, str]]:
    """Time: 1 is for nothing, and a second forward is about 4 / 3. Memory: below 1 is what chunks save."""
    settings = load_profile("phantom").clip
    model = new_model(settings, {"t1": DIM, "t2": DIM}, studies := _studies(settings))
    whole, *chunked = [_step(settings, model, studies, size) for size in (STUDIES, *CHUNKS)]
    times = in_turns(ROUNDS, whole, *chunked)
    held = _most_held(model, whole)
    rows = []
    for size, time, step in zip(CHUNKS, times, chunked, strict=True):
        memory = _most_held(model, step) / held
        rows += [
            (f"clip: time of chunks of {size}", time, f"step in chunks / {STUDIES} studies at once"),
            (f"clip: memory of chunks of {size}", memory, "most bytes held for backward / at once"),
        ]
    return rows


def _step(
    settings: ClipSettings, model: ClipModel, studies: list[ClipStudy], size: int
) -> Callable[[], None]:
    network = model.network.train()
    optimiser = ClipOptimiser(network, settings)
    chunks = list(model.batches(model.prepare(studies), size))
    parts = [network.present(chunk) for chunk in chunks]
    present = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def loss(vectors: Mapping[str, Tensor]) -> Tensor:
        return clip_objective(Embedded(vectors, present), network.scale(), network.terms).total

    def step() -> None:
        optimiser.zero_grad()
        optimiser.step(cached_backward(chunks, network.embed, loss), 1e-4)

    return step


def _most_held(model: ClipModel, step: Callable[[], None]) -> int:
    """Largest number of bytes that graphs hold at a time during a step; weights, which stay anyway, do not count."""
    weights = {p.untyped_storage().data_ptr() for p in model.network.parameters()}
    uses: Counter[int] = Counter()
    held = most = 0

    class Held:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal held, most
            self.tensor, storage = tensor, tensor.untyped_storage()
            self.place, self.size = storage.data_ptr(), storage.nbytes()
            if self.place not in weights and not uses[self.place]:
                held += self.size
                most = max(most, held)
            uses[self.place] += 1

        def __del__(self) -> None:
            nonlocal held
            uses[self.place] -= 1
            if self.place not in weights and not uses[self.place]:
                held -= self.size

    with torch.autograd.graph.saved_tensors_hooks(Held, lambda own: own.tensor):
        step()
    return most


def _studies(settings: ClipSettings) -> list[ClipStudy]:
    """Full bags of both routes, and reports of about a hundred words."""
    rng = np.random.default_rng(0)
    words = [
        "disc",
        "bulge",
        "canal",
        "stenosis",
        "facet",
        "normal",
        "L4-L5",
        "mild",
        "severe",
        "no",
        "cord",
        ".",
    ]
    studies = []
    for number in range(STUDIES):
        n = settings.max_slices
        routes = {
            route: RouteSlices(
                rng.normal(size=(n, DIM)).astype(np.float32), np.arange(n) // 8, np.zeros(n, dtype=np.int64)
            )
            for route in ("t1", "t2")
        }
        report = "FINDINGS: " + " ".join(rng.choice(words, 100))
        studies.append(ClipStudy(f"{number:03d}", f"{number:03d}", routes, report))
    return studies
