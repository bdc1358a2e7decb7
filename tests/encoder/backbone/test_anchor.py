"""The Gram stage: what it starts from, that it resumes exactly, what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from safetensors.torch import load_file

from spine_models.config import GramSettings
from spine_models.corpus.shards import EpochReader
from spine_models.encoder.backbone import loop, one_step
from spine_models.encoder.backbone.anchor import anchor
from spine_models.encoder.backbone.augment import SlicesTooSmall
from spine_models.encoder.backbone.encoder import EncoderError, load_encoder, save_encoder, version_of
from spine_models.encoder.backbone.optim import TrainingDiverged
from spine_models.encoder.backbone.tables import CURVES
from spine_models.encoder.backbone.train import pretrain, untrained
from spine_models.encoder.backbone.vit import Backbone
from spine_models.encoder.backbone.whole import CheckpointMismatch, latest

REPO = Path(__file__).resolve().parents[3]
# Slices have 32 px: crops of the whole slice, 16 px for the student and 24 px for the Gram teacher.
NUMBERS = {
    "px": 24,
    "image_px": 16,
    "global_scale": (0.9, 1.0),
    "steps": 6,
    "warmup_steps": 1,
    "ema_momentum": 0.9,
    "refresh_every": 2,
    "first_refresh": 3,
    "max_refreshes": 1,
}

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from spine_models.config import BackboneSettings, GramSettings
from spine_models.encoder.backbone.anchor import anchor

def report(row):
    if row["step"] == 5:  # after the checkpoint of step 4, which is after the refresh at step 3
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    torch.set_num_threads(1)
    settings = BackboneSettings.model_validate_json(sys.argv[1])
    gram = GramSettings.model_validate_json(sys.argv[2])
    start, out, *tars = map(Path, sys.argv[3:])
    anchor(settings, gram, tars, out, route="t1", start=start, report=report)
"""


