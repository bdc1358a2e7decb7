"""Two processes that deal weights and moments between them (FSDP2) against two that each hold all (DDP)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from spine_models.encoder.backbone.whole import latest

REPO = Path(__file__).resolve().parents[3]

SCRIPT = """
import json, os, signal, sys, warnings
from pathlib import Path
import torch
from spine_models.config import BackboneSettings, GramSettings
from spine_models.encoder.backbone import data, run
from spine_models.encoder.backbone.anchor import anchor
from spine_models.encoder.backbone.distributed import local, rank
from spine_models.encoder.backbone.train import pretrain

folder, settings, killed = Path(sys.argv[1]), BackboneSettings.model_validate_json(sys.argv[2]), sys.argv[3] == "killed"
tars = [Path(p) for p in sys.argv[4:]]
DEALT = {"parallel": "fsdp2"}
SPARING = DEALT | {"activation_checkpointing": True, "compile": True, "compile_backend": "aot_eager"}

def train(name, stop=None, report=None, **changes):
    result = pretrain(
        settings.model_copy(update=changes), tars, folder / name, route="t1", stop_after=stop, report=report
    )
    if rank() == 0:
        result.curves.write_parquet(folder / name / "curves.parquet")

def die(row):
    if row["step"] == 5:  # after the checkpoint of step 4, before that of step 6
        os.kill(os.getpid(), signal.SIGKILL)

def held(run):
    state = run.state
    def size(tensors):
        return sum(local(tensor).numel() for tensor in tensors)
    moments = [value for own in state.optimiser.adamw.state.values() for value in own.values() if value.ndim]
    return {
        "student": size(state.student.parameters()),
        "teacher": size(state.teacher.parameters()),
        "moments": size(moments),
        "gradients": size(p.grad for p in state.student.parameters() if p.grad is not None),
    }

def main():
    torch.set_num_threads(1)
    if killed:
        train("killed", report=die, **DEALT)
    warnings.simplefilter("error")
    train("killed", **DEALT)
    real, sizes = run.Run.advance, []
    def advance(self, *args):
        row = real(self, *args)
        sizes.append(held(self))
        return row
    for name, changes in (("ddp", {}), ("fsdp2", DEALT)):
        sizes.clear()
        run.Run.advance = advance
        train(name, **changes)
        run.Run.advance = real
        (folder / f"held-{name}-{rank()}.json").write_text(json.dumps(sizes[-1]))
    for stop in (3, None):
        train("stopped", stop, **DEALT)
    train("on_as_fsdp2", 3)
    train("on_as_fsdp2", **DEALT)
    train("on_as_ddp", 3, **DEALT)
    train("on_as_ddp")
    crop = data.MultiCrop.__call__
    for name, changes in (("ddp", {}), ("fsdp2", DEALT)):
        made = []
        def bad(self, *args):
            crops = crop(self, *args)
            made.append(1)
            if len(made) == 4 and rank() == 1:  # the probe's come first: step 3, of one rank alone
                crops = crops._replace(global_crops=crops.global_crops * float("nan"))
            return crops
        data.MultiCrop.__call__ = bad
        train(f"nan_{name}", **changes)
    data.MultiCrop.__call__ = crop
    gram = GramSettings(px=24, image_px=16, global_scale=(0.9, 1.0), steps=4, first_refresh=2, refresh_every=1)
    for name, changes in (("ddp", {}), ("fsdp2", DEALT)):
        keywords = {"route": "t1", "start": folder / "ddp"}
        own = settings.model_copy(update=changes)
        if name == "fsdp2":
            anchor(own, gram, tars, folder / "gram_stopped", stop_after=3, **keywords)
            anchor(own, gram, tars, folder / "gram_stopped", **keywords)
        anchor(own, gram, tars, folder / f"gram_{name}", **keywords)
    for name, changes in (("bfloat16_ddp", {}), ("bfloat16_fsdp2", DEALT)):
        train(name, precision="bfloat16", **changes)
    warnings.simplefilter("default")  # the compiler's own
    train("sparing", **SPARING)
    torch._dynamo.reset()
    train("sparing_ddp", **SPARING | {"parallel": "ddp"})

if __name__ == "__main__":
    main()
