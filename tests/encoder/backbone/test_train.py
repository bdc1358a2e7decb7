from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from safetensors.torch import load_file

from spine_models.encoder.backbone import one_step
from spine_models.encoder.backbone.encoder import load_encoder
from spine_models.encoder.backbone.health import health
from spine_models.encoder.backbone.optim import TrainingDiverged
from spine_models.encoder.backbone.tables import CURVES
from spine_models.encoder.backbone.train import pretrain
from spine_models.encoder.backbone.whole import CheckpointMismatch, latest
from spine_models.encoder.snapshots import snapshots_of

REPO = Path(__file__).resolve().parents[3]

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.train import pretrain

def report(row):
    if row["step"] == 3:  # after the checkpoint of step 2, before that of step 4
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    torch.set_num_threads(1)
    settings = BackboneSettings.model_validate_json(sys.argv[1])
    pretrain(settings, [Path(p) for p in sys.argv[3:]], Path(sys.argv[2]), route="t1", report=report)
"""


def files(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    last = latest(folder / "checkpoints")
    names = ("student", "teacher", "optimiser", "rng-0000")
    return {"encoder": load_file(folder / "encoder.safetensors")} | {
        name: load_file(last / f"{name}.safetensors") for name in names
    }


def assert_same_run(a: Path, b: Path) -> None:
    first, second = files(a), files(b)
    for name, tensors in first.items():
        assert tensors.keys() == second[name].keys()
        different = [key for key, tensor in tensors.items() if not torch.equal(tensor, second[name][key])]
        assert different == [], name


@pytest.fixture(scope="module")
def whole(settings, tars, tmp_path_factory):
    """An uninterrupted run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = pretrain(settings, tars, tmp_path_factory.mktemp("whole"), route="t1")
    torch.set_num_threads(threads)
    return result


def test_a_run_leaves_an_encoder_curves_and_a_card(whole, settings):
    assert whole.curves.schema == CURVES
    assert whole.curves["step"].to_list() == list(range(7))
    assert whole.curves["loss"].drop_nulls().is_finite().all()
    assert whole.curves["loss"].drop_nulls().len() == 6
    probed = whole.curves.filter(pl.col("effective_rank").is_not_null())
    assert probed["step"].to_list() == [0, 3, 6]
    assert whole.card["trained"] is True
    assert whole.card == json.loads((whole.folder / "card.json").read_text())
    encoder = load_encoder(whole.folder)
    assert encoder.trained
    assert encoder.version == whole.card["version"]
    teacher = files(whole.folder)["teacher"]
    exported = files(whole.folder)["encoder"]
    assert all(torch.equal(tensor, teacher[f"backbone.{name}"]) for name, tensor in exported.items())


