from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from safetensors.torch import load_file

from spine_models.config import BackboneSettings, load_profile
from spine_models.encoder.backbone.encoder import save_encoder, version_of
from spine_models.encoder.backbone.tables import CURVES
from spine_models.encoder.backbone.whole import CheckpointMismatch, latest
from spine_models.encoder.synthesizer.files import WEIGHTS, load_fused
from spine_models.encoder.synthesizer.gates import VARIANTS
from spine_models.encoder.synthesizer.train import synthesize, training_settings
from tests.encoder.conftest import write_tar
from tests.encoder.synthesizer.conftest import Folders, drawn


@pytest.fixture(scope="session")
def all_tars(tars: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    other = tmp_path_factory.mktemp("shards_other") / "other" / "train" / "shard-000000.tar"
    return [*tars, write_tar(other, 4, seed=3)]


@pytest.fixture(scope="module")
def whole(settings, synthesizer, all_tars, folders, tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    before = [version_of(folder) for folder in folders]
    out = tmp_path_factory.mktemp("whole")
    result = synthesize(settings, synthesizer, all_tars, out, t1=folders.t1, t2=folders.t2)
    torch.set_num_threads(threads)
    assert before == [version_of(folder) for folder in folders]
    return result


def parts(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    last = latest(folder / "checkpoints")
    names = ("student", "teacher", "optimiser", "rng-0000")
    return {"fused": load_file(folder / WEIGHTS)} | {n: load_file(last / f"{n}.safetensors") for n in names}


def assert_same_run(a: Path, b: Path) -> None:
    first, second = parts(a), parts(b)
    for name, tensors in first.items():
        assert tensors.keys() == second[name].keys()
        assert [k for k, tensor in tensors.items() if not torch.equal(tensor, second[name][k])] == [], name


def test_a_run_leaves_a_fused_encoder_curves_and_a_card(whole, folders, synthesizer):
    assert whole.curves.schema == CURVES
    assert whole.curves["route"].unique().to_list() == ["all"]
    assert whole.curves["loss"].drop_nulls().is_finite().all()
    assert whole.curves["loss"].drop_nulls().len() == synthesizer.steps
    assert whole.curves.filter(pl.col("view_retrieval").is_not_null())["step"].to_list() == [0, 3, 6]
    fused = load_fused(whole.folder, *folders)
    assert fused.trained
    assert whole.card["version"] == fused.version
    assert whole.card["name"] == "dinov3-fused-conditional"
    assert whole.card["encoders"] == {"t1": version_of(folders.t1), "t2": version_of(folders.t2)}
    assert whole.card["train_slices"] == 28  # of every route


def test_gates_mask_tokens_and_heads_learn_and_nothing_else_is_kept(whole):
    files = parts(whole.folder)
    start = torch.full((2,), 0.0)
    for side in ("student", "teacher"):
        kinds = {".".join(name.split(".")[:2]) for name in files[side]}
        assert kinds == {
            "backbone.gates",
            "backbone.t1_mask_token",
            "backbone.t2_mask_token",
            *(f"{head}.{part}" for head in ("dino_head", "ibot_head") for part in ("mlp", "prototypes")),
        }
        assert not torch.equal(files[side]["backbone.gates.0.out.bias"], start)
        assert not torch.equal(files[side]["backbone.gates.1.out.bias"], start)
    assert not torch.equal(
        files["student"]["backbone.gates.0.out.bias"], files["teacher"]["backbone.gates.0.out.bias"]
    )
    assert all(torch.equal(v, files["teacher"][f"backbone.{k}"]) for k, v in files["fused"].items())


def test_a_stopped_run_goes_on_bit_for_bit(whole, settings, synthesizer, all_tars, folders, tmp_path):
    for stop, trained in ((3, False), (None, True)):
        result = synthesize(
            settings, synthesizer, all_tars, tmp_path, t1=folders.t1, t2=folders.t2, stop_after=stop
        )
        assert load_fused(tmp_path, *folders).trained is trained
    assert_same_run(tmp_path, whole.folder)
    assert_frame_equal(result.curves, whole.curves)
    assert result.card == whole.card


def test_a_run_on_other_encoders_or_another_variant_is_not_resumed(
    settings, synthesizer, all_tars, folders, tmp_path
):
    synthesize(settings, synthesizer, all_tars, tmp_path, t1=folders.t1, t2=folders.t2, stop_after=1)
    save_encoder(tmp_path / "t2", drawn(settings, 9), settings, route="t2", trained=True)
    with pytest.raises(CheckpointMismatch, match="other encoders"):
        synthesize(settings, synthesizer, all_tars, tmp_path, t1=folders.t1, t2=tmp_path / "t2")
    scalar = synthesizer.model_copy(update={"variant": "scalar"})
    with pytest.raises(CheckpointMismatch, match="other variant"):
        synthesize(settings, scalar, all_tars, tmp_path, t1=folders.t1, t2=folders.t2)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "conditional"])
def test_every_variant_trains_and_in_bfloat16(settings, synthesizer, all_tars, folders, tmp_path, variant):
    short = synthesizer.model_copy(update={"variant": variant, "steps": 2, "warmup_steps": 0})
    loop = settings.model_copy(update={"precision": "bfloat16"})
    result = synthesize(loop, short, all_tars, tmp_path, t1=folders.t1, t2=folders.t2)
    assert result.card["skipped_steps"] == 0
    assert load_fused(tmp_path, *folders).encoder.variant == variant


def test_too_few_slices_leave_gates_as_they_were_initialised(
    settings, synthesizer, all_tars, folders, tmp_path
):
    strict = settings.model_copy(update={"min_train_slices": 1000})
    result = synthesize(strict, synthesizer, all_tars, tmp_path, t1=folders.t1, t2=folders.t2)
    fused = load_fused(tmp_path, *folders)
    assert not fused.trained
    assert result.card["version"] == fused.version
    assert torch.equal(fused.encoder.gates[0].out.bias, torch.zeros_like(fused.encoder.gates[0].out.bias))


@pytest.mark.parametrize("blind_route", ["t1", "t2"])
def test_gates_learn_which_encoder_sees(settings, synthesizer, all_tars, tmp_path, blind_route):
    """One encoder is blind, giving the same strong tokens whatever the image: the first gate turns from it."""
    blind, generator = drawn(settings, 2), torch.Generator().manual_seed(0)
    with torch.no_grad():
        blind.vit.patch_embed.proj.weight.zero_()
        for block in blind.vit.blocks:
            block.attn.proj.weight.mul_(30)
            block.mlp.fc2.bias.normal_(std=3, generator=generator)
    folders = Folders(tmp_path / "t1", tmp_path / "t2")
    for route, folder in zip(("t1", "t2"), folders, strict=True):
        backbone = blind if route == blind_route else drawn(settings, 1)
        save_encoder(folder, backbone, settings, route=route, trained=True)
    easy = {
        "local_crops": 0,
        "prototype_std": 0.1,
        "jitter_probability": 0.0,
        "blur_probability": (0.0, 0.0, 0.0),
        "mask_probability": 0.0,
        "teacher_temperature": 0.02,
        "teacher_temperature_end": 0.02,
        "global_scale": (0.9, 1.0),
    }
    long = {"steps": 60, "batch_size": 16, "lr": 2e-2, "ema_momentum": 0.9, "checkpoint_every": 60}
    numbers = synthesizer.model_copy(update=long | {"probe_every": 60})
    loop = settings.model_copy(update=easy)
    synthesize(loop, numbers, all_tars, tmp_path / "out", t1=folders.t1, t2=folders.t2)
    fused = load_fused(tmp_path / "out", *folders).encoder.cpu()
    _, gates = fused.with_gates(torch.rand(4, 1, 32, 32, generator=generator))
    seeing = 1 if blind_route == "t1" else 0
    assert gates[:, 0, seeing].min() > 0.9, gates[:, 0]


def test_the_loops_settings_are_the_backbones_but_for_the_synthesizers():
    profile = load_profile("phantom")
    loop = training_settings(profile.backbone, profile.synthesizer)
    assert isinstance(loop, BackboneSettings)
    assert (loop.steps, loop.batch_size) == (profile.synthesizer.steps, profile.synthesizer.batch_size)
    assert (loop.dim, loop.prototypes) == (profile.backbone.dim, profile.backbone.prototypes)
