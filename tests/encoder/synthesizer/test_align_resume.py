"""A training with reports that is stopped, cut into chunks or shared by processes ends the same."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from spine_models.config import AlignSettings, SynthesizerSettings
from spine_models.encoder.backbone.optim import TrainingDiverged
from spine_models.encoder.backbone.whole import CheckpointMismatch
from spine_models.encoder.synthesizer.files import WEIGHTS, load_fused
from spine_models.encoder.synthesizer.fused import FusedEncoder
from tests.encoder.synthesizer.aligning import NUMBERS, assert_same_weights, parts

REPO = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_killed_run_ends_with_the_same_bits(whole, world, tmp_path, stop):
    first = world.align(tmp_path, stop_after=stop)
    assert (first.card["trained"], first.card["steps"]) == (False, stop)
    assert not load_fused(tmp_path, *world.folders).trained
    torch.manual_seed(99)
    second = world.align(tmp_path, slices=world.sharded.slices.sample(fraction=1.0, shuffle=True, seed=5))
    assert second.card == whole.card
    assert second.curves.equals(whole.curves)
    assert second.retrieval.equals(whole.retrieval)
    assert_same_weights(tmp_path, whole.folder)


def test_a_checkpoint_of_another_run_is_refused(world, tmp_path):
    world.align(tmp_path, stop_after=1)
    fewer = world.sharded.slices.filter(pl.col("slice_key") != "s001a-0090")
    with pytest.raises(CheckpointMismatch, match="train"):
        world.align(tmp_path, slices=fewer)
    with pytest.raises(CheckpointMismatch, match="parents"):
        world.align(tmp_path, variant="scalar")
    with pytest.raises(CheckpointMismatch, match="settings"):
        world.align(tmp_path, numbers={"lr": 1e-4})
    assert world.align(tmp_path, numbers={"lr": 1e-4}, resume=False, stop_after=1).curves.height == 1


def test_memory_in_chunks_changes_nothing(world, tmp_path):
    still = {"pool_dropout": 0.0, "epochs": 1}
    world.align(tmp_path / "a", numbers=still | {"chunk_size": 2})
    world.align(tmp_path / "b", numbers=still | {"chunk_size": 5})
    one, two = parts(tmp_path / "a"), parts(tmp_path / "b")
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-3, msg=name)


def test_steps_that_are_not_finite_change_nothing_and_then_stop(world, tmp_path, monkeypatch):

    monkeypatch.setattr(
        FusedEncoder, "images_of", lambda self, images: torch.full((len(images), 1, 32, 32), math.nan)
    )
    result = world.align(tmp_path / "a")
    assert result.card["skipped_steps"] == 4
    assert all(math.isnan(norm) for norm in result.curves["grad_norm"])
    source = load_file(world.sources["conditional"] / WEIGHTS)
    assert all(torch.equal(t, source[n]) for n, t in load_file(tmp_path / "a" / WEIGHTS).items())
    with pytest.raises(TrainingDiverged, match=r"synthesizer\.align\.lr"):
        world.align(tmp_path / "b", numbers={"max_skipped_steps": 2})


SCRIPT = """
import sys
from pathlib import Path
import polars as pl
import torch
from spine_models.config import SynthesizerSettings
from spine_models.encoder.backbone.distributed import rank
from spine_models.encoder.synthesizer.align import align

torch.set_num_threads(1)
folder, shards, settings = Path(sys.argv[1]), Path(sys.argv[2]), SynthesizerSettings.model_validate_json(sys.argv[3])
places = dict(zip(("synthesizer", "t1", "t2", "clip"), map(Path, sys.argv[4:]), strict=True))
slices, reports = (pl.read_parquet(folder / f"{name}.parquet") for name in ("slices", "reports"))
roots = {name: shards / name for name in ("batch0", "batch1")}
align(settings, slices, reports, roots, folder / "two", **places, stop_after=1)
result = align(settings, slices, reports, roots, folder / "two", **places)
(folder / f"said-{rank()}").write_text(result.card["version"])
"""


def test_two_processes_equal_one_on_the_joined_batch(world, tmp_path):
    still = {"pool_dropout": 0.0, "batch_size": 10, "chunk_size": 5}
    one = world.align(tmp_path / "one", numbers=still)
    two = AlignSettings.model_validate(NUMBERS | still | {"batch_size": 5})
    world.sharded.slices.write_parquet(tmp_path / "slices.parquet")
    world.sharded.reports.write_parquet(tmp_path / "reports.parquet")
    (tmp_path / "two.py").write_text(SCRIPT)
    places = (world.sources["conditional"], *world.folders, world.clip)
    shards = world.sharded.roots["batch0"].parent
    settings = SynthesizerSettings(align=two).model_dump_json()
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         *map(str, (tmp_path / "two.py", tmp_path, shards, settings, *places))],
        cwd=REPO, capture_output=True, text=True, check=False, timeout=120,
        env={"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    card = json.loads((tmp_path / "two" / "card.json").read_text())
    assert {(tmp_path / f"said-{r}").read_text() for r in range(2)} == {card["version"]}
    assert (card["processes"], card["studies_per_step"], one.card["studies_per_step"]) == (2, 10, 10)
    for name, tensor in parts(tmp_path / "one").items():
        torch.testing.assert_close(parts(tmp_path / "two")[name], tensor, rtol=1e-3, atol=1e-3, msg=name)
