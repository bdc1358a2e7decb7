"""Gram anchoring of one route: training goes on from its encoder, held to the patch similarities it once had.

Belongs here: what the stage starts from and which numbers differ from pretraining. Does not belong here: the loss
(gram_loss), the Gram teacher, the loop that it shares with pretraining.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from spine_models.config import BackboneSettings, GramSettings
from spine_models.corpus.shards import EpochReader
from spine_models.encoder.backbone.data import OpenReader
from spine_models.encoder.backbone.distributed import barrier, rank
from spine_models.encoder.backbone.encoder import (
    CONFIG,
    WEIGHTS,
    EncoderError,
    read_config,
    version_of,
    write_card,
)
from spine_models.encoder.backbone.gram_health import gram_health
from spine_models.encoder.backbone.gram_teacher import GramTeacher, refreshes_done, stage_settings
from spine_models.encoder.backbone.heads import HEADS, load_heads
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.encoder.backbone.loop import (
    Material,
    Report,
    TrainingResult,
    carry_out,
    forked_rng,
)
from spine_models.encoder.backbone.material import nothing_seen, write_seen
from spine_models.encoder.backbone.recipe import single_route
from spine_models.encoder.backbone.run import Run
from spine_models.encoder.backbone.tables import CURVES

Heads = Literal["pretrained", "fresh"]


def anchor(
    settings: BackboneSettings,
    gram: GramSettings,
    tars: Sequence[Path],
    out: Path,
    *,
    route: str,
    start: Path,
    excluded: frozenset[str] = frozenset(),
    resume: bool = True,
    report: Report | None = None,
    stop_after: int | None = None,
    open_reader: OpenReader = EpochReader,
) -> TrainingResult:
    """Train an encoder on with Gram anchoring (DINOv3, arXiv 2508.10104, section 4).

    Student and EMA teacher begin with the encoder's weights, as does the Gram teacher. Heads are those
    published beside it (``heads``), the student's and the teacher's each; where there are none they are fresh, and
    the card says which. The optimiser's moments begin at zero. Resuming is bitwise exact as in
    ``pretrain``, under torchrun too.

    Args:
        settings: those that the encoder was pretrained with.
        gram: of the profile.
        tars: shards of this route, large enough for the Gram teacher's crops (``augment.source_px_needed``).
        out: folder of the new encoder and of the checkpoints; not ``start``.
        route: "t1" or "t2"; must be the encoder's.
        start: folder of the route's encoder.
        excluded: keys of slices that are only looked at, not trained on: those that were made larger to that size
            (``gram_teacher.too_coarse``). The card says how many.
        resume: go on from a checkpoint in ``out``; False begins afresh and removes it.
        report: called on rank 0 with the numbers of every step.
        stop_after: stop at this step with a checkpoint; the encoder written then is marked as not trained.
        open_reader: opens shards.

    Returns:
        With 0 steps, an untrained encoder or too few slices: ``start``'s encoder as it is, with empty curves and the
        reason on the card (``passed_on``).

    Raises:
        EncoderError: ``start`` holds no encoder, or one of another route or of other settings.
        SlicesTooSmall: the Gram teacher's crops would be larger than what the slices hold.
        TrainingDiverged: too many bad steps in a row.
        CheckpointMismatch: ``out`` holds a checkpoint of another run.
        ValueError: ``out`` is ``start``.
    """
    if out.resolve() == start.resolve():
        raise ValueError("the anchored encoder needs a folder of its own: out is start")
    # What pretraining began with is on its own card, and its snapshots are its own.
    settings = settings.model_copy(update={"start": None, "snapshots": ()})
    teacher = GramTeacher.from_folder(start, gram, route=route)
    config = read_config(start)
    if differing := _differing(config["settings"], settings):
        raise EncoderError(
            f"the encoder in folder {start.name} was trained with other {', '.join(differing)}: anchor it with the "
            "settings it has"
        )
    if gram.steps == 0:
        return _passed_on(start, out, config, route=route, reason="gram.steps is 0")
    if not config["trained"]:
        return _passed_on(start, out, config, route=route, reason="the encoder is not trained")
    stage = stage_settings(settings, gram)
    material = Material.gathered(tars, stage, open_reader=open_reader, gram_px=gram.px)
    if material is None:
        return _passed_on(start, out, config, route=route, reason="too few slices")
    held_out = len(material.probe.excluded)
    coarse = _keys(material.tars, open_reader) & excluded if excluded else frozenset()
    material = _without(material, coarse)
    if material.n_train < settings.min_train_slices:
        reason = f"too few slices have the pixels of gram.px: {len(coarse)} do not"
        return _passed_on(start, out, config, route=route, reason=reason, left_out=len(coarse))
    heads: Heads = "pretrained" if (start / HEADS).is_file() else "fresh"
    # Other draws than in the first steps of pretraining; the probe above keeps pretraining's held-out slices.
    stage = stage.model_copy(update={"seed": gram.seed})
    identity = {
        "stage": "gram",
        "route": route,
        "settings": stage.model_dump(mode="json"),
        "gram": gram.model_dump(mode="json"),
        "start": version_of(start),
        "heads": heads,
        "slices": material.digest,
        "too_coarse": hashlib.sha256("\n".join(sorted(coarse)).encode()).hexdigest(),
    }
    device = join_process_group()
    with forked_rng(device):
        run = Run(stage, route, device, material.probe, gram=teacher)
        _begin_with(run, teacher, start)
        details = {
            "stage": "gram",
            "start": identity["start"],
            "heads": heads,
            "gram": identity["gram"],
            "too_coarse": len(coarse),
            "probe_held_out_of_train": held_out,
        }
        result = carry_out(
            run,
            material,
            out,
            identity=identity,
            recipe=replace(single_route(settings, route), keeps_heads=False),
            details=details,
            resume=resume,
            report=report,
            stop_after=stop_after,
            open_reader=open_reader,
        )
        result.card["gram_refreshes"] = refreshes_done(gram, run.state.step)
        result.card["health"] = [finding._asdict() for finding in gram_health(result.curves, stage)]
        if rank() == 0:
            write_card(out, result.card)
    return result


def _differing(trained_with: dict[str, Any], settings: BackboneSettings) -> list[str]:
    """Names of the settings that shape the network or its input and are not the encoder's."""
    shaping = ("model", "patch_px", "dim", "depth", "heads", "registers", "mlp", "rope_base", "pixel_mean")
    shaping += ("pixel_std", "prototypes", "head_hidden", "head_bottleneck", "head_layers")
    shaping += ("head_batch_standardise", "image_px")
    wanted = settings.model_dump(mode="json")
    different = [name for name in shaping if trained_with.get(name) != wanted[name]]
    if bool(trained_with.get("local_crops")) != bool(settings.local_crops):
        different.append("local_crops")
    return different


