"""The report model's two trainings: the projector is warmed up, then adapters are tuned with it.

Belongs here: the loop's step and the runs' files. Does not belong here: the parts (``model``, ``adapters``), examples,
who may be trained on, whether what came out may write drafts (``fitness``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from spine_models.config import LlavaSettings
from spine_models.encoder.backbone.distributed import barrier, rank, world_size
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.reporting.agents.serialised import SPECIAL_TOKENS
from spine_models.reporting.llava import adapters
from spine_models.reporting.llava.adapters import Lora
from spine_models.reporting.llava.decoder import open_decoder
from spine_models.reporting.llava.examples import ReportStudy
from spine_models.reporting.llava.fitness import Fitness, measure_fitness
from spine_models.reporting.llava.images import LlavaDataError
from spine_models.reporting.llava.loop import CHECKPOINTS, Report, begin, follow
from spine_models.reporting.llava.model import Llava
from spine_models.reporting.llava.projector import Projector
from spine_models.reporting.llava.run import DTYPES, Run, Stage
from spine_models.reporting.llava.seen import seen_studies
from spine_models.reporting.llava.tables import CURVES, FITNESS


@dataclass(frozen=True)
class LlavaResult:
    """``folder`` holds the model (``adapters.load_llava`` opens it), its card, curves and the last checkpoint.

    ``seen`` (tables.SEEN) names the studies that were trained on and measured, ``fitness`` (tables.FITNESS) what a
    tuned model makes of claims; it has no rows for a warmed one.
    """

    folder: Path
    curves: pl.DataFrame
    card: dict[str, Any]
    seen: pl.DataFrame
    fitness: pl.DataFrame


def warm_up(
    settings: LlavaSettings,
    train: Sequence[ReportStudy],
    val: Sequence[ReportStudy],
    out: Path,
    *,
    decoder: Path,
    decoder_version: str,
    parents: Mapping[str, Any],
    resume: bool = True,
    report: Report | None = None,
    stop_after: int | None = None,
) -> LlavaResult:
    """Train the projector alone, on reports under their images alone.

    Under torchrun every process calls this with the same arguments; ``batch_size`` is that of all together.
    Checkpoints lie in ``out/checkpoints`` every ``checkpoint_every`` steps and at the end; a killed run called again
    with ``resume`` goes on from the last whole one and ends with bitwise the same weights (same machine, same number of
    threads and processes).

    Args:
        settings: of the profile.
        train: studies of the train split (``studies.report_studies``).
        val: studies that are only measured; nothing is chosen by it.
        out: folder of the model and of the checkpoints.
        decoder: folder of the decoder.
        decoder_version: content hash of it (``decoder.decoder_version``).
        parents: what vectors, reports and claims come from, for the card.
        resume: go on from a checkpoint in ``out``; False begins afresh and removes it.
        report: called on rank 0 with the numbers of every step, and ``steps`` in all.
        stop_after: stop at this step with a checkpoint; the model written then is marked as not trained.

    Returns:
        With fewer than ``min_train_studies`` studies that have a report a model as it was initialised, marked as not
        trained.

    Raises:
        LlavaDataError: a patient in both splits, or no study with a slice vector.
        DecoderError: the decoder cannot be opened.
        TrainingDiverged: too many bad steps in a row.
        CheckpointMismatch: ``out`` holds a checkpoint of another run.
    """
    alone = settings.model_copy(update={"image_only_share": 1.0, "known_share": 0.0})
    stage = Stage("warmed", "llava.warm", settings.warm, alone, items=False)
    with _seeded(settings) as device:
        llava = _new(settings, [*train, *val], decoder)
        adapters.train_projector(llava)
        about = {"decoder": decoder_version}
        return _train(
            settings, stage, llava.to(device), train, val, out, about, parents, resume, report, stop_after
        )


def tune(
    settings: LlavaSettings,
    train: Sequence[ReportStudy],
    val: Sequence[ReportStudy],
    out: Path,
    *,
    warmed: Path,
    decoder: Path,
    decoder_version: str,
    parents: Mapping[str, Any],
    resume: bool = True,
    report: Report | None = None,
    stop_after: int | None = None,
) -> LlavaResult:
    """Train LoRA on the decoder, the special tokens and the projector on, on reports and instruction items.

    Of a tuned model it is measured on ``val`` whether it says what it is told (``fitness``).

    Args:
        warmed: folder of the warmed model.
        settings: as in ``warm_up``, as everything else.
        train: see there.
        val: see there.
        out: see there.
        decoder: see there.
        decoder_version: see there.
        parents: see there.
        resume: see there.
        report: see there.
        stop_after: see there.

    Raises:
        LlavaModelError: the warmed model is missing, or of another decoder.
        LlavaDataError, DecoderError, TrainingDiverged, CheckpointMismatch: as ``warm_up``.
    """
    stage = Stage("tuned", "llava.tune", settings.tune, settings, items=True)
    with _seeded(settings) as device:
        model, tokenizer = open_decoder(decoder, dtype=DTYPES[settings.precision])
        llava = adapters.load_llava(warmed, model, tokenizer, decoder_version=decoder_version)
        adapters.add_lora(
            llava, Lora(settings.lora_r, settings.lora_alpha, settings.lora_dropout), seed=settings.seed
        )
        adapters.train_adapters(llava)
        about = {"decoder": decoder_version, "warmed": adapters.version_of(warmed)}
        return _train(
            settings, stage, llava.to(device), train, val, out, about, parents, resume, report, stop_after
        )


class _seeded:
    """A block with the run's seed on this process's device; the caller's random numbers are left alone."""

    def __init__(self, settings: LlavaSettings) -> None:
        self.device = join_process_group()
        self._seed = settings.seed
        self._fork = torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else [])

    def __enter__(self) -> torch.device:
        self._fork.__enter__()
        torch.manual_seed(self._seed)
        return self.device

    def __exit__(self, *error: Any) -> None:
        self._fork.__exit__(*error)


