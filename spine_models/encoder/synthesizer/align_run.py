"""One run of the training with reports on this process: its step, and the held-out measure.

Belongs here: what a step is. Does not belong here: the loop and its files (``align``), images (``align_data``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor

from spine_models.config import AlignSettings
from spine_models.encoder.backbone.distributed import rank, summed, world_size
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.encoder.clip.alike import likeness
from spine_models.encoder.clip.batch import batch_indices, batch_sizes
from spine_models.encoder.clip.checkpoint import ClipState
from spine_models.encoder.clip.contrastive import contrastive_loss
from spine_models.encoder.clip.grad_cache import cached_backward
from spine_models.encoder.clip.model import ClipModel
from spine_models.encoder.clip.objective import Embedded
from spine_models.encoder.clip.optim import ClipOptimiser, learning_rate
from spine_models.encoder.clip.retrieval import retrieval
from spine_models.encoder.clip.variants import Pair
from spine_models.encoder.synthesizer.align_data import AlignStudies, ImageBag, SliceImages, image_bag
from spine_models.encoder.synthesizer.align_network import AlignNetwork
from spine_models.encoder.synthesizer.files import OpenFused
from spine_models.encoder.synthesizer.tables import ALIGN_CURVES, ALIGN_RETRIEVAL

_TERMS = (Pair("study", "report", 1.0),)
_TRAINING, _MEASURING, _HEAD, _DROPOUT = range(4)  # apart, so that no draw of one is a draw of another


class _Reports(NamedTuple):
    """What the frozen text side of a clip says of studies' reports."""

    vectors: Tensor  # [N, dim]
    present: Tensor  # [N] bool


class AlignRun:
    """Network, optimiser and curves of one run on this process.

    Attributes:
        network: what is trained.
        train: studies of the train split.
        val: held-out studies, with "all" their series and with the "other" ones alone.
        own: studies of this rank in a step.
        steps: of the whole run.
        state: what a checkpoint keeps.
    """

    def __init__(
        self,
        settings: AlignSettings,
        source: OpenFused,
        clip: ClipModel,
        train: AlignStudies,
        val: Mapping[str, AlignStudies],
        shard_roots: Mapping[str, Path],
    ) -> None:
        self.settings, self.train, self.val, self.device = settings, train, val, join_process_group()
        self.reports = _reports(clip, train)
        self.val_reports = {name: _reports(clip, studies) for name, studies in val.items()}
        self.scale = clip.network.scale().detach().to(self.device)
        shards = sorted({shard for studies in (train, *val.values()) for shard in studies.shards})
        self.images = SliceImages(shards, shard_roots) if shards else None
        self.alike = _labels(train) if settings.mask_alike else None
        self.val_alike = {name: _labels(part) if settings.mask_alike else None for name, part in val.items()}
        # Clip seeds its network alike: the plain seed would draw the very head that clip's T1 side started from, and a
        # head that was never trained here would find reports.
        torch.manual_seed(_seed(settings.seed, _HEAD))
        self.network = AlignNetwork(
            source.encoder, settings, clip.settings.dim, precision=source.settings.precision
        ).to(self.device)
        self.network.train()
        self.own, self.steps_per_epoch = batch_sizes(len(train), settings.batch_size, world_size())
        self.steps = settings.epochs * self.steps_per_epoch
        torch.manual_seed(_seed(settings.seed, _DROPOUT, rank()))
        optimiser = ClipOptimiser(self.network, settings, section="synthesizer.align")
        self.state = ClipState(self.network, optimiser, curves=ALIGN_CURVES)

    def _bag(self, studies: AlignStudies, indices: list[int], *draw: int) -> ImageBag:
        assert self.images is not None
        rngs = (np.random.default_rng([self.settings.seed, *draw, index]) for index in indices)
        drawn = [
            studies.drawn(index, self.settings.slices, rng) for index, rng in zip(indices, rngs, strict=True)
        ]
        return image_bag(drawn, self.images)

    def advance(self) -> dict[str, Any]:
        """One step; returns its row. A step that is not finite changes no weight."""
        settings, state = self.settings, self.state
        indices = batch_indices(
            len(self.train),
            self.own,
            step=state.step,
            seed=settings.seed,
            rank=rank(),
            world=world_size(),
        )
        parts = [indices[i : i + settings.chunk_size] for i in range(0, len(indices), settings.chunk_size)]
        bags = [self._bag(self.train, part, _TRAINING, state.step) for part in parts]
        right, present = (part[indices].to(self.device) for part in self.reports)
        alike = None if self.alike is None else self.alike[indices].to(self.device)

        def loss(vectors: dict[str, Tensor]) -> Tensor:
            return contrastive_loss(vectors["study"], right, present, self.scale, alike)

        state.optimiser.zero_grad()
        total = cached_backward(bags, lambda bag: {"study": self.network(bag)}, loss)
        lr = learning_rate(settings, state.step)
        norm = state.optimiser.step(total, lr)
        row = dict.fromkeys(ALIGN_CURVES) | {"epoch": state.step // self.steps_per_epoch, "lr": lr}
        state.step += 1
        mean = float(summed(total) / world_size())
        return row | {"step": state.step, "loss": mean, "grad_norm": float("nan") if norm is None else norm}

    @torch.no_grad()
    def measured(self, stage: str, series: tuple[str, ...] = ("all", "other")) -> pl.DataFrame:
        """ALIGN_RETRIEVAL of the held-out studies: the same slices whenever it is called, nothing drawn from torch."""
        self.network.eval()
        tables = [pl.DataFrame(schema=ALIGN_RETRIEVAL)]
        for name in series:
            studies, reports = self.val[name], self.val_reports[name]
            size = self.settings.chunk_size
            found = [torch.zeros(0, reports.vectors.shape[1])]
            for start in range(0, len(studies), size):
                part = list(range(start, min(start + size, len(studies))))
                found.append(self.network(self._bag(studies, part, _MEASURING)).float().cpu())
            there = torch.ones(len(studies), dtype=torch.bool)
            both = Embedded(
                {"study": torch.cat(found), "report": reports.vectors},
                {"study": there, "report": reports.present},
            )
            labels = {"stage": pl.lit(stage), "series": pl.lit(name)}
            tables.append(
                retrieval(both, _TERMS, self.val_alike[name])
                .with_columns(**labels)
                .select(ALIGN_RETRIEVAL.names())
            )
        self.network.train()
        return pl.concat(tables)


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint32)[0])


def _labels(studies: AlignStudies) -> Tensor:
    return likeness(studies.study_keys, studies.patient_keys, studies.reports)


def _reports(clip: ClipModel, studies: AlignStudies) -> _Reports:
    if not len(studies):
        return _Reports(torch.zeros(0, clip.settings.dim), torch.zeros(0, dtype=torch.bool))
    return _Reports(*clip.embed_reports(studies.reports))
