"""Data that no run should be given, and what becomes of it."""

from __future__ import annotations

import io
import json
import logging
import tarfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from spine_models.corpus.shards import EpochReader, ShardError
from spine_models.encoder.backbone import data, run
from spine_models.encoder.backbone.data import CropStream, open_stream
from spine_models.encoder.backbone.encoder import load_encoder
from spine_models.encoder.backbone.optim import TrainingDiverged
from spine_models.encoder.backbone.tables import SEEN
from spine_models.encoder.backbone.train import pretrain
from spine_models.encoder.backbone.whole import CheckpointMismatch, latest


def shard(path: Path, studies: dict[str, int], *, seed: int = 0, size_px: int = 32) -> Path:
    """A tar of noise, with so many slices a study."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for study, n_slices in studies.items():
            for index in range(n_slices):
                png = io.BytesIO()
                Image.fromarray(rng.integers(0, 65536, (size_px, size_px), dtype=np.uint16)).save(png, "PNG")
                about = json.dumps({"study_key": study}).encode()
                for suffix, content in (("png", png.getvalue()), ("json", about)):
                    info = tarfile.TarInfo(f"{study}-{index:04d}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return path


def keys_of(tar: Path) -> set[str]:
    return set(EpochReader([tar], seed=0).keys)


def spoil_member(tar: Path, number: int) -> str:
    """Overwrite one slice's pixels in place; returns its key."""
    with tarfile.open(tar) as archive:
        member = [entry for entry in archive if entry.name.endswith(".png")][number]
    with tar.open("r+b") as stream:
        stream.seek(member.offset_data)
        stream.write(b"\xa5" * member.size)
    return member.name.removesuffix(".png")


@pytest.fixture
def three(tmp_path) -> list[Path]:
    """Three training tars and one for the probe."""
    folder = tmp_path / "site" / "t1"
    made = [
        shard(folder / "train" / f"shard-{n:06d}.tar", {f"a{n}{s}": 2 for s in range(6)}, seed=n)
        for n in range(3)
    ]
    return [*made, shard(folder / "val" / "shard-000000.tar", {f"v{s}": 2 for s in range(5)}, seed=9)]