def _new(settings: LlavaSettings, studies: Sequence[ReportStudy], folder: Path) -> Llava:
    widths = sorted({s.images.vectors.shape[1] for s in studies if s.images is not None})
    if len(widths) != 1:
        raise LlavaDataError(
            "no study has a slice vector: embed the batches first"
            if not widths
            else "slice vectors have several lengths: embed the batches again"
        )
    model, tokenizer = open_decoder(folder, dtype=DTYPES[settings.precision])
    width = int(model.config.hidden_size)
    projector = Projector(widths[0], width, queries=settings.queries, heads=settings.heads)
    return Llava(model, tokenizer, projector, special_tokens=SPECIAL_TOKENS, max_length=settings.max_length)


def _train(
    settings: LlavaSettings,
    stage: Stage,
    llava: Llava,
    train: Sequence[ReportStudy],
    val: Sequence[ReportStudy],
    out: Path,
    about: dict[str, str],
    parents: Mapping[str, Any],
    resume: bool,
    report: Report | None,
    stop_after: int | None,
) -> LlavaResult:
    if shared := {s.patient_key for s in train} & {s.patient_key for s in val}:
        raise LlavaDataError(f"{len(shared)} patients are in train and in val: split by patient")
    identity = {
        "settings": _counting(settings, stage),
        "train": manifest(train),
        "val": manifest(val),
        "parents": json.loads(json.dumps({**parents, **about})),
    }
    run = Run(settings, stage, llava, _in_order(train), _in_order(val))
    begin(out / CHECKPOINTS, run.state, identity, resume=resume)
    reports = [s for s in run.train if s.target]
    enough = len(reports) >= max(settings.min_train_studies, 2 * world_size())
    if enough:
        follow(
            run.pace,
            run.state,
            out / CHECKPOINTS,
            identity,
            gradients=run.gradients,
            measure=run.measure,
            report=report,
            stop_after=stop_after,
        )
    trained = enough and run.state.step == run.pace.steps
    fitness = None
    if stage.name == "tuned" and trained:
        fitness = measure_fitness(llava, run.val, settings)
    return _finished(run, out, identity, trained, fitness)


def manifest(studies: Sequence[ReportStudy]) -> str:
    """sha256 over what the model is shown of studies, in key order: texts, lines, items and slice vectors."""
    digest = hashlib.sha256()
    for s in _in_order(studies):
        texts: list[Any] = [s.study_key, s.patient_key, s.target, s.known, s.agents, s.similar]
        texts.append([[list(turn) for turn in turns] for turns in s.items])
        digest.update(json.dumps(texts).encode())
        if s.images is not None:
            digest.update(json.dumps(s.images.slice_keys).encode())
            digest.update(s.images.vectors.tobytes())
    return digest.hexdigest()


def _in_order(studies: Sequence[ReportStudy]) -> list[ReportStudy]:
    return sorted(studies, key=lambda study: study.study_key)


def _counting(settings: LlavaSettings, stage: Stage) -> dict[str, Any]:
    """Settings that the outcome depends on."""
    own = {"queries", "heads", "max_slices", "max_length", "precision", "min_train_studies", "seed"}
    if stage.name == "tuned":
        own |= {"lora_r", "lora_alpha", "lora_dropout", "image_only_share", "known_share", "items_per_study"}
    return settings.model_dump(mode="json", include=own) | {"stage": stage.settings.model_dump(mode="json")}


def _finished(
    run: Run, out: Path, identity: dict[str, Any], trained: bool, fitness: Fitness | None
) -> LlavaResult:
    """Write the model, its curves and its card on rank 0; the same result on every rank."""
    curves = pl.DataFrame(run.state.rows, schema=CURVES)
    shown = run.stage.items
    seen = seen_studies(
        [s for s in run.train if s.target or (shown and s.items)],
        [s for s in run.val if s.target or fitness is not None],
        trained=run.state.step > 0,
        shown=shown,
    )
    reports, losses = sum(bool(s.target) for s in run.train), curves["val_loss"].drop_nulls()
    card: dict[str, Any] = {
        "name": f"llava-{run.stage.name}",
        "trained": trained,
        "steps": run.state.step,
        "skipped_steps": run.state.optimiser.skipped,
        "processes": world_size(),
        "examples_per_step": run.stage.settings.batch_size,
        "n_learning": sum(p.numel() for p in run.state.network.parameters()),
        "val_loss": float(losses[-1]) if len(losses) else None,
        "too_long": run.too_long,
        "parents": identity["parents"],
        "settings": identity["settings"],
        "manifest": {
            "train_studies": len(run.train),
            "train_reports": reports,
            "without_images": sum(s.images is None for s in run.train),
            "val_studies": len(run.val),
            "train_sha256": identity["train"],
            "val_sha256": identity["val"],
        },
    }
    if not trained and reports < run.settings.min_train_studies:
        card["reason"] = (
            f"{reports} reports of train patients, {run.settings.min_train_studies} are asked for"
        )
    if fitness is not None:
        card |= fitness.card
    if rank() == 0:
        adapters.save_llava(
            out,
            run.llava,
            decoder_version=identity["parents"]["decoder"],
            trained=run.stage.name if trained else "no",
        )
        curves.write_parquet(out / "curves.parquet")
        seen.write_parquet(out / "seen.parquet")
    barrier()
    card["version"] = adapters.version_of(out)
    if rank() == 0:
        adapters.write_card(out, card)
    table = pl.DataFrame(schema=FITNESS) if fitness is None else fitness.table
    return LlavaResult(out, curves, card, seen, table)
