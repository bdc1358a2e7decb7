"""Training in a subprocess: the same Pipes and ``torchrun`` path on one CPU and on many GPUs.

Belongs here: launching a training process, and being one (``python -m pipelines.runtime.training``).
Does not belong here: which function a stage's training is (``trainers``), what a step does (``spine_models.encoder``).
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

REPO: Final = Path(__file__).resolve().parents[2]
CURVES_FILE: Final = "curves.parquet"
SEEN_FILE: Final = "seen.parquet"
LINES: Final = 100
"""About so many lines of losses reach the run's log, whatever the length of the training."""
TERMINAL_LINES: Final = 6
"""And so many the terminal."""


@dataclass(frozen=True)
class TrainingJob:
    """Everything that a training process needs, as JSON-able values.

    Args:
        trainer: name of a function of ``trainers.TRAINERS``.
        label: what progress lines call it: ``pretraining t1``.
        sections: profile sections by name, as dicts.
        inputs: files and folders by name, as absolute paths or lists of them; and the route.
        out: folder of checkpoints and, at the end, of the model.
        resume: continue from the newest whole checkpoint of ``out``.
    """

    trainer: str
    label: str
    sections: dict[str, Any]
    inputs: dict[str, Any]
    out: str
    resume: bool = True


@dataclass(frozen=True)
class Trained:
    """What a finished training left in its folder.

    Attributes:
        folder: of the training.
        files: of the model: all but the card and tables.
        curves: the stage's CURVES.
        seen: what was trained on and what was held out, one row a slice or study.
        card: of the model.
        tables: further tables by file stem.
    """

    folder: Path
    files: list[Path]
    curves: pl.DataFrame
    seen: pl.DataFrame
    card: dict[str, Any]
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)


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
    found = {path.name: path for path in sorted(out.iterdir()) if path.is_file()}
    tables = {p.stem: pl.read_parquet(p) for name, p in found.items() if name.endswith(".parquet")}
    files = [path for name, path in found.items() if not name.endswith(".parquet") and name != "card.json"]
    return Trained(
        folder=out,
        files=files,
        curves=tables.pop(Path(CURVES_FILE).stem),
        seen=tables.pop(Path(SEEN_FILE).stem),
        card=messages[-1]["card"],
        tables=tables,
    )


def main() -> None:
    """Entry point of every rank; rank 0 alone speaks to Dagster."""
    from dagster_pipes import open_dagster_pipes

    from pipelines.runtime.trainers import TRAINERS

    rank = int(os.environ.get("RANK", "0"))
    with open_dagster_pipes() as pipes:
        job = TrainingJob(**pipes.extras["job"])
        report = _reporter(job, pipes.log.info) if rank == 0 else _silent
        result = TRAINERS[job.trainer](job, report)
        if rank == 0:
            result.curves.write_parquet(Path(job.out) / CURVES_FILE)
            result.seen.write_parquet(Path(job.out) / SEEN_FILE)
            pipes.report_custom_message({"card": result.card})


def _reporter(job: TrainingJob, log: Callable[[str], None]) -> Callable[[dict[str, float]], None]:
    """Losses to the run's log, and a few lines of progress to the terminal; rows carry ``step`` and ``steps``."""
    logged = shown = -1

    def report(row: dict[str, float]) -> None:
        nonlocal logged, shown
        step, steps = int(row["step"]), max(1, int(row["steps"]))
        measured = any(name.startswith(("effective", "view", "val")) for name in row)
        if measured or logged != (logged := LINES * step // steps):
            log(f"{job.label}: " + " ".join(f"{k}={v:.4g}" for k, v in row.items() if k != "steps"))
        if shown != (shown := TERMINAL_LINES * step // steps):
            loss = f", loss {row['loss']:.3f}" if "loss" in row else ""
            sys.stderr.write(f"  {job.label}: step {step:,} of {steps:,}{loss}\n")
            sys.stderr.flush()

    return report


def _silent(row: dict[str, float]) -> None:
    """Other ranks say nothing."""


if __name__ == "__main__":
    main()