SECOND = "site/t1/train/shard-000001.tar"
DAMAGE = {
    "cut": lambda tar: tar.write_bytes(tar.read_bytes()[:5000]),
    "garbage": lambda tar: tar.write_bytes(np.random.default_rng(0).bytes(20000)),
    "garbage in the middle": lambda tar: tar.write_bytes(
        (content := tar.read_bytes())[:10240] + bytes([7]) * 2048 + content[12288:]
    ),
    "gone": Path.unlink,
    "empty": lambda tar: tar.write_bytes(b""),
    "member": lambda tar: spoil_member(tar, 3),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_shard_stops_training_and_is_named(three, settings, tmp_path, damage):
    DAMAGE[damage](three[1])
    with pytest.raises(ShardError) as caught:
        pretrain(settings.model_copy(update={"steps": 12}), three, tmp_path / "run", route="t1")
    message = str(caught.value)
    assert SECOND in message
    assert "write the shards" in message
    assert "backbone.corrupt_shards: skip" in message
    assert str(tmp_path) not in message


def test_a_worker_names_a_corrupt_shard_too(three, settings):
    spoil_member(three[1], 3)
    stream = CropStream(
        three[:3], settings.model_copy(update={"workers": 1}), open_reader=EpochReader, rank=0, world=1
    )
    with pytest.raises(ShardError, match=SECOND):
        for _ in zip(range(20), open_stream(stream), strict=False):
            pass


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_shard_is_skipped_where_wanted_and_never_silently(
    three, settings, tmp_path, caplog, damage
):
    kept = keys_of(three[0]) | keys_of(three[2])
    lost = keys_of(three[1])
    DAMAGE[damage](three[1])
    skip = settings.model_copy(update={"corrupt_shards": "skip", "steps": 12})
    rows: list[dict[str, float]] = []
    with caplog.at_level(logging.WARNING):
        result = pretrain(skip, three, tmp_path / "run", route="t1", report=rows.append)
    assert result.card["trained"] is True
    assert list(result.card["skipped_shards"]) == [SECOND]
    assert "shard-000001.tar" in result.card["skipped_shards"][SECOND]
    assert (
        json.loads((tmp_path / "run" / "card.json").read_text())["skipped_shards"]
        == result.card["skipped_shards"]
    )
    assert [SECOND in record.getMessage() for record in caplog.records] == [True]
    trained_on = set(result.seen.filter(pl.col("role") == "train")["slice_key"])
    if damage == "member":  # what came before the slice that cannot be decoded may have been drawn
        assert trained_on == kept | lost
        assert rows[-1]["skipped_shards"] == 1
    else:
        assert trained_on == kept


def draws(stream: CropStream, n: int) -> list[tuple[str, dict[str, str]]]:
    spoilt: dict[str, str] = dict(stream.spoilt[0])
    samples = stream._samples(0, spoilt)
    return [(next(samples)[0], dict(spoilt)) for _ in range(n)]


@pytest.mark.parametrize("sampling", ["study", "slice"])
def test_after_the_slice_that_cannot_be_decoded_nothing_of_its_shard_is_drawn(three, settings, sampling):
    lost = keys_of(three[1])
    bad = spoil_member(three[1], 5)
    skip = settings.model_copy(update={"corrupt_shards": "skip", "sampling": sampling})
    drawn = draws(CropStream(three[:3], skip, open_reader=EpochReader, rank=0, world=1), 60)
    before = [key for key, spoilt in drawn if not spoilt]
    after = [key for key, spoilt in drawn if spoilt]
    assert bad not in before
    assert set(after) == keys_of(three[0]) | keys_of(three[2])
    whole = EpochReader(three[:3], seed=skip.seed, balance=sampling)
    order = [whole.keys[n] for n in whole.order(0)]
    assert before == order[: order.index(bad)]
    assert set(before) & lost  # some of it came before


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("sampling", ["study", "slice"])
def test_resume_is_exact_with_a_skipped_shard_and_in_both_samplings(
    three, settings, tmp_path, sampling, workers
):
    spoil_member(three[1], 3)
    changes = {"corrupt_shards": "skip", "sampling": sampling, "workers": workers, "steps": 12}
    skip = settings.model_copy(update=changes)
    whole = pretrain(skip, three, tmp_path / "whole", route="t1")
    for stop in (3, 5, 9, None):
        result = pretrain(skip, three, tmp_path / "parts", route="t1", stop_after=stop)
    assert result.card == whole.card
    assert list(whole.card["skipped_shards"]) == [SECOND]
    a, b = (load_file(tmp_path / name / "encoder.safetensors") for name in ("whole", "parts"))
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_a_run_that_stopped_at_a_corrupt_shard_goes_on_without_it(three, settings, tmp_path):
    spoil_member(three[1], 3)
    stop = settings.model_copy(update={"steps": 12, "checkpoint_every": 1})
    with pytest.raises(ShardError):
        pretrain(stop, three, tmp_path / "run", route="t1")
    skip = stop.model_copy(update={"corrupt_shards": "skip"})
    resumed = pretrain(skip, three, tmp_path / "run", route="t1")
    whole = pretrain(skip, three, tmp_path / "whole", route="t1")
    a, b = (load_file(result.folder / "encoder.safetensors") for result in (resumed, whole))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_probe_slice_that_cannot_be_decoded_is_passed_over(three, settings, tmp_path):
    for number in range(4):
        spoil_member(three[3], number)
    with pytest.raises(ShardError, match="site/t1/val/shard-000000"):
        pretrain(settings, three, tmp_path / "stop", route="t1")
    skip = settings.model_copy(update={"corrupt_shards": "skip"})
    result = pretrain(skip, three, tmp_path / "skip", route="t1")
    assert list(result.card["skipped_shards"]) == ["site/t1/val/shard-000000.tar"]
    assert result.card["trained"] is True
    held_out = result.seen.filter(pl.col("role") == "held_out")["slice_key"].to_list()
    assert len(held_out) == result.card["probe_slices"]
    assert not set(held_out) & set(result.seen.filter(pl.col("role") == "train")["slice_key"])


def test_a_route_of_corrupt_shards_alone_is_not_trained(three, settings, tmp_path):
    for tar in three:
        tar.write_bytes(b"\1" * 3000)
    skip = settings.model_copy(update={"corrupt_shards": "skip"})
    result = pretrain(skip, three, tmp_path / "run", route="t1")
    assert (result.card["trained"], len(result.card["skipped_shards"])) == (False, 4)
    assert result.seen.is_empty()


@pytest.mark.parametrize("given", ["no tar", "a tar without slices", "one slice", "three slices, no val"])
def test_too_little_of_a_route_leaves_an_untrained_encoder(settings, tmp_path, given):
    studies = {"a tar without slices": {}, "one slice": {"a": 1}, "three slices, no val": {"a": 3}}
    few = settings.model_copy(update={"min_train_slices": 1})
    tars = [shard(tmp_path / "t1" / "train" / "s.tar", studies[given])] if given in studies else []
    result = pretrain(few, tars, tmp_path / "run", route="t1")
    assert (result.card["trained"], result.card["steps"]) == (False, 0)
    assert result.curves.is_empty()
    assert result.seen.is_empty()
    assert pl.read_parquet(tmp_path / "run" / "seen.parquet").schema == SEEN
    assert not load_encoder(tmp_path / "run").trained


def test_a_route_of_one_slice_a_study_trains(settings, tmp_path):
    tar = shard(tmp_path / "t1" / "train" / "s.tar", {f"s{n:02d}": 1 for n in range(24)})
    result = pretrain(settings, [tar], tmp_path / "run", route="t1")
    assert result.card["trained"] is True
    assert result.curves["loss"].drop_nulls().is_finite().all()
    assert result.card["probe_held_out_of_train"] == 3


def with_nan(monkeypatch, which, part):
    """Crops of the given batches hold NaN."""
    real, made = data.MultiCrop.__call__, []

    def crop(self, *args, **keywords):
        crops = real(self, *args, **keywords)
        made.append(1)
        if len(made) in which:
            bad = getattr(crops, part).clone()
            bad[0, 0, 0, 3, 4] = float("nan")
            crops = crops._replace(**{part: bad})
        return crops

    monkeypatch.setattr(data.MultiCrop, "__call__", crop)


@pytest.mark.parametrize("part", ["global_crops", "local_crops"])
def test_a_batch_with_nan_changes_neither_weights_nor_teacher_nor_moments(
    settings, tars, tmp_path, monkeypatch, part
):
    one = {"checkpoint_every": 1, "steps": 6}
    pretrain(settings.model_copy(update=one), tars, tmp_path, route="t1", stop_after=2)

    def state() -> dict[str, torch.Tensor]:
        last = latest(tmp_path / "checkpoints")
        return {
            f"{file}|{name}": tensor
            for file in ("student", "teacher", "optimiser")
            for name, tensor in load_file(last / f"{file}.safetensors").items()
        }

    before = state()
    with monkeypatch.context() as patched:
        with_nan(patched, {2}, part)  # the first crops of a run are the probe's
        result = pretrain(settings.model_copy(update=one), tars, tmp_path, route="t1", stop_after=3)
    after = state()
    assert latest(tmp_path / "checkpoints").name == "step-00000003"
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    assert result.card["skipped_steps"] == 1
    result = pretrain(settings.model_copy(update=one), tars, tmp_path, route="t1")
    assert [name for name, tensor in state().items() if not tensor.isfinite().all()] == []
    assert result.card["skipped_steps"] == 1
    assert any(not torch.equal(before[name], tensor) for name, tensor in state().items())


def test_nan_in_every_batch_stops_training_and_leaves_the_last_checkpoint(
    settings, tars, tmp_path, monkeypatch
):
    tuned = settings.model_copy(update={"max_skipped_steps": 3, "checkpoint_every": 2, "steps": 12})
    with_nan(monkeypatch, range(4, 100), "global_crops")
    with pytest.raises(TrainingDiverged, match="3 steps in a row"):
        pretrain(tuned, tars, tmp_path, route="t1")
    last = latest(tmp_path / "checkpoints")
    assert last.name == "step-00000004"
    assert all(t.isfinite().all() for t in load_file(last / "teacher.safetensors").values())


def test_seen_lists_what_may_be_drawn_and_what_is_probed(three, settings, tmp_path):
    more = settings.model_copy(update={"probe_slices": 12})  # ten of val, two of train
    result = pretrain(more, three, tmp_path / "run", route="t1")
    assert result.seen.schema == SEEN
    assert pl.read_parquet(tmp_path / "run" / "seen.parquet").equals(result.seen)
    roles = {role: set(part["slice_key"]) for (role,), part in result.seen.group_by("role")}
    everything = set().union(*map(keys_of, three[:3]))
    assert keys_of(three[3]) < roles["held_out"]
    assert len(roles["held_out"]) == result.card["probe_slices"] == 12
    assert roles["train"] == everything - roles["held_out"]
    assert len(result.seen) == result.seen["slice_key"].n_unique()
    drawn = CropStream(
        three[:3],
        more,
        open_reader=EpochReader,
        rank=0,
        world=1,
        excluded=frozenset(everything & roles["held_out"]),
    )
    assert {key for key, _ in draws(drawn, 200)} == roles["train"]


def test_seen_is_written_before_the_first_step(three, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(run.Run, "advance", lambda *_: pytest.fail("stands for a kill"))
    with pytest.raises(pytest.fail.Exception):
        pretrain(settings, three, tmp_path / "run", route="t1")
    assert pl.read_parquet(tmp_path / "run" / "seen.parquet").height == 36 + 8


def test_a_checkpoint_of_another_manifest_says_what_differs(three, settings, tmp_path):
    first = pretrain(settings, three, tmp_path, route="t1", stop_after=1)
    identity = json.loads((latest(tmp_path / "checkpoints") / "run.json").read_text())["identity"]
    with pytest.raises(CheckpointMismatch) as caught:
        pretrain(settings, three[1:], tmp_path, route="t1")
    fresh = pretrain(settings, three[1:], tmp_path / "other", route="t1", stop_after=1)
    before, now = first.card["slices_sha256"], fresh.card["slices_sha256"]
    assert identity["slices"] == before
    assert f"slices {before[:12]}, now {now[:12]}" in str(caught.value)
    changed = settings.model_copy(update={"lr": 2e-3, "mask_ratio": (0.1, 0.4), "precision": "bfloat16"})
    with pytest.raises(CheckpointMismatch) as caught:
        pretrain(changed, three, tmp_path, route="t2")
    message = str(caught.value)
    assert "route t1, now t2" in message
    assert "lr 0.001, now 0.002" in message
    assert "mask_ratio [0.1, 0.5], now [0.1, 0.4]" in message
    assert "precision float32, now bfloat16" in message
    assert "slices" not in message
    assert str(tmp_path) not in message
