"""The synthesizer's training with reports, "then CLIP with it active": from a fused encoder to an aligned one.

Belongs here: the loop and the run's files. Does not belong here: a step (``align_run``), the self-supervised stage
before this one (``train``), what is trained (``align_network``), the reports' own training (``clip``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from spine_models.config import SynthesizerSettings
from spine_models.encoder.backbone.distributed import barrier, rank, world_size
from spine_models.encoder.backbone.encoder import write_card
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.encoder.backbone.whole import latest, remove
from spine_models.encoder.clip import checkpoint, model
from spine_models.encoder.clip.data import ClipDataError
from spine_models.encoder.clip.tables import SEEN
from spine_models.encoder.clip.train import CHECKPOINTS, CURVES_FILE, SEEN_FILE
from spine_models.encoder.synthesizer.align_data import AlignStudies
from spine_models.encoder.synthesizer.align_run import AlignRun
from spine_models.encoder.synthesizer.alignment import save_alignment
from spine_models.encoder.synthesizer.files import OpenFused, open_fused, save_fused
from spine_models.encoder.synthesizer.tables import ALIGN_CURVES

Report = Callable[[dict[str, float]], None]
RETRIEVAL_FILE = "retrieval.parquet"


@dataclass(frozen=True)
class AlignResult:
    """``folder`` opens with ``files.load_fused`` and ``alignment.load_alignment``; curves, retrieval and seen also lie
    there as Parquet (tables.ALIGN_CURVES, tables.ALIGN_RETRIEVAL, clip.tables.SEEN), beside card and last checkpoint.
    """

    folder: Path
    curves: pl.DataFrame
    retrieval: pl.DataFrame
    seen: pl.DataFrame
    card: dict[str, Any]


def align(
    settings: SynthesizerSettings,
    slices: pl.DataFrame,
    reports: pl.DataFrame,
    shard_roots: Mapping[str, Path],
    out: Path,
    *,
    synthesizer: Path,
    t1: Path,
    t2: Path,
    clip: Path,
    resume: bool = True,
    report: Report | None = None,
    stop_after: int | None = None,
) -> AlignResult:
    """Train gates, a pooler and a projection so that studies lie beside their reports.

    A study's slices go through the fused encoder, are pooled and projected, and contrasted with the reports' vectors of
    a trained clip (symmetric InfoNCE over the studies of all ranks). The two encoders, and clip's text side and
    temperature, are frozen. Under torchrun every process calls this with the same arguments; ``batch_size`` is per
    process. The networks' memory is that of ``chunk_size`` studies. Checkpoints lie in ``out/checkpoints``; a killed
    run called again with ``resume`` goes on from the last whole one and ends with bitwise the same weights (same
    machine, same number of threads).

    Args:
        settings: of the profile; ``align`` is read, the gates' shape is that of the folder.
        slices: ``corpus.shards`` SLICES of the frozen manifest's patients: those of split train are trained on, those
            of val measured, those of outside left out.
        reports: study_key and report_text; one row a study at most. Studies without a report are left out.
        shard_roots: per batch, the folder that ``shard`` is relative to.
        out: folder of the aligned synthesizer and of the checkpoints; not that of ``synthesizer``.
        synthesizer: folder of the fused encoder that training starts from.
        t1: folder of the T1 encoder.
        t2: folder of the T2 encoder.
        clip: folder of the alignment whose reports are the answers.
        resume: go on from a checkpoint in ``out``; False begins afresh and removes it.
        report: called on rank 0 with the numbers of every step, and ``steps`` in all.
        stop_after: stop at this step with a checkpoint; what is written then is marked as not trained.

    Returns:
        With fewer than ``align.min_train_studies`` studies gates as they were and a head as it was initialised, marked
        as not trained. Before training the head is drawn at random, so that it stands for chance.

    Raises:
        EncoderError: a folder holds no encoder or synthesizer, or not that of the others (names both hashes).
        ClipModelError: no clip in its folder.
        ClipDataError: a patient in both splits, slices of split test, slices that are not those in the shards, or a
            clip that reads no reports.
        ShardError: a shard that cannot be read.
        TrainingDiverged: too many bad steps in a row.
        CheckpointMismatch: ``out`` holds a checkpoint of another run.
        ValueError: ``out`` is the folder of ``synthesizer``.
    """
    if out.resolve() == synthesizer.resolve():
        raise ValueError("the aligned synthesizer needs a folder of its own: its start stays as it is")
    numbers = settings.align
    train = AlignStudies(slices, reports, split="train", routes=numbers.routes)
    val = {name: AlignStudies(slices, reports, split="val", routes=name) for name in ("all", "other")}
    if shared := set(train.patient_keys) & set(val["all"].patient_keys):
        raise ClipDataError(f"{len(shared)} patients are in train and in val: split by patient")
    device = join_process_group()  # before anything is opened, so that each process has it on its own GPU
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        source = open_fused(synthesizer, t1, t2)
        parents = {**source.versions, "synthesizer": source.version, "clip": model.version_of(clip)}
        identity: dict[str, Any] = {
            "settings": numbers.model_dump(mode="json"),
            "train": train.sha256(),
            "val": val["all"].sha256(),
            "parents": parents,
        }
        run = AlignRun(numbers, source, model.load_clip(clip), train, val, shard_roots)
        before = run.measured("before")
        folder = out / CHECKPOINTS
        last = latest(folder)
        if last is not None and resume:
            checkpoint.restore(last, run.state, identity=identity)
        elif rank() == 0:
            remove(folder)
        barrier()
        if len(train) >= max(numbers.min_train_studies, 2 * world_size()):
            _train(run, folder, identity, report, stop_after)
        return _finished(run, out, source, identity, before)


def _train(
    run: AlignRun, folder: Path, identity: dict[str, Any], report: Report | None, stop_after: int | None
) -> None:
    """Steps until the end or ``stop_after``, with checkpoints."""
    settings, state = run.settings, run.state
    end = run.steps if stop_after is None else min(stop_after, run.steps)
    while state.step < end:
        row = run.advance()
        if state.step % settings.evaluate_every == 0 or state.step == run.steps:
            found = run.measured("", (settings.routes,))
            row |= {f"val_{n}": found[n].mean() for n in ("recall_1", "recall_5", "median_rank")}
        state.rows.append(row)
        if report is not None and rank() == 0:
            numbers = {name: float(value) for name, value in row.items() if value is not None}
            report(numbers | {"steps": float(run.steps)})
        if state.step % settings.checkpoint_every == 0 or state.step == end:
            checkpoint.save(folder, state, identity=identity)


def _finished(
    run: AlignRun, out: Path, source: OpenFused, identity: dict[str, Any], before: pl.DataFrame
) -> AlignResult:
    """Write the aligned synthesizer, its tables and its card on rank 0; the same result on every rank."""
    steps = run.state.step
    trained = 0 < steps == run.steps
    curves = pl.DataFrame(run.state.rows, schema=ALIGN_CURVES)
    measured = pl.concat([before, *([run.measured("after")] if steps else [])])
    roles = [("train", run.train), ("held_out", run.val["all"])] if steps else []
    seen = pl.DataFrame(
        [
            (patient, study, role)
            for role, studies in roles
            for patient, study in zip(studies.patient_keys, studies.study_keys, strict=True)
        ],
        schema=SEEN,
        orient="row",
    )
    card: dict[str, Any] = {
        "name": f"synthesizer-aligned-{source.encoder.variant}",
        "trained": trained,
        "steps": steps,
        "skipped_steps": run.state.optimiser.skipped,
        "processes": world_size(),
        "studies_per_step": run.own * world_size(),
        "parents": identity["parents"],
        "settings": identity["settings"],
        "manifest": {
            "train_studies": len(run.train),
            "val_studies": len(run.val["all"]),
            "val_studies_other": len(run.val["other"]),
            "train_sha256": identity["train"],
            "val_sha256": identity["val"],
        },
        "retrieval": measured.to_dicts(),
    }
    if rank() == 0:
        # Gates that did not move here are those of the stage before, and as trained as that left them.
        moved = steps and any(p.requires_grad for p in run.network.fused.parameters())
        gates_trained = trained if moved else source.trained
        fused_version = save_fused(out, run.network.fused, source.versions, trained=gates_trained)
        version = save_alignment(
            out,
            run.network.head,
            run.settings,
            fused_version=fused_version,
            clip_version=identity["parents"]["clip"],
            trained=trained,
        )
        for name, table in ((CURVES_FILE, curves), (RETRIEVAL_FILE, measured), (SEEN_FILE, seen)):
            table.write_parquet(out / name)
        write_card(out, card | {"version": fused_version, "alignment_version": version})
    barrier()
    return AlignResult(out, curves, measured, seen, json.loads((out / "card.json").read_text()))
