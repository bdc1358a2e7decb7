"""Every training stage of a profile as numbers: parameters, FLOPs, memory, time, disk.

Belongs here: which networks and batches a stage has. Does not belong here: formulas, text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch

from spine_models.config import BackboneSettings, Profile
from spine_models.encoder.backbone.gram_teacher import stage_settings
from spine_models.encoder.backbone.masking import batch_masks
from spine_models.encoder.clip.variants import ROUTES
from spine_models.encoder.sizes import flops, memory
from spine_models.encoder.sizes.alignment import (
    alignment_activations,
    alignment_step,
    built_alignment,
)
from spine_models.encoder.sizes.devices import Gpu
from spine_models.encoder.sizes.flops import Batch
from spine_models.encoder.sizes.memory import FLOAT, Memory, Networks
from spine_models.encoder.sizes.shape import Shape, built, parameters, shape_of
from spine_models.encoder.synthesizer.fused import FusedEncoder
from spine_models.encoder.synthesizer.gates import FIXED
from spine_models.encoder.synthesizer.train import training_settings

BYTES_A_PIXEL: Final = 1.11
"""Of a shard: measured on phantom slices with the codec that is used (55,693 bytes at 224 px)."""


@dataclass(frozen=True)
class Mode:
    """How a stage runs: replicas (DDP) or shards (FSDP2), with activation checkpointing or not."""

    sharded: bool
    checkpointed: bool

    @property
    def name(self) -> str:
        """As the table shows it."""
        return ("FSDP2" if self.sharded else "DDP") + (" + checkpointing" if self.checkpointed else "")


MODES: Final = (Mode(False, False), Mode(False, True), Mode(True, False), Mode(True, True))
"""The fastest first."""


@dataclass(frozen=True)
class StageSize:
    """One stage of a profile.

    Attributes:
        name: of the stage.
        runs: how often it runs (once a route).
        parameters: of all networks that a process holds, teachers included.
        trained: of the student, with gradient.
        processes: of a run.
        unit: what a step takes, "slices" or "studies".
        units_a_step: of all processes together.
        steps: of one run.
        flops: of one process's step.
        recomputed: of the same step beside that, where activations are checkpointed.
        memory: of one process, by mode.
        mode: that the profile sets.
        checkpoint_bytes: of one checkpoint.
        model_bytes: of what is kept.
    """

    name: str
    runs: int
    parameters: int
    trained: int
    processes: int
    unit: str
    units_a_step: int
    steps: int
    flops: int
    recomputed: int
    memory: Mapping[Mode, Memory] = field(repr=False)
    mode: Mode
    checkpoint_bytes: int = 0
    model_bytes: int = 0

    def fits(self, gpu: Gpu, mode: Mode | None = None) -> bool:
        """Whether a mode, by default the one that is set, fits the device."""
        return self.memory[mode or self.mode].total <= gpu.usable_bytes

    @property
    def work(self) -> int:
        """FLOPs of one process's step in the mode that is set."""
        return self.flops + (self.recomputed if self.mode.checkpointed else 0)

    def seconds_a_step(self, gpu: Gpu, utilisation: float) -> float:
        """Time of a step at a share of the device's peak rate."""
        return self.work / (gpu.peak_tflops * 1e12 * utilisation)

    def hours(self, gpu: Gpu, utilisation: float) -> float:
        """Time of all runs, one after the other."""
        seconds = self.seconds_a_step(gpu, utilisation)
        return self.runs * self.steps * seconds / 3600


def stage_sizes(profile: Profile, *, studies: int) -> list[StageSize]:
    """Backbone, Gram anchoring, synthesizer and alignment of a profile.

    Args:
        profile: its numbers.
        studies: of the corpus; the alignment's steps follow from them.
    """
    backbone = profile.backbone
    network = built(backbone)
    shape = shape_of(network, backbone)
    body, whole = parameters(network.backbone), parameters(network)
    block = parameters(network.backbone.vit.blocks[0])
    unit = max(block, parameters(network.dino_head))
    heads = whole - body
    loop = training_settings(backbone, profile.synthesizer)
    with torch.device("meta"):
        pair = (built(loop).backbone, built(loop).backbone)
        fused = FusedEncoder(*pair, profile.synthesizer.variant, hidden=profile.synthesizer.hidden)
    frozen = sum(parameters(one) for one in pair)
    learned = parameters(fused) + heads
    return [
        _self_supervised(
            "backbone", shape, backbone, Networks(whole, 0, whole, unit), model=body, runs=len(ROUTES)
        ),
        _self_supervised(
            "gram",
            shape,
            stage_settings(backbone, profile.gram),
            Networks(whole, 0, whole + body, unit),
            model=body,
            runs=len(ROUTES),
            profile=profile,
        ),
        _synthesizer(shape, loop, profile, Networks(learned, frozen, learned, unit), parameters(fused)),
        _alignment(profile, studies),
    ]


def step_batch(settings: BackboneSettings) -> Batch:
    """One process's images of a step, with as many masked patches as the masks of training have."""
    rows = settings.image_px // settings.patch_px
    masks = batch_masks(
        settings.batch_size * settings.global_crops,
        (rows, rows),
        probability=settings.mask_probability,
        ratio=settings.mask_ratio,
        generator=np.random.default_rng(settings.seed),
    )
    return Batch(
        images=settings.batch_size,
        global_crops=settings.global_crops,
        local_crops=settings.local_crops,
        global_px=settings.image_px,
        local_px=settings.local_px,
        masked=int(masks.sum()),
        processes=settings.processes,
        drop_path=settings.drop_path,
    )


