"""The alignment's training, from studies to a model folder.

Belongs here: the loop and the run's files. Does not belong here: the parts it is made of, who may be trained on, and
who starts it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from spine_models.config import ClipSettings
from spine_models.encoder.backbone.distributed import barrier, rank, summed, world_size
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.encoder.backbone.whole import latest, remove
from spine_models.encoder.clip import checkpoint
from spine_models.encoder.clip.alike import likeness
from spine_models.encoder.clip.batch import ClipItem, batch_indices, batch_sizes
from spine_models.encoder.clip.data import ClipDataError, ClipStudy
from spine_models.encoder.clip.grad_cache import cached_backward
from spine_models.encoder.clip.model import new_model, save_clip, version_of, write_card
from spine_models.encoder.clip.objective import Embedded, clip_objective
from spine_models.encoder.clip.optim import ClipOptimiser, learning_rate
from spine_models.encoder.clip.retrieval import retrieval
from spine_models.encoder.clip.tables import CURVES, RETRIEVAL, SEEN
from spine_models.encoder.clip.variants import ROUTES, reads_reports

Report = Callable[[dict[str, float]], None]
CHECKPOINTS = "checkpoints"
CURVES_FILE = "curves.parquet"
SEEN_FILE = "seen.parquet"


@dataclass(frozen=True)
class ClipResult:
    """``folder`` holds the model (``model.load_clip`` opens it), its card, its curves and the last checkpoint.

    ``seen`` (tables.SEEN, also a file of the folder) names the studies that were trained on and measured.
    """

    folder: Path
    curves: pl.DataFrame
    retrieval: pl.DataFrame
    card: dict[str, Any]
    seen: pl.DataFrame


def usable(studies: Iterable[ClipStudy], settings: ClipSettings) -> list[ClipStudy]:
    """Studies, in key order, with both sides of a pair of the variant: the others would only take up room."""
    reads = reads_reports(settings.variant)
    found = [
        s for s in studies if (s.routes and s.report.strip() if reads else all(r in s.routes for r in ROUTES))
    ]
    return sorted(found, key=lambda study: study.study_key)


def manifest(studies: Sequence[ClipStudy]) -> str:
    """sha256 over the studies' keys, slice vectors and reports, in their order.

    Vectors with a digest are named by it and not read.
    """
    digest = hashlib.sha256()
    for study in studies:
        digest.update(json.dumps([study.study_key, study.patient_key, study.report]).encode())
        for route, part in sorted(study.routes.items()):
            digest.update(json.dumps([route, *part.vectors.shape, part.digest]).encode())
            for array in (*(() if part.digest else (part.vectors,)), part.series, part.kind):
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def seen_studies(train: Sequence[ClipStudy], val: Sequence[ClipStudy], *, trained: bool) -> pl.DataFrame:
    """tables.SEEN of a run; no rows where it took no step."""
    rows = [
        {"patient_key": s.patient_key, "study_key": s.study_key, "role": role}
        for role, studies in (("train", train), ("held_out", val))
        for s in studies
    ]
    return pl.DataFrame(rows if trained else [], schema=SEEN)


class _Run:
    """Model, optimiser and curves of one run on this process."""

    def __init__(self, settings: ClipSettings, train: Sequence[ClipStudy], val: Sequence[ClipStudy]) -> None:
        self.settings, self.device = settings, join_process_group()
        dims = {route: s.routes[route].vectors.shape[1] for s in train for route in sorted(s.routes)}
        torch.manual_seed(settings.seed)
        self.model = new_model(settings, dims, train)
        self.network = self.model.network.to(self.device).train()
        self.train_items, self.val_items = self.model.prepare(train), self.model.prepare(val)
        self.alike, self.val_alike = (
            _labels(part).to(self.device) if settings.mask_alike else None for part in (train, val)
        )
        self.own, self.steps_per_epoch = batch_sizes(len(train), settings.batch_size, world_size())
        self.steps = settings.epochs * self.steps_per_epoch
        seed = np.random.SeedSequence([settings.seed, rank()]).generate_state(1, np.uint32)
        torch.manual_seed(int(seed[0]))
        self.state = checkpoint.ClipState(self.network, ClipOptimiser(self.network, settings))

    def advance(self) -> dict[str, Any]:
        """One step; returns its row. A step that is not finite changes no weight."""
        settings, state = self.settings, self.state
        indices = batch_indices(
            len(self.train_items),
            self.own,
            step=state.step,
            seed=settings.seed,
            rank=rank(),
            world=world_size(),
        )
        items: list[ClipItem] = [self.train_items[i] for i in indices]
        chunks = list(self.model.batches(items, settings.chunk_size))
        parts = [self.network.present(chunk) for chunk in chunks]
        present = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        alike = None if self.alike is None else self.alike[indices]
        by_pair: dict[str, Tensor] = {}

        def loss(vectors: Mapping[str, Tensor]) -> Tensor:
            losses = clip_objective(
                Embedded(vectors, present), self.network.scale(), self.network.terms, alike
            )
            by_pair.update(losses.by_pair)
            return losses.total

        state.optimiser.zero_grad()
        total = cached_backward(chunks, self.network.embed, loss)
        lr = learning_rate(settings, state.step)
        norm = state.optimiser.step(total, lr)
        self.network.scale.keep_in_range()
        row: dict[str, Any] = dict.fromkeys(CURVES) | {"epoch": state.step // self.steps_per_epoch}
        state.step += 1
        means = {
            name: float(summed(value) / world_size()) for name, value in {"loss": total, **by_pair}.items()
        }
        scale = float(self.network.scale().detach())
        norm = float("nan") if norm is None else norm
        return row | means | {"step": state.step, "lr": lr, "scale": scale, "grad_norm": norm}

    def held_out(self) -> pl.DataFrame:
        """Retrieval among the val studies; no rows without any."""
        if not self.val_items:
            return pl.DataFrame(schema=RETRIEVAL)
        return retrieval(self.model.embed_items(self.val_items), self.network.terms, self.val_alike)


def _labels(studies: Sequence[ClipStudy]) -> Tensor:
    keys, patients = [s.study_key for s in studies], [s.patient_key for s in studies]
    return likeness(keys, patients, [s.report for s in studies])


def train_clip(
    settings: ClipSettings,
    train: Sequence[ClipStudy],
    val: Sequence[ClipStudy],
    out: Path,
    *,
    parents: Mapping[str, Any],
    resume: bool = True,
    report: Report | None = None,
    stop_after: int | None = None,
) -> ClipResult:
    """Align one variant.

    Under torchrun every process calls this with the same arguments; ``batch_size`` is per process. Checkpoints lie in
    ``out/checkpoints`` every ``checkpoint_every`` steps and at the end; a killed run called again with ``resume``
    goes on from the last whole one and ends with bitwise the same weights (same machine, same number of threads).

    Args:
        settings: of the profile.
        train: studies of the train split (``vectors.stored_studies``, or ``data.clip_studies``).
        val: studies that are only looked at: retrieval among them is measured, nothing is chosen by it.
        out: folder of the model and of the checkpoints.
        parents: what the vectors come from (``SliceVectors.parents``, or ``data.encoder_versions``), for the card.
        resume: go on from a checkpoint in ``out``; False begins afresh and removes it.
        report: called on rank 0 with the numbers of every step, and ``steps`` in all.
        stop_after: stop at this step with a checkpoint; the model written then is marked as not trained.

    Returns:
        With fewer than ``min_train_studies`` usable studies a model as it was initialised, marked as not trained.

    Raises:
        ClipDataError: a patient in both splits, or no route that the variant needs.
        TrainingDiverged: too many bad steps in a row.
        CheckpointMismatch: ``out`` holds a checkpoint of another run.
        TextModelError: the text model cannot be opened.
    """
    if shared := {s.patient_key for s in train} & {s.patient_key for s in val}:
        raise ClipDataError(f"{len(shared)} patients are in train and in val: split by patient")
    train, val = usable(train, settings), usable(val, settings)
    identity = {
        "settings": settings.model_dump(mode="json"),
        "train": manifest(train),
        "val": manifest(val),
        "parents": json.loads(json.dumps(parents)),
    }
    device = join_process_group()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        run = _Run(settings, train, val)
        identity["text"] = run.model.text_version
        folder = out / CHECKPOINTS
        last = latest(folder)
        if last is not None and resume:
            checkpoint.restore(last, run.state, identity=identity)
        elif rank() == 0:
            remove(folder)
        barrier()
        enough = len(train) >= max(settings.min_train_studies, 2 * world_size())
        if enough:
            _train(run, folder, identity, report, stop_after)
        seen = seen_studies(train, val, trained=run.state.step > 0)
        return _finished(run, out, identity, enough and run.state.step == run.steps, seen)


def _train(
    run: _Run, folder: Path, identity: dict[str, Any], report: Report | None, stop_after: int | None
) -> None:
    """Steps until the end or ``stop_after``, with checkpoints."""
    settings, state = run.settings, run.state
    end = run.steps if stop_after is None else min(stop_after, run.steps)
    while state.step < end:
        row = run.advance()
        if state.step % settings.evaluate_every == 0 or state.step == run.steps:
            measured = run.held_out()
            row |= {f"val_{n}": measured[n].mean() for n in ("recall_1", "recall_5", "median_rank")}
        state.rows.append(row)
        if report is not None and rank() == 0:
            numbers = {name: float(value) for name, value in row.items() if value is not None}
            report(numbers | {"steps": float(run.steps)})
        if state.step % settings.checkpoint_every == 0 or state.step == end:
            checkpoint.save(folder, state, identity=identity)


def _finished(
    run: _Run, out: Path, identity: dict[str, Any], trained: bool, seen: pl.DataFrame
) -> ClipResult:
    """Write the model, its curves and its card on rank 0; the same result on every rank."""
    curves, measured = pl.DataFrame(run.state.rows, schema=CURVES), run.held_out()
    card: dict[str, Any] = {
        "name": f"clip-{run.settings.variant}",
        "trained": trained,
        "steps": run.state.step,
        "skipped_steps": run.state.optimiser.skipped,
        "processes": world_size(),
        "studies_per_step": run.own * world_size(),
        "parents": {**identity["parents"], "text": identity["text"]},
        "settings": identity["settings"],
        "manifest": {
            "train_studies": len(run.train_items),
            "val_studies": len(run.val_items),
            "train_sha256": identity["train"],
            "val_sha256": identity["val"],
        },
        "retrieval": measured.to_dicts(),
    }
    if rank() == 0:
        save_clip(out, run.model, trained=trained)
        curves.write_parquet(out / CURVES_FILE)
        seen.write_parquet(out / SEEN_FILE)
    barrier()
    card["version"] = version_of(out)
    if rank() == 0:
        write_card(out, card)
    return ClipResult(out, curves, measured, card, seen)
