"""Pretraining of one route, from shards to an encoder.

Belongs here: what pretraining starts from. Does not belong here: the loop and its parts (loop, run), the stage after
it (anchor), and who starts it (torchrun, an asset, a notebook).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import torch

from spine_models.config import BackboneSettings
from spine_models.corpus.shards import EpochReader
from spine_models.encoder.backbone.data import OpenReader
from spine_models.encoder.backbone.encoder import version_of, write_card
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.encoder.backbone.loop import Material, Report, TrainingResult, carry_out, forked_rng
from spine_models.encoder.backbone.material import nothing_seen, sound_tars, write_seen
from spine_models.encoder.backbone.recipe import Recipe, single_route
from spine_models.encoder.backbone.run import Run
from spine_models.encoder.backbone.start import started
from spine_models.encoder.backbone.tables import CURVES


def untrained(
    settings: BackboneSettings,
    out: Path,
    *,
    route: str,
    recipe: Recipe | None = None,
    left_out: dict[str, str] | None = None,
) -> TrainingResult:
    """Write an encoder as it was initialised, marked ``trained: false``, for routes with too few slices to train on.

    Without a recipe that is the draw of ``settings.seed``, whatever ``settings.start`` says. ``left_out`` goes onto the
    card: shards that could not be read, each with what was wrong with it.
    """
    recipe = recipe or single_route(settings.model_copy(update={"start": None}), route)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = recipe.build()
    recipe.save(out, network.backbone, False)
    version = version_of(out, recipe.weights)
    card = {"name": recipe.name, "route": route, "version": version, "trained": False, "steps": 0}
    card |= recipe.identity | {"skipped_shards": left_out or {}}
    write_card(out, card)
    write_seen(out, nothing_seen())
    return TrainingResult(out, pl.DataFrame(schema=CURVES), card)


def pretrain(
    settings: BackboneSettings,
    tars: Sequence[Path],
    out: Path,
    *,
    route: str,
    resume: bool = True,
    report: Report | None = None,
    stop_after: int | None = None,
    open_reader: OpenReader = EpochReader,
    recipe: Recipe | None = None,
) -> TrainingResult:
    """Train one encoder.

    Under torchrun every process calls this with the same arguments; ``batch_size`` is per process. Checkpoints lie in
    ``out/checkpoints`` every ``checkpoint_every`` steps and at the end; a killed run called again with ``resume``
    goes on from the last whole one and ends with bitwise the same weights (same machine, same number of threads).

    Args:
        settings: of the profile; with ``start`` its checkpoint is what student and teacher begin with.
        tars: shards of this route; those in a folder ``val`` are only probed, the others trained on.
        out: folder of the encoder and of the checkpoints.
        route: "t1" or "t2".
        resume: go on from a checkpoint in ``out``; False begins afresh and removes it.
        report: called on rank 0 with the numbers of every step.
        stop_after: stop at this step with a checkpoint; the encoder written then is marked as not trained.
        open_reader: opens shards.
        recipe: what is trained, and with what it begins; None trains the ViT of the settings.

    Returns:
        With fewer than ``min_train_slices`` slices (beside those held out for the probe) that of ``untrained``.

    Raises:
        ShardError: a shard cannot be read, and ``corrupt_shards`` is "stop".
        TrainingDiverged: too many bad steps in a row.
        CheckpointMismatch: ``out`` holds a checkpoint of another run.
        StartError: ``settings.start`` is no checkpoint for this network.
    """
    if recipe is None and settings.start is not None:
        recipe = started(settings, route)
    # The recipe's identity names a checkpoint by its content; where it lay says nothing and may be anyone's folder.
    settings = settings.model_copy(update={"start": None})
    recipe = recipe or single_route(settings, route)
    material = Material.gathered(tars, settings, open_reader=open_reader)
    if material is None:
        _, left_out = sound_tars(tars, settings)
        return untrained(settings, out, route=route, recipe=recipe, left_out=left_out)
    identity = {
        "route": route,
        "settings": settings.model_dump(mode="json"),
        "slices": material.digest,
    } | recipe.identity
    device = join_process_group()
    with forked_rng(device):
        return carry_out(
            Run(settings, route, device, material.probe, recipe=recipe),
            material,
            out,
            identity=identity,
            recipe=recipe,
            details={},
            resume=resume,
            report=report,
            stop_after=stop_after,
            open_reader=open_reader,
        )