def _itemsize(settings: BackboneSettings) -> int:
    return 2 if settings.precision == "bfloat16" else FLOAT


def _self_supervised(
    name: str,
    shape: Shape,
    settings: BackboneSettings,
    networks: Networks,
    *,
    model: int,
    runs: int,
    profile: Profile | None = None,
) -> StageSize:
    """Pretraining, or with a profile its Gram anchoring."""
    batch, itemsize = step_batch(settings), _itemsize(settings)
    losses = memory.loss_bytes(shape, batch)
    room = memory.loss_room(shape, batch, itemsize=itemsize)
    work, again = (flops.pretraining_step(shape, batch, recomputed=redo) for redo in (False, True))
    if profile is not None:
        gram, level = profile.gram, profile.gram.image_level
        losses += memory.gram_bytes(shape, batch, image_level=level)
        # The Gram teacher runs when the student's activations are already there.
        room = max(room, memory.forward_room(shape, batch.globals, gram.px, itemsize=itemsize))
        work, again = (
            flops.gram_step(shape, batch, gram_px=gram.px, image_level=level, recomputed=redo)
            for redo in (False, True)
        )
    needed = {
        mode: memory.process_memory(
            networks,
            activations=memory.backbone_activations(
                shape,
                batch,
                itemsize=itemsize,
                checkpointed=mode.checkpointed,
                all_patches=profile is not None,
            ),
            losses=losses + room,
            processes=settings.processes,
            sharded=mode.sharded,
        )
        for mode in MODES
    }
    return _stage(name, settings, networks, (work, again), needed, model=model, runs=runs)


def _synthesizer(
    shape: Shape, settings: BackboneSettings, profile: Profile, networks: Networks, model: int
) -> StageSize:
    batch, itemsize, variant = step_batch(settings), _itemsize(settings), profile.synthesizer.variant
    streams = 1 if variant in FIXED else 2
    hidden = profile.synthesizer.hidden if variant == "conditional" else 0
    work = flops.synthesizer_step(shape, batch, streams=streams, gate_hidden=hidden)
    needed = {
        mode: memory.process_memory(
            networks,
            activations=memory.frozen_activations(
                shape,
                batch,
                streams=streams,
                itemsize=itemsize,
            ),
            losses=memory.loss_bytes(shape, batch) + memory.loss_room(shape, batch, itemsize=itemsize),
            processes=settings.processes,
            sharded=mode.sharded,
        )
        for mode in MODES
        if not mode.checkpointed  # which is of a student's own blocks; these are the frozen encoders'
    }
    return _stage("synthesizer", settings, networks, (work, work), needed, model=model, runs=1)


def _stage(
    name: str,
    settings: BackboneSettings,
    networks: Networks,
    work: tuple[int, int],
    needed: Mapping[Mode, Memory],
    *,
    model: int,
    runs: int,
) -> StageSize:
    return StageSize(
        name=name,
        runs=runs if settings.steps else 0,
        parameters=networks.trained + networks.frozen + networks.teachers,
        trained=networks.trained,
        processes=settings.processes,
        unit="slices",
        units_a_step=settings.batch_size * settings.processes,
        steps=settings.steps,
        flops=work[0],
        recomputed=work[1] - work[0],
        memory=needed,
        # Gates between frozen encoders are trained with none of the encoders' blocks run again.
        mode=Mode(settings.parallel == "fsdp2", settings.activation_checkpointing and name != "synthesizer"),
        checkpoint_bytes=FLOAT * (3 * networks.trained + networks.teachers),
        model_bytes=FLOAT * model,
    )


def _alignment(profile: Profile, studies: int) -> StageSize:
    settings = profile.clip
    alignment = built_alignment(settings, dict.fromkeys(ROUTES, 3 * profile.backbone.dim))
    learned = parameters(alignment.network)
    processes = settings.processes
    own = min(settings.batch_size, max(int(studies * profile.shards.train_fraction) // processes, 1))
    networks = Networks(learned, alignment.text_parameters, 0, learned)
    activations = alignment_activations(alignment, studies=own, processes=processes)
    needed = {
        mode: memory.process_memory(
            networks, activations=activations, losses=0, processes=processes, sharded=mode.sharded
        )
        for mode in MODES
        if not mode.checkpointed
    }
    a_epoch = int(studies * profile.shards.train_fraction) // (own * processes)
    return StageSize(
        name="clip",
        runs=1,
        parameters=learned + alignment.text_parameters,
        trained=learned,
        processes=processes,
        unit="studies",
        units_a_step=own * processes,
        steps=settings.epochs * a_epoch,
        flops=alignment_step(alignment, studies=own, processes=processes),
        recomputed=0,
        memory=needed,
        mode=MODES[0],
        checkpoint_bytes=3 * FLOAT * learned,
        model_bytes=FLOAT * learned,
    )


def shard_bytes(profile: Profile, slices: int) -> float:
    """Bytes of a corpus's shards."""
    return slices * profile.shards.size_px**2 * BYTES_A_PIXEL