def files(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    last = latest(folder / "checkpoints")
    names = ("student", "teacher", "gram", "optimiser", "rng-0000")
    return {"encoder": load_file(folder / "encoder.safetensors")} | {
        name: load_file(last / f"{name}.safetensors") for name in names
    }


def assert_same_run(a: Path, b: Path) -> None:
    first, second = files(a), files(b)
    for name, tensors in first.items():
        assert tensors.keys() == second[name].keys()
        assert [k for k, tensor in tensors.items() if not torch.equal(tensor, second[name][k])] == [], name


@pytest.fixture(scope="module")
def gram() -> GramSettings:
    return GramSettings.model_validate(NUMBERS)


@pytest.fixture(scope="module")
def settings(settings):
    """Square crops, so that slices of 32 px are enough."""
    return settings.model_copy(update={"crop_ratio": (1.0, 1.0)})


@pytest.fixture(scope="module")
def start(settings, tars, tmp_path_factory) -> Path:
    """A pretrained encoder with its run's checkpoint."""
    return pretrain(settings, tars, tmp_path_factory.mktemp("start"), route="t1", stop_after=None).folder


@pytest.fixture(scope="module")
def keys(tars) -> frozenset[str]:
    """The training slices: 10 studies of two."""
    return frozenset(EpochReader(tars[:1], seed=0).keys)


@pytest.fixture(scope="module")
def whole(settings, gram, tars, start, tmp_path_factory):
    """An uninterrupted stage."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = anchor(settings, gram, tars, tmp_path_factory.mktemp("whole"), route="t1", start=start)
    torch.set_num_threads(threads)
    return result


def test_a_stage_leaves_an_encoder_curves_and_a_card(whole, settings, gram, start):
    assert whole.curves.schema == CURVES
    assert whole.curves["step"].to_list() == list(range(7))
    losses = whole.curves.filter(pl.col("step") > 0)
    assert losses["gram"].is_finite().all()
    weighted = (
        losses["dino"]
        + losses["ibot"]
        + settings.koleo_weight * settings.global_crops * losses["koleo"]
        + gram.weight * losses["gram"]
    )
    assert losses["loss"].to_list() == pytest.approx(weighted.to_list(), rel=1e-5)
    assert whole.card == json.loads((whole.folder / "card.json").read_text())
    assert (whole.card["stage"], whole.card["heads"], whole.card["trained"]) == ("gram", "pretrained", True)
    assert whole.card["start"] == version_of(start) != whole.card["version"]
    assert whole.card["gram_refreshes"] == 1
    assert whole.card["gram"]["px"] == 24
    encoder = load_encoder(whole.folder)
    assert encoder.version == whole.card["version"]
    config = json.loads((whole.folder / "config.json").read_text())
    assert config["settings"] == settings.model_dump(mode="json")


def test_pretraining_has_no_gram_loss(start, settings, tars):
    again = pretrain(settings, tars, start, route="t1")
    assert again.curves["gram"].null_count() == again.curves.height
    assert not (latest(start / "checkpoints") / "gram.safetensors").exists()


def test_a_stage_starts_from_the_encoder_and_its_heads(settings, gram, tars, start, tmp_path, monkeypatch):
    seen, real = {}, one_step.objective

    def objective(student, teacher, crops, *args, gram, **keywords):
        if not seen:
            seen["student"] = {k: v.detach().clone() for k, v in student.state_dict().items()}
            seen["teacher"] = {k: v.clone() for k, v in teacher.state_dict().items()}
            seen["gram"] = {k: v.clone() for k, v in gram.backbone.state_dict().items()}
            seen["crops"] = crops
        return real(student, teacher, crops, *args, gram=gram, **keywords)

    monkeypatch.setattr(one_step, "objective", objective)
    anchor(settings, gram, tars, tmp_path, route="t1", start=start, stop_after=1)
    encoder = load_file(start / "encoder.safetensors")
    for name, tensor in encoder.items():
        assert torch.equal(seen["gram"][name], tensor)
        assert torch.equal(seen["student"][f"backbone.{name}"], tensor)
        assert torch.equal(seen["teacher"][f"backbone.{name}"], tensor)
    for network in ("student", "teacher"):
        saved = load_file(latest(start / "checkpoints") / f"{network}.safetensors")
        heads = [name for name in saved if not name.startswith("backbone.")]
        assert heads
        assert all(torch.equal(seen[network][name], saved[name]) for name in heads)
    assert seen["crops"].global_crops.shape == (2, 4, 1, 16, 16)
    assert seen["crops"].gram_crops.shape == (2, 4, 1, 24, 24)


def test_heads_are_fresh_where_none_were_published_and_the_card_says_so(
    settings, gram, tars, start, tmp_path
):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "encoder.safetensors"):
        (bare / name).write_bytes((start / name).read_bytes())
    fresh = anchor(settings, gram, tars, tmp_path / "fresh", route="t1", start=bare, stop_after=1)
    assert fresh.card["heads"] == "fresh"
    assert fresh.card["trained"] is False
    pretrained = tmp_path / "pretrained"
    named = anchor(settings, gram, tars, pretrained, route="t1", start=start, stop_after=1)
    assert named.card["heads"] == "pretrained"
    with pytest.raises(CheckpointMismatch, match="heads"):
        anchor(settings, gram, tars, pretrained, route="t1", start=bare)


def test_an_anchored_encoder_has_no_heads_of_its_own(settings, gram, tars, start, tmp_path):
    """Nothing goes on from it, and at the published size they are the larger part."""
    assert (start / "heads.safetensors").is_file()
    anchor(settings, gram, tars, tmp_path, route="t1", start=start, stop_after=1)
    assert not (tmp_path / "heads.safetensors").exists()


def test_the_gram_teacher_is_the_ema_teacher_of_its_last_refresh(settings, gram, tars, start, tmp_path):
    """Refreshed once, at step 3; before that the encoder itself."""

    def teachers(stop: int) -> tuple[dict, dict]:
        anchor(settings, gram, tars, tmp_path, route="t1", start=start, stop_after=stop)
        found = files(tmp_path)
        ema = {
            k.removeprefix("backbone."): v for k, v in found["teacher"].items() if k.startswith("backbone.")
        }
        return found["gram"], ema

    def same(a: dict, b: dict) -> bool:
        return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)

    at_two, _ = teachers(2)
    assert same(at_two, load_file(start / "encoder.safetensors"))
    at_three, ema = teachers(3)
    assert same(at_three, ema)
    at_six, later = teachers(6)
    assert same(at_six, ema)
    assert not same(later, ema)


def test_a_stage_killed_in_the_middle_ends_with_the_same_weights(
    whole, settings, gram, tars, start, tmp_path
):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    out = tmp_path / "run"
    command = [sys.executable, str(script), settings.model_dump_json(), gram.model_dump_json()]
    done = subprocess.run(
        [*command, *map(str, (start, out, *tars))],
        cwd=REPO,
        env=os.environ | {"PYTHONPATH": str(REPO)},
        check=False,
    )
    assert done.returncode == -9
    assert latest(out / "checkpoints").name == "step-00000004"
    assert not (out / "encoder.safetensors").exists()
    resumed = anchor(settings, gram, tars, out, route="t1", start=start)
    assert_same_run(resumed.folder, whole.folder)
    assert_frame_equal(resumed.curves, whole.curves)
    assert resumed.card == whole.card


def test_workers_bfloat16_and_other_variants_resume_exactly_too(settings, gram, tars, start, tmp_path):
    other = settings.model_copy(update={"workers": 2, "precision": "bfloat16"})
    batch = gram.model_copy(
        update={
            "image_level": False,
            "normalised": False,
            "remove_only_teacher_negative": True,
            "steps": 4,
            "first_refresh": 2,
        }
    )
    anchor(other, batch, tars, tmp_path / "whole", route="t1", start=start)
    anchor(other, batch, tars, tmp_path / "parts", route="t1", start=start, stop_after=1)
    anchor(other, batch, tars, tmp_path / "parts", route="t1", start=start)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_a_strong_weight_keeps_the_similarities(settings, gram, tars, start, tmp_path):
    """The same steps end nearer to the Gram teacher with the loss than without it."""
    ends = {}
    for weight in (0.0, 50.0):
        numbers = {"weight": weight, "steps": 40, "max_refreshes": 0, "lr": 5e-3, "layer_decay": 1.0}
        changed = gram.model_copy(update=numbers)
        result = anchor(settings, changed, tars, tmp_path / str(weight), route="t1", start=start)
        ends[weight] = result.curves["gram"].tail(5).mean()
    assert ends[50.0] < 0.5 * ends[0.0]


def test_a_bad_step_moves_nothing_and_many_stop_the_run(settings, gram, tars, start, tmp_path, monkeypatch):
    real = one_step.objective
    monkeypatch.setattr(
        one_step, "objective", lambda *a, **k: (out := real(*a, **k))._replace(total=out.total * float("nan"))
    )
    few = settings.model_copy(update={"max_skipped_steps": 3})
    stopped = anchor(few, gram, tars, tmp_path / "bad", route="t1", start=start, stop_after=2)
    assert stopped.card["skipped_steps"] == 2
    before, after = (load_file(folder / "encoder.safetensors") for folder in (start, stopped.folder))
    assert all(torch.equal(before[name], after[name]) for name in before)
    with pytest.raises(TrainingDiverged, match="3 steps in a row"):
        anchor(few, gram, tars, tmp_path / "worse", route="t1", start=start)


def test_slices_without_the_resolution_are_refused(settings, gram, tars, start, tmp_path):
    with pytest.raises(SlicesTooSmall, match="slices of 32 px"):
        anchor(settings, gram.model_copy(update={"px": 32}), tars, tmp_path / "out", route="t1", start=start)
    assert not (tmp_path / "out" / "encoder.safetensors").exists()


def test_another_routes_encoder_or_other_settings_are_refused(settings, gram, tars, start, tmp_path):
    with pytest.raises(EncoderError, match="route t1, not t2"):
        anchor(settings, gram, tars, tmp_path, route="t2", start=start)
    with pytest.raises(EncoderError, match="other dim"):
        anchor(settings.model_copy(update={"dim": 64}), gram, tars, tmp_path, route="t1", start=start)
    with pytest.raises(ValueError, match="folder of its own"):
        anchor(settings, gram, tars, start, route="t1", start=start)


def test_another_stage_is_not_resumed(settings, gram, tars, start, tmp_path):
    anchor(settings, gram, tars, tmp_path, route="t1", start=start, stop_after=1)
    with pytest.raises(CheckpointMismatch, match="other gram"):
        anchor(settings, gram.model_copy(update={"weight": 1.0}), tars, tmp_path, route="t1", start=start)
    with pytest.raises(CheckpointMismatch):
        pretrain(settings, tars, tmp_path, route="t1")
    torch.manual_seed(5)
    other = tmp_path / "other"
    save_encoder(other, Backbone(settings), settings, route="t1", trained=True)
    with pytest.raises(CheckpointMismatch, match="other heads, start"):
        anchor(settings, gram, tars, tmp_path, route="t1", start=other)


@pytest.mark.parametrize("why", ["untrained", "too few slices", "no steps", "too coarse"])
def test_nothing_to_anchor_passes_the_encoder_on(settings, gram, tars, start, keys, tmp_path, why):
    excluded: frozenset[str] = frozenset()
    if why == "untrained":
        start = untrained(settings, tmp_path / "start", route="t1").folder
    elif why == "no steps":
        gram = GramSettings.model_validate(gram.model_dump() | {"steps": 0})
    elif why == "too coarse":
        excluded = frozenset(sorted(keys)[:13])
    else:
        settings = settings.model_copy(update={"min_train_slices": 21})
    result = anchor(settings, gram, tars, tmp_path / "out", route="t1", start=start, excluded=excluded)
    assert result.curves.is_empty()
    assert result.card["version"] == version_of(start)
    assert (result.card["trained"], result.card["steps"]) == (why != "untrained", 0)
    assert load_encoder(tmp_path / "out").trained is (why != "untrained")
    reasons = {
        "untrained": "the encoder is not trained",
        "no steps": "gram.steps is 0",
        "too coarse": "too few slices have the pixels of gram.px: 13 do not",
    }
    assert result.card["passed_on"] == reasons.get(why, why)
    assert result.card["too_coarse"] == (13 if why == "too coarse" else 0)
    assert json.loads((tmp_path / "out" / "card.json").read_text()) == result.card


def test_slices_without_the_resolution_are_not_trained_on(
    settings, gram, tars, start, keys, tmp_path, monkeypatch
):
    seen: list[frozenset[str]] = []
    real = loop.CropStream

    def stream(*args, excluded, **keywords):
        seen.append(excluded)
        return real(*args, excluded=excluded, **keywords)

    monkeypatch.setattr(loop, "CropStream", stream)
    coarse = frozenset(sorted(keys)[:4])
    elsewhere = frozenset({"a slice of another batch"})

    def begun(out: Path, excluded: frozenset[str], stop: int):
        wanted = {"route": "t1", "start": start, "excluded": excluded, "stop_after": stop}
        return anchor(settings, gram, tars, out, **wanted)

    plain = begun(tmp_path / "plain", frozenset(), 1)
    fewer = begun(tmp_path / "fewer", coarse | elsewhere, 1)
    held_out = seen[0]
    assert seen[1] == held_out | coarse
    assert plain.card["train_slices"] - fewer.card["train_slices"] == len(coarse - held_out)
    assert (plain.card["too_coarse"], fewer.card["too_coarse"]) == (0, 4)
    drawn = [set(r.seen.filter(pl.col("role") == "train")["slice_key"]) for r in (plain, fewer)]
    assert drawn[0] - drawn[1] == coarse - held_out
    assert len(drawn[1]) == fewer.card["train_slices"]
    for result in (plain, fewer):
        assert result.card["probe_held_out_of_train"] == len(held_out)
    with pytest.raises(CheckpointMismatch, match="other too_coarse"):
        begun(tmp_path / "fewer", frozenset(), 2)
    assert begun(tmp_path / "fewer", coarse, 2).card["steps"] == 2


def test_the_callers_generator_is_left_alone(settings, gram, tars, start, tmp_path):
    before = torch.get_rng_state()
    anchor(settings, gram, tars, tmp_path, route="t1", start=start, stop_after=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", ["masked", "unmasked"])
def test_the_stage_compares_the_tokens_that_it_is_told_to(
    settings, gram, tars, start, tmp_path, kind, monkeypatch
):
    from spine_models.encoder.backbone import objective

    chosen, real = [], objective.gram_loss

    def loss(*args, **keywords):
        chosen.append(keywords["chosen"])
        return real(*args, **keywords)

    monkeypatch.setattr(objective, "gram_loss", loss)
    always = settings.model_copy(update={"mask_probability": 1.0, "mask_ratio": (0.25, 0.25)})
    result = anchor(
        always,
        gram.model_copy(update={"tokens": kind}),
        tars,
        tmp_path,
        route="t1",
        start=start,
        stop_after=1,
    )
    assert result.curves["gram"].drop_nulls().is_finite().all()
    share = chosen[0].float().mean().item()
    assert share == pytest.approx(0.25 if kind == "masked" else 0.75, abs=0.13)