def _begin_with(run: Run, origin: GramTeacher, start: Path) -> None:
    """Give student and EMA teacher the encoder's backbone, and the heads that were published with it."""
    weights = origin.backbone.state_dict()
    for network in (run.state.student, run.state.teacher):
        network.backbone.load_state_dict(weights)
    load_heads(start, run.state.student, run.state.teacher)


def _keys(tars: Sequence[Path], open_reader: OpenReader) -> frozenset[str]:
    """Keys of the slices of tars."""
    return frozenset(open_reader(tars, seed=0, rank=0, world=1, balance="slice").keys)


def _without(material: Material, coarse: frozenset[str]) -> Material:
    """The material with these slices kept out of the training stream, as the probe's are."""
    probe = material.probe
    n_train = material.n_train - len(coarse - probe.excluded)
    probe.excluded = probe.excluded | coarse
    # The probe looks at its own slices whatever their resolution; "train" is what the stream may draw.
    drawn = ~(pl.col("slice_key").is_in(sorted(coarse)) & (pl.col("role") == "train"))
    return replace(material, n_train=n_train, seen=material.seen.filter(drawn))


def _passed_on(
    start: Path, out: Path, config: dict[str, Any], *, route: str, reason: str, left_out: int = 0
) -> TrainingResult:
    """The encoder as it is: nothing to anchor, or nothing to train on."""
    if rank() == 0:
        out.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, WEIGHTS):
            shutil.copy2(start / name, out / name)
    barrier()
    version = version_of(out)
    card = {"name": f"dinov3-{route}", "route": route, "version": version, "trained": config["trained"]}
    card |= {"steps": 0, "stage": "gram", "start": version, "passed_on": reason, "too_coarse": left_out}
    if rank() == 0:
        write_card(out, card)
        write_seen(out, nothing_seen())
    return TrainingResult(out, pl.DataFrame(schema=CURVES), card)
