"""What a training says while it runs: every measurement, and no more lines than a person reads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipelines.runtime.training import (
    FAILURE_FILE,
    LINES,
    REPO,
    TERMINAL_LINES,
    TrainingJob,
    _alone,
    _reporter,
    _say_why,
)

JOB = TrainingJob("pretrain", "pretraining t1", {}, {}, "out")


def test_a_long_training_says_few_lines(capsys):
    said: list[str] = []
    report = _reporter(JOB, said.append)
    for step in range(1, 10_001):
        report({"step": step, "steps": 10_000.0, "loss": 1.0 / step})
    assert LINES <= len(said) <= LINES + 1
    shown = capsys.readouterr().err.splitlines()
    assert TERMINAL_LINES <= len(shown) <= TERMINAL_LINES + 1
    assert shown[-1] == "  pretraining t1: step 10,000 of 10,000, loss 0.000"


def test_a_measurement_is_always_said(capsys):
    said: list[str] = []
    report = _reporter(JOB, said.append)
    for step in (1, 2, 3):
        report({"step": step, "steps": 10_000.0, "loss": 2.0, "view_retrieval": 0.5})
    assert len(said) == 3
    assert said[0] == "pretraining t1: step=1 loss=2 view_retrieval=0.5"
    capsys.readouterr()


def test_a_row_without_a_loss_is_progress_too(capsys):
    report = _reporter(JOB, lambda line: None)
    report({"slice": 64, "steps": 128})
    assert capsys.readouterr().err == "  pretraining t1: slice 64 of 128\n"


def test_the_first_rank_to_fail_is_the_one_that_is_heard(tmp_path):
    _say_why(tmp_path, ValueError("shard x cannot be read"))
    _say_why(tmp_path, RuntimeError("connection closed by peer"))
    assert (tmp_path / FAILURE_FILE).read_text() == "ValueError: shard x cannot be read"


def test_a_folder_that_is_trained_in_is_left_alone(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from pipelines.runtime.training import _alone\n"
        "with _alone(Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "out")], stdout=subprocess.PIPE, cwd=REPO
    )
    try:
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(RuntimeError, match="another process is still training"), _alone(tmp_path / "out"):
            pytest.fail("two trainings in one folder")
    finally:
        other.kill()
        other.communicate()
    with _alone(tmp_path / "out"):
        pass  # a killed process holds nothing
