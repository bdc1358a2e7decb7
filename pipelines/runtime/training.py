"""Training in a subprocess: the same Pipes and ``torchrun`` path on one CPU and on many GPUs.

Belongs here: launching a training process and being one (``python -m pipelines.runtime.training``).
Does not belong here: what a step does (``spine_models.encoder.backbone``).
"""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

REPO = Path(__file__).resolve().parents[2]
CURVES_FILE = "curves.parquet"


@dataclass(frozen=True)
class TrainingJob:
    """Everything that a training process needs, as JSON-able values.

    Args:
        route: encoder sequence, ``t1`` or ``t2``.
        settings: ``BackboneSettings`` as a dict.
        tars: absolute paths of the training tars.
        out: folder of checkpoints and, at the end, of the encoder.
        resume: continue from the newest whole checkpoint of ``out``.
    """

    route: str
    settings: dict[str, Any]
    tars: list[str]
    out: str
    resume: bool = True


@dataclass(frozen=True)
class Trained:
    """What a finished training left: the encoder's files and its curves (``backbone.tables.CURVES``)."""

    files: list[Path]
    curves: pl.DataFrame
    card: dict[str, Any]


def launch(context: Any, job: TrainingJob, processes: int) -> Trained:
    """Run a job under ``torchrun`` through Dagster Pipes and wait for it; its losses stream into the run's log.

    Raises:
        dagster.Failure: the training process ended without its closing message.
    """
    import dagster as dg

    from pipelines.runtime.messages import WholeLinesReader

    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "pipelines.runtime.training"]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    client = dg.PipesSubprocessClient(cwd=str(REPO), env=environment, message_reader=WholeLinesReader())
    with warnings.catch_warnings():
        # Dagster's Pipes client calls a method of its own that it marks as preview.
        warnings.filterwarnings("ignore", message=".*PipesMessageReader.expected_writer_count")
        extras = {"job": job.__dict__}
        invocation = client.run(context=context.op_execution_context, command=command, extras=extras)
    messages = invocation.get_custom_messages()
    if not messages:
        raise dg.Failure("the training process ended without its closing message: see its log in this run")
    out = Path(job.out)
    files = sorted(p for p in out.iterdir() if p.is_file() and p.name not in {CURVES_FILE, "card.json"})
    return Trained(files, pl.read_parquet(out / CURVES_FILE), messages[-1]["card"])


def main() -> None:
    """Entry point of every rank; rank 0 alone speaks to Dagster."""
    from dagster_pipes import open_dagster_pipes

    from spine_models.config import BackboneSettings
    from spine_models.encoder.backbone.train import pretrain

    rank = int(os.environ.get("RANK", "0"))
    with open_dagster_pipes() as pipes:
        job = TrainingJob(**pipes.extras["job"])
        settings = BackboneSettings.model_validate(job.settings)

        def report(row: dict[str, float]) -> None:
            if rank == 0:
                line = " ".join(f"{k}={v:.4g}" for k, v in row.items() if isinstance(v, (int, float)))
                pipes.log.info(line)
                _progress(job.route, row, settings.steps)

        result = pretrain(
            settings,
            [Path(t) for t in job.tars],
            Path(job.out),
            route=job.route,
            resume=job.resume,
            report=report,
        )
        if rank == 0:
            result.curves.write_parquet(Path(job.out) / CURVES_FILE)
            pipes.report_custom_message({"card": result.card})


def _progress(route: str, row: dict[str, float], steps: int) -> None:
    step = int(row["step"])
    if "loss" in row and (step % max(1, steps // 12) == 0 or step == steps):
        sys.stderr.write(f"  pretraining {route}: step {step:,} of {steps:,}, loss {row['loss']:.3f}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    main()
