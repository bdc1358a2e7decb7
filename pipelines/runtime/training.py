"""Training in a subprocess: the same Pipes and ``torchrun`` path on one CPU and on many GPUs.

Belongs here: launching a training process, and being one (``python -m pipelines.runtime.training``).
Does not belong here: which function a stage's training is (``trainers``), what a step does (``spine_models.encoder``).
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from pipelines.runtime.locks import if_free

REPO: Final = Path(__file__).resolve().parents[2]
FAILURE_FILE: Final = "failure.txt"
"""Why a training ended, for the run that started it."""
INPUT_SUFFIX: Final = ".input"
"""Of what a training is given as a file in its folder; Parquet, but no part of the model."""
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
        dagster.Failure: the training failed (says why), or ended without its closing message.
    """
    import dagster as dg
    from dagster._core.errors import DagsterPipesExecutionError

    from pipelines.runtime.messages import WholeLinesReader

    out = Path(job.out)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "pipelines.runtime.training"]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    client = dg.PipesSubprocessClient(cwd=str(REPO), env=environment, message_reader=WholeLinesReader())
    with warnings.catch_warnings():
        # Dagster's Pipes client calls a method of its own that it marks as preview.
        warnings.filterwarnings("ignore", message=".*PipesMessageReader.expected_writer_count")
        extras = {"job": job.__dict__}
        out.mkdir(parents=True, exist_ok=True)
        (out / FAILURE_FILE).unlink(missing_ok=True)
        try:
            invocation = client.run(context=context.op_execution_context, command=command, extras=extras)
        except DagsterPipesExecutionError as error:
            if not (out / FAILURE_FILE).is_file():
                raise
            said = (out / FAILURE_FILE).read_text(encoding="utf-8")
            raise dg.Failure(f"{job.label} failed: {said}") from error
    messages = invocation.get_custom_messages()
    if not messages:
        raise dg.Failure("the training process ended without its closing message: see its log in this run")
    found = {path.name: path for path in sorted(out.iterdir()) if path.is_file()}
    tables = {p.stem: pl.read_parquet(p) for name, p in found.items() if name.endswith(".parquet")}
    files = [
        path
        for path in found.values()
        if path.suffix not in (".parquet", INPUT_SUFFIX) and path.name != "card.json"
    ]
    return Trained(
        folder=out,
        files=files,
        curves=tables.pop("curves"),
        seen=tables.pop("seen"),
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
        if rank == 0:
            logging.getLogger("spine_models").addHandler(_Forwarding(pipes.log.warning))
        try:
            with _alone(Path(job.out)) if rank == 0 else nullcontext():
                result = TRAINERS[job.trainer](job, report)
        except Exception as error:
            _say_why(Path(job.out), error)
            raise
        if rank == 0:
            for name, value in vars(result).items():
                if isinstance(value, pl.DataFrame):
                    value.write_parquet(Path(job.out) / f"{name}.parquet")
            pipes.report_custom_message({"card": result.card})


def _say_why(out: Path, error: Exception) -> None:
    """Leave the reason for the run that started this training. The first rank to fail knows it; the others only see
    that one go."""
    with suppress(FileExistsError), (out / FAILURE_FILE).open("x", encoding="utf-8") as file:
        file.write(f"{type(error).__name__}: {error}")


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep a second training out of a folder, be it one that outlived the run that started it.

    Raises:
        RuntimeError: another process trains there.
    """
    with if_free(out.with_name(f".{out.name}.lock")) as free:
        if not free:
            raise RuntimeError(
                "another process is still training this: wait until it ends, or end it, then run again to go on "
                "from its last checkpoint"
            )
        yield


def _reporter(job: TrainingJob, log: Callable[[str], None]) -> Callable[[dict[str, float]], None]:
    """Losses to the run's log, a few lines of progress to the terminal.

    Rows carry ``step``, or ``slice`` where something is encoded first, and of how many (``steps``).
    """
    logged = shown = -1

    def report(row: dict[str, float]) -> None:
        nonlocal logged, shown
        unit = "step" if "step" in row else "slice"
        done, total = int(row[unit]), max(1, int(row["steps"]))
        measured = any(name.startswith(("effective", "view", "val")) for name in row)
        if measured or logged != (logged := LINES * done // total):
            log(f"{job.label}: " + " ".join(f"{k}={v:.4g}" for k, v in row.items() if k != "steps"))
        if shown != (shown := TERMINAL_LINES * done // total):
            loss = f", loss {row['loss']:.3f}" if "loss" in row else ""
            sys.stderr.write(f"  {job.label}: {unit} {done:,} of {total:,}{loss}\n")
            sys.stderr.flush()

    return report


class _Forwarding(logging.Handler):
    """What a training warns of, in the run's log: shards that were left out, for one."""

    def __init__(self, log: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a warning on."""
        self._log(self.format(record))


def _silent(row: dict[str, float]) -> None:
    """Other ranks say nothing."""


if __name__ == "__main__":
    main()
