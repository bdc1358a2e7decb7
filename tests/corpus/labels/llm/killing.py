"""Running the labeller in a process and killing it half way, for any server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from spine_models.config import LlmSettings
from tests.corpus.labels.llm import run_labeller

REPO = Path(__file__).resolve().parents[4]


def killed_after(
    lines: int, reports: pl.DataFrame, settings: LlmSettings, endpoint: str, folder: Path
) -> bytes:
    """Label in a process, kill -9 it when the log of answers in ``folder`` has that many lines; the log then."""
    job, log = folder / "job.json", folder / f"{settings.name}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    job.write_text(
        json.dumps(
            {
                "reports": reports.to_dicts(),
                "settings": settings.model_dump(mode="json"),
                "endpoint": endpoint,
                "answers": str(folder),
            }
        )
    )
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    with subprocess.Popen([sys.executable, run_labeller.__file__, str(job)], env=environment) as process:
        deadline = time.monotonic() + 120
        while not log.exists() or log.read_bytes().count(b"\n") < lines:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return log.read_bytes()
