"""Self-supervised training of the gates, on series of every contrast.

Belongs here: the settings and the recipe that the backbone's loop runs with. Does not belong here: the loop itself, its
losses, optimiser, checkpoints and curves (backbone), training with reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from spine_models.config import BackboneSettings, SynthesizerSettings
from spine_models.corpus.shards import EpochReader
from spine_models.encoder.backbone.data import OpenReader
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.encoder.backbone.loop import Report, TrainingResult
from spine_models.encoder.backbone.network import Network
from spine_models.encoder.backbone.recipe import Recipe
from spine_models.encoder.backbone.train import pretrain
from spine_models.encoder.synthesizer.files import WEIGHTS, Pair, load_pair, save_fused
from spine_models.encoder.synthesizer.fused import FusedEncoder

NAME: Final = "dinov3-fused"
ROUTE: Final = "all"
"""In the curves' column ``route``: T1, T2 and all others together."""


def training_settings(backbone: BackboneSettings, synthesizer: SynthesizerSettings) -> BackboneSettings:
    """The numbers of the loop: the encoders' own training, but for those that ``synthesizer`` names alike."""
    own = synthesizer.model_dump(exclude={"variant", "hidden", "exported_slices", "align"})
    return BackboneSettings.model_validate(backbone.model_dump() | own | {"snapshots": ()})


def fused_recipe(pair: Pair, settings: BackboneSettings, synthesizer: SynthesizerSettings) -> Recipe:
    """Student: a fused encoder and new heads; only gates, mask tokens and heads are learned."""

    def build() -> Network:
        fused = FusedEncoder(
            pair.t1.backbone, pair.t2.backbone, synthesizer.variant, hidden=synthesizer.hidden
        )
        return Network(settings, fused)

    return Recipe(
        build=build,
        save=lambda folder, fused, trained: save_fused(folder, fused, pair.versions, trained=trained),
        weights=WEIGHTS,
        name=f"{NAME}-{synthesizer.variant}",
        identity={
            "variant": synthesizer.variant,
            "hidden": synthesizer.hidden,
            "encoders": pair.versions,
        },
    )


def synthesize(
    settings: BackboneSettings,
    synthesizer: SynthesizerSettings,
    tars: Sequence[Path],
    out: Path,
    *,
    t1: Path,
    t2: Path,
    resume: bool = True,
    report: Report | None = None,
    stop_after: int | None = None,
    open_reader: OpenReader = EpochReader,
) -> TrainingResult:
    """Train the gates between two frozen encoders with the losses that those were trained with.

    Teacher and student share the encoders; the teacher's gates, mask tokens and heads are the average of the
    student's. Processes, checkpoints and resuming are those of ``backbone.train.pretrain``.

    Args:
        settings: the profile's backbone; its crops, heads, losses and probe. The shape of the network is the encoders'.
        synthesizer: variant and schedule.
        tars: shards of all routes; those in a folder ``val`` are only probed, the others trained on.
        out: folder of the fused encoder and of the checkpoints.
        t1: folder of the T1 encoder.
        t2: folder of the T2 encoder.
        resume: go on from a checkpoint in ``out``; False begins afresh and removes it.
        report: called on rank 0 with the numbers of every step.
        stop_after: stop at this step with a checkpoint; what is written then is marked as not trained.
        open_reader: opens shards.

    Returns:
        Folder (``files.load_fused`` opens it), curves and card; with fewer than ``min_train_slices`` slices those of
        gates as they were initialised.

    Raises:
        EncoderError: a folder holds no encoder of its route.
        ValueError: the encoders' shapes differ.
        TrainingDiverged: too many bad steps in a row.
        CheckpointMismatch: ``out`` holds a checkpoint of another run, or one on other encoders.
    """
    join_process_group()  # before the encoders are opened, so that each process has them on its own GPU
    pair = load_pair(t1, t2)
    shape = pair.settings.model_dump(
        include={"model", "dim", "depth", "heads", "registers", "patch_px", "mlp"}
    )
    loop = training_settings(settings.model_copy(update=shape), synthesizer)
    return pretrain(
        loop,
        tars,
        out,
        route=ROUTE,
        resume=resume,
        report=report,
        stop_after=stop_after,
        open_reader=open_reader,
        recipe=fused_recipe(pair, loop, synthesizer),
    )