def test_a_run_killed_in_the_middle_ends_with_the_same_weights(whole, settings, tars, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [
        sys.executable,
        str(script),
        settings.model_dump_json(),
        str(tmp_path / "run"),
        *map(str, tars),
    ]
    done = subprocess.run(command, cwd=REPO, env={"PYTHONPATH": str(REPO)}, check=False)
    assert done.returncode == -9
    assert latest(tmp_path / "run" / "checkpoints").name == "step-00000002"
    assert not (tmp_path / "run" / "encoder.safetensors").exists()
    resumed = pretrain(settings, tars, tmp_path / "run", route="t1")
    assert_same_run(resumed.folder, whole.folder)
    assert_frame_equal(resumed.curves, whole.curves)
    assert resumed.card == whole.card


def test_snapshots_are_the_encoder_on_its_way_and_survive_a_resume(whole, settings, tars, tmp_path):
    wanted = settings.model_copy(update={"snapshots": (2, 5)})
    pretrain(wanted, tars, tmp_path / "killed", route="t1", stop_after=3)
    pretrain(wanted, tars, tmp_path / "killed", route="t1")
    result = pretrain(wanted, tars, tmp_path / "run", route="t1")
    found = snapshots_of(result.folder)
    assert list(found) == [2, 5]
    assert all(load_encoder(folder).trained for folder in found.values())
    versions = [load_encoder(folder).version for folder in found.values()]
    assert versions == [load_encoder(folder).version for folder in snapshots_of(tmp_path / "killed").values()]
    early, late = (load_file(folder / "encoder.safetensors") for folder in found.values())
    last = load_file(whole.folder / "encoder.safetensors")
    moved = [name for name in last if not torch.equal(early[name], late[name])]
    assert moved
    assert any(not torch.equal(late[name], last[name]) for name in moved)
    assert_same_run(result.folder, whole.folder)


def test_a_stopped_run_is_not_trained_and_goes_on(whole, settings, tars, tmp_path):
    part = pretrain(settings, tars, tmp_path, route="t1", stop_after=3)
    assert (part.card["trained"], part.card["steps"]) == (False, 3)
    assert not load_encoder(tmp_path).trained
    (tmp_path / "checkpoints" / ".writing-00000005").mkdir()  # what a kill inside a save leaves
    pretrain(settings, tars, tmp_path, route="t1")
    assert_same_run(tmp_path, whole.folder)


def test_a_finished_run_is_not_run_again(whole, settings, tars):
    steps: list[float] = []
    again = pretrain(settings, tars, whole.folder, route="t1", report=lambda row: steps.append(row["step"]))
    assert steps == []
    assert again.card == whole.card


def test_workers_bfloat16_and_swiglu_resume_exactly_too(settings, tars, tmp_path):
    changes = {
        "workers": 2,
        "precision": "bfloat16",
        "mlp": "swiglu",
        "head_batch_standardise": False,
        "steps": 4,
    }
    other = settings.model_copy(update=changes)
    pretrain(other, tars, tmp_path / "whole", route="t1")
    pretrain(other, tars, tmp_path / "parts", route="t1", stop_after=3)
    pretrain(other, tars, tmp_path / "parts", route="t1")
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_a_run_learns(settings, tars, tmp_path):
    """Enough steps to leave ln K on blobs that are easy to tell apart; a wrong sign anywhere does not get there."""
    easy = {
        "steps": 120,
        "warmup_steps": 5,
        "lr": 5e-3,
        "batch_size": 16,
        "local_crops": 0,
        "drop_path": 0.0,
        "rope_rescale": None,
        "layer_decay": 1.0,
        "prototype_std": 0.1,
        "ema_momentum": 0.9,
        "ema_momentum_end": 0.99,
        "teacher_temperature": 0.02,
        "teacher_temperature_end": 0.02,
        "global_scale": (0.9, 1.0),
        "jitter_probability": 0.0,
        "blur_probability": (0.0, 0.0, 0.0),
        "mask_probability": 0.0,
        "probe_every": 60,
        "checkpoint_every": 120,
    }
    result = pretrain(settings.model_copy(update=easy), tars, tmp_path, route="t1")
    findings = {finding.name: finding for finding in health(result.curves, settings)}
    assert findings["dino_learns"].passed, findings["dino_learns"]
    assert findings["no_step_skipped"].passed


def test_the_callers_generator_is_left_alone(settings, tars, tmp_path):
    before = torch.get_rng_state()
    pretrain(settings, tars, tmp_path, route="t1", stop_after=1)
    assert torch.equal(before, torch.get_rng_state())


def test_another_run_is_not_resumed(settings, tars, tmp_path):
    pretrain(settings, tars, tmp_path, route="t1", stop_after=1)
    with pytest.raises(CheckpointMismatch, match="other settings"):
        pretrain(settings.model_copy(update={"lr": 2e-3}), tars, tmp_path, route="t1")
    with pytest.raises(CheckpointMismatch, match="other slices"):
        pretrain(settings, tars[:1], tmp_path, route="t1")
    fresh = pretrain(settings, tars[:1], tmp_path, route="t1", resume=False, stop_after=1)
    assert fresh.card["probe_held_out_of_train"] == 2
    assert fresh.card["train_slices"] == 18


def test_a_bad_step_moves_neither_student_nor_teacher_and_is_in_the_curves(
    settings, tars, tmp_path, monkeypatch
):
    real, teachers, students = one_step.objective, [], []

    def objective(student, teacher, *args, **keywords):
        teachers.append([p.clone() for p in teacher.parameters()])
        students.append([p.detach().clone() for p in student.parameters()])
        losses = real(student, teacher, *args, **keywords)
        return losses._replace(total=losses.total * float("nan")) if len(teachers) == 3 else losses

    monkeypatch.setattr(one_step, "objective", objective)
    result = pretrain(settings, tars, tmp_path, route="t1", stop_after=4)

    def moved(snapshots, step):
        return not all(map(torch.equal, snapshots[step], snapshots[step + 1]))

    assert moved(teachers, 1)
    assert moved(students, 1)
    assert not moved(teachers, 2)
    assert not moved(students, 2)
    assert result.card["skipped_steps"] == 1
    assert result.curves.filter(pl.col("grad_norm").is_nan())["step"].to_list() == [3]
    findings = {finding["name"]: finding for finding in result.card["health"]}
    assert not findings["no_step_skipped"]["passed"]


def test_a_run_that_only_fails_says_so(settings, tars, tmp_path, monkeypatch):
    real = one_step.objective
    monkeypatch.setattr(
        one_step, "objective", lambda *a, **k: (out := real(*a, **k))._replace(total=out.total * float("inf"))
    )
    with pytest.raises(TrainingDiverged, match="2 steps in a row"):
        pretrain(settings.model_copy(update={"max_skipped_steps": 2}), tars, tmp_path, route="t1")


@pytest.mark.parametrize("few", ["none", "val only", "too few", "too few beside the probe"])
def test_too_few_slices_leave_an_untrained_encoder(settings, tars, tmp_path, few):
    changes = {"too few": {"min_train_slices": 21}, "too few beside the probe": {"min_train_slices": 19}}
    given = {"none": [], "val only": tars[1:], "too few": tars, "too few beside the probe": tars[:1]}[few]
    result = pretrain(settings.model_copy(update=changes.get(few, {})), given, tmp_path, route="t2")
    assert result.card["trained"] is False
    assert result.curves.is_empty()
    assert result.curves.schema == CURVES
    assert not load_encoder(tmp_path).trained


def test_rank_zero_reports_numbers_only(settings, tars, tmp_path):
    rows: list[dict[str, float]] = []
    pretrain(settings, tars, tmp_path, route="t1", report=rows.append, stop_after=2)
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert all(isinstance(value, float) for row in rows for value in row.values())
    assert {"loss", "dino", "ibot", "koleo", "lr", "grad_norm"} <= rows[1].keys()