"""


def launch(folder: Path, settings, tars, mode: str) -> subprocess.CompletedProcess[str]:
    script = folder / "two.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(script), str(folder), settings.model_dump_json(), mode, *map(str, tars)]
    environment = {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=REPO, env=environment, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.fixture(scope="module")
def folder(settings, tars, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dealt")
    changed = settings.model_copy(update={"processes": 2, "steps": 6})
    killed = launch(folder, changed, tars, "killed")
    assert killed.returncode != 0
    assert latest(folder / "killed" / "checkpoints").name == "step-00000004"
    assert not (folder / "killed" / "encoder.safetensors").exists()
    done = launch(folder, changed, tars, "on")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All that a finished run left in files."""
    last = latest(folder / "checkpoints")
    files = [last / f"{name}.safetensors" for name in ("student", "teacher", "optimiser")]
    return {
        f"{file.stem}|{name}": tensor
        for file in [*files, *last.glob("gram.safetensors"), folder / "encoder.safetensors"]
        for name, tensor in load_file(file).items()
    }


def assert_bitwise(one: Path, other: Path) -> None:
    a, b = tensors(one), tensors(other)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def assert_close(one: Path, other: Path, *, atol: float) -> None:
    a, b = tensors(one), tensors(other)
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=atol, msg=lambda m, n=name: f"{n}: {m}")


def test_dealt_runs_have_the_losses_and_weights_of_runs_that_each_hold_all(folder):
    assert_close(folder / "fsdp2", folder / "ddp", atol=1e-6)
    one, other = (pl.read_parquet(folder / name / "curves.parquet") for name in ("fsdp2", "ddp"))
    assert one.columns == other.columns
    for column in ("loss", "dino", "ibot", "koleo", "grad_norm", "effective_rank", "view_retrieval", "lr"):
        assert one[column].is_null().equals(other[column].is_null())
        difference = (one[column] - other[column]).abs().max()
        assert difference is not None
        assert difference < 1e-4, column


def test_each_process_holds_about_half_of_weights_gradients_and_moments(folder):
    read = {
        (name, rank): json.loads((folder / f"held-{name}-{rank}.json").read_text())
        for name in ("ddp", "fsdp2")
        for rank in range(2)
    }
    for what, everything in read["ddp", 0].items():
        parts = [read["fsdp2", rank][what] for rank in range(2)]
        assert sum(parts) == everything
        assert max(parts) < 0.55 * everything


def test_a_dealt_run_that_is_killed_or_stopped_goes_on_to_the_same_weights(folder):
    assert_bitwise(folder / "killed", folder / "fsdp2")
    assert_bitwise(folder / "stopped", folder / "fsdp2")


def test_a_run_goes_on_under_either(folder):
    for name in ("on_as_fsdp2", "on_as_ddp"):
        assert_close(folder / name, folder / "ddp", atol=1e-6)
        assert json.loads((folder / name / "card.json").read_text())["steps"] == 6


def test_a_bad_batch_of_one_process_is_skipped_by_both_alike(folder):
    assert_close(folder / "nan_fsdp2", folder / "nan_ddp", atol=1e-6)
    for name in ("nan_fsdp2", "nan_ddp"):
        assert json.loads((folder / name / "card.json").read_text())["skipped_steps"] == 1
        curves = pl.read_parquet(folder / name / "curves.parquet")
        assert curves.filter(pl.col("grad_norm").is_nan())["step"].to_list() == [3]
    assert any(not torch.equal(a, b) for a, b in zip(
        tensors(folder / "nan_ddp").values(), tensors(folder / "ddp").values(), strict=True
    ))  # fmt: skip


def test_gram_anchoring_with_dealt_networks(folder):
    assert_close(folder / "gram_fsdp2", folder / "gram_ddp", atol=1e-6)
    assert_bitwise(folder / "gram_stopped", folder / "gram_fsdp2")


def test_in_bfloat16_and_compiled_with_recomputation(folder):
    # A rounding of bfloat16 that falls the other way moves a weight by its learning rate times so much.
    assert_close(folder / "bfloat16_fsdp2", folder / "bfloat16_ddp", atol=1e-5)
    for name in ("sparing", "sparing_ddp"):
        assert_close(folder / name, folder / "ddp", atol=1e-6)
