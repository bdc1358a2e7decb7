"""Starting from DINOv3 checkpoints on disk: the same outputs, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from spine_models.config import BackboneSettings, GramSettings
from spine_models.encoder.backbone import one_step
from spine_models.encoder.backbone.anchor import anchor
from spine_models.encoder.backbone.encoder import open_backbone, save_encoder, version_of
from spine_models.encoder.backbone.start import read_start, started
from spine_models.encoder.backbone.start_weights import StartError, grey_patches
from spine_models.encoder.backbone.train import pretrain, untrained
from spine_models.encoder.backbone.vit import Backbone
from spine_models.encoder.backbone.whole import CheckpointMismatch

IMAGENET = (torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225]))


def grey(n: int = 3, px: int = 32) -> torch.Tensor:
    return torch.rand(n, 1, px, px, generator=torch.Generator().manual_seed(7))


def coloured(images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """The same intensities in three channels, normalised as the checkpoint wants."""
    return (images.expand(-1, 3, -1, -1) - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


def started_backbone(settings: BackboneSettings, place: Path) -> Backbone:
    torch.manual_seed(3)
    wanted = settings.model_copy(update={"start": str(place)})
    return started(wanted, "t1").build().backbone.eval()


def scattered(model: torch.nn.Module, *, zero: tuple[str, ...] = ()) -> None:
    """Every parameter drawn, so that none is right by being at its default; those that end so are zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = 0.1 * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(torch.zeros(()) if name.endswith(zero) and zero else drawn)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1.0)


@pytest.fixture(params=["gelu", "swiglu"])
def shaped(request, settings):
    """Settings of both feed-forward layers; 3 * 32 pixels of hidden width are 128 and 128."""
    return settings.model_copy(update={"mlp": request.param, "rope_rescale": None})


def transformers_folder(settings: BackboneSettings, folder: Path, **changes) -> torch.nn.Module:
    from transformers import DINOv3ViTConfig, DINOv3ViTModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    gated = settings.mlp == "swiglu"
    numbers = {
        "patch_size": 8,
        "hidden_size": 32,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_register_tokens": 2,
        "image_size": 32,
        "use_gated_mlp": gated,
        "hidden_act": "silu" if gated else "gelu",
    }
    torch.manual_seed(0)
    model = DINOv3ViTModel(DINOv3ViTConfig(**numbers | changes)).eval()
    scattered(model, zero=("q_proj.bias",))
    model.save_pretrained(folder)
    return model


def edited(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Change tensors of a folder's file; None takes one away."""
    path = folder / "model.safetensors"
    kept = load_file(path) | {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    save_file({name: tensor for name, tensor in kept.items() if tensor is not None}, path)


def test_transformers_outputs_come_out(shaped, tmp_path):
    """With biases of values, which our network has no place for, and another normalisation of pixels."""
    model = transformers_folder(shaped, tmp_path)
    ours = started_backbone(shaped, tmp_path)
    for px in (32, 48):
        with torch.no_grad():
            expected = model(coloured(grey(px=px), *IMAGENET)).last_hidden_state
            tokens = ours(grey(px=px))
        torch.testing.assert_close(tokens.cls, expected[:, 0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(tokens.registers, expected[:, 1:3], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(tokens.patches, expected[:, 3:], atol=1e-4, rtol=1e-4)
    masks = torch.zeros(3, 16, dtype=torch.bool)
    masks[:, 2:7] = True
    with torch.no_grad():
        expected = model(coloured(grey(), *IMAGENET), bool_masked_pos=masks).last_hidden_state
        torch.testing.assert_close(ours(grey(), masks).patches, expected[:, 3:], atol=1e-4, rtol=1e-4)
    start = read_start(tmp_path, shaped)
    assert (start.kind, start.unused) == ("transformers", ())
    assert start.fresh == ("local_cls_norm.bias", "local_cls_norm.weight")


def test_the_checkpoints_own_normalisation_is_read(shaped, tmp_path):
    model = transformers_folder(shaped, tmp_path)
    mean, std = torch.tensor([0.43, 0.411, 0.296]), torch.tensor([0.213, 0.156, 0.143])
    prepared = {"image_mean": mean.tolist(), "image_std": std.tolist()}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(prepared))
    with torch.no_grad():
        expected = model(coloured(grey(), mean, std)).last_hidden_state[:, 0]
        ours = started_backbone(shaped, tmp_path)(grey()).cls
        assert not torch.allclose(
            expected, model(coloured(grey(), *IMAGENET)).last_hidden_state[:, 0], atol=1e-2
        )
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "vit_small_patch16_dinov3_qkvb"])
@pytest.mark.parametrize("as_file", [True, False])
def test_timms_outputs_come_out(shaped, tmp_path, name, as_file):
    import timm

    model = timm.create_model(
        name, img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_reg_tokens=2, num_classes=5,
        init_values=1.0, swiglu_mlp=shaped.mlp == "swiglu", swiglu_align_to=64,
        mlp_ratio=8 / 3 if shaped.mlp == "swiglu" else 4.0,
    ).eval()  # fmt: skip
    scattered(model, zero=("q_bias",))
    place = tmp_path / "model.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, place)
    (tmp_path / "config.json").write_text(json.dumps({"architecture": name, "model_args": {"num_heads": 2}}))
    ours = started_backbone(shaped, place if as_file else tmp_path)
    with torch.no_grad():
        expected, tokens = model.forward_features(coloured(grey(), *IMAGENET)), ours(grey())
    torch.testing.assert_close(tokens.cls, expected[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(tokens.patches, expected[:, 3:], atol=1e-4, rtol=1e-4)
    start = read_start(place, shaped)
    assert (start.kind, start.unused) == ("timm", ("head.bias", "head.weight"))
    assert "mask_token" in start.fresh


def test_an_encoder_of_ours_comes_out_whatever_its_normalisation(settings, tmp_path):
    torch.manual_seed(5)
    other = settings.model_copy(update={"pixel_mean": 0.4, "pixel_std": 0.1, "local_crops": 0})
    origin = Backbone(other)
    scattered(origin)
    save_encoder(tmp_path, origin, other, route="t2", trained=True)
    with torch.no_grad():
        expected, tokens = origin.eval()(grey()), started_backbone(settings, tmp_path)(grey())
    torch.testing.assert_close(tokens.cls, expected.cls, atol=1e-4, rtol=1e-4)
    same = started_backbone(settings.model_copy(update={"pixel_mean": 0.4, "pixel_std": 0.1}), tmp_path)
    assert torch.equal(same.mask_token, origin.mask_token)
    assert torch.equal(same.vit.blocks[1].attn.qkv.weight, origin.vit.blocks[1].attn.qkv.weight)
    torch.testing.assert_close(same.vit.patch_embed.proj.weight, origin.vit.patch_embed.proj.weight)
    assert read_start(tmp_path, settings).kind == "encoder"


def test_the_patch_embedding_of_grey_is_that_of_three_equal_channels():
    """Term by term, in plain loops."""
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(2, 3, 2, 2)), rng.normal(size=2)
    mean, std, x = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), rng.random((2, 2))
    made, moved = grey_patches(
        torch.tensor(weight), torch.tensor(bias), mean, std, pixel_mean=0.25, pixel_std=0.5
    )
    for d in range(2):
        terms = [
            weight[d, c, i, j] * (x[i, j] - mean[c]) / std[c]
            for c in range(3)
            for i in range(2)
            for j in range(2)
        ]
        ours = sum(float(made[d, 0, i, j]) * (x[i, j] - 0.25) / 0.5 for i in range(2) for j in range(2))
        assert ours + float(moved[d]) == pytest.approx(sum(terms) + bias[d], abs=1e-5)
    with pytest.raises(StartError, match="3 channels with 2 means"):
        grey_patches(torch.tensor(weight), torch.tensor(bias), mean[:2], std, pixel_mean=0.25, pixel_std=0.5)


def test_another_shape_is_refused_and_both_are_named(settings, tmp_path):
    transformers_folder(settings, tmp_path)
    for changes, theirs, mine in (
        ({"dim": 64}, "dim 32", "dim 64"),
        ({"depth": 3}, "depth 2", "depth 3"),
        ({"registers": 4}, "registers 2", "registers 4"),
        ({"patch_px": 16}, "patch_px 8", "patch_px 16"),
        ({"heads": 4}, "heads 2", "heads 4"),
        ({"rope_base": 50.0}, "rope_base 100.0", "rope_base 50.0"),
        ({"mlp": "swiglu"}, "gelu of width 128", "swiglu of width 128"),
    ):
        with pytest.raises(StartError) as refused:
            read_start(tmp_path, settings.model_copy(update=changes))
        assert f"the checkpoint has {theirs}" in str(refused.value).replace("mlp ", "")
        assert mine in str(refused.value)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    with pytest.raises(StartError, match="norm_epsilon 1e-06"):
        read_start(tmp_path, settings)


def test_what_has_no_place_or_is_missing_is_told(settings, tmp_path):
    transformers_folder(settings, tmp_path)
    edited(tmp_path, classifier__weight=torch.ones(2, 32), embeddings__mask_token=None)
    start = read_start(tmp_path, settings)
    assert start.unused == ("classifier.weight",)
    assert "mask_token" in start.fresh
    edited(tmp_path, layer__1__attention__q_proj__bias=torch.ones(32))
    with pytest.raises(StartError, match=r"blocks\.1\.attn\.q_bias is not zero"):
        read_start(tmp_path, settings)
    edited(tmp_path, layer__1__attention__q_proj__bias=None, norm__weight=None)
    with pytest.raises(StartError, match=r"nothing for vit\.norm\.weight"):
        read_start(tmp_path, settings)
    edited(tmp_path, norm__weight=torch.ones(16))
    with pytest.raises(StartError, match=r"norm\.weight has shape \[16\], .* \[32\]"):
        read_start(tmp_path, settings)


def test_pickles_and_strangers_are_refused(settings, tmp_path):
    with pytest.raises(StartError, match="no folder or file 'nowhere'"):
        read_start(tmp_path / "nowhere", settings)
    with pytest.raises(StartError, match=r"has no model\.safetensors"):
        read_start(tmp_path, settings)
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    for place in (tmp_path, tmp_path / "pytorch_model.bin"):
        with pytest.raises(StartError, match=r"pytorch_model\.bin is a pickle"):
            read_start(place, settings)
    (tmp_path / "model.safetensors").write_bytes(b"anything")
    with pytest.raises(StartError, match="no whole safetensors file"):
        read_start(tmp_path, settings)
    save_file({"conv1.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(StartError, match=r"no DINOv3 ViT .* conv1\.weight"):
        read_start(tmp_path, settings)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(StartError, match=r"config\.json is no JSON"):
        read_start(tmp_path, settings)


def test_training_begins_with_it_and_tells_it_by_content(settings, tars, tmp_path, monkeypatch):
    place = tmp_path / "published"
    transformers_folder(settings, place)
    begun = read_start(place, settings)
    seen, real = {}, one_step.objective

    def objective(student, teacher, *args, **keywords):
        if not seen:
            seen["student"] = {k: v.detach().clone() for k, v in student.backbone.state_dict().items()}
            seen["teacher"] = {k: v.clone() for k, v in teacher.backbone.state_dict().items()}
        return real(student, teacher, *args, **keywords)

    monkeypatch.setattr(one_step, "objective", objective)
    wanted = settings.model_copy(update={"start": str(place)})
    result = pretrain(wanted, tars, tmp_path / "out", route="t1", stop_after=2)
    for network in seen.values():
        assert all(torch.equal(network[name], tensor) for name, tensor in begun.weights.items())
    told = {"version": begun.version, "kind": "transformers", "unused": []}
    told["fresh"] = ["local_cls_norm.bias", "local_cls_norm.weight"]
    assert result.card["start"] == told
    for name in ("card.json", "config.json"):
        assert str(tmp_path) not in (tmp_path / "out" / name).read_text()
    moved = tmp_path / "moved"
    shutil.copytree(place, moved)
    elsewhere = settings.model_copy(update={"start": str(moved)})
    assert pretrain(elsewhere, tars, tmp_path / "out", route="t1", stop_after=3).card["steps"] == 3
    with pytest.raises(CheckpointMismatch, match="start"):
        pretrain(settings, tars, tmp_path / "out", route="t1")
    edited(moved, norm__bias=torch.ones(32))
    with pytest.raises(CheckpointMismatch, match="other start"):
        pretrain(elsewhere, tars, tmp_path / "out", route="t1")


def test_scratch_is_the_default_and_unchanged(settings, tars, tmp_path):
    assert settings.start is None
    result = pretrain(settings, tars, tmp_path, route="t1", stop_after=1)
    assert "start" not in result.card


def test_too_few_slices_leave_the_start_and_random_networks_stay_random(settings, tars, tmp_path):
    transformers_folder(settings, tmp_path / "published")
    wanted = settings.model_copy(update={"start": str(tmp_path / "published"), "min_train_slices": 21})
    result = pretrain(wanted, tars, tmp_path / "out", route="t1")
    begun = read_start(tmp_path / "published", settings)
    assert result.card["trained"] is False
    assert result.card["start"]["version"] == begun.version
    left = open_backbone(tmp_path / "out")[0].state_dict()
    assert all(torch.equal(left[name], tensor) for name, tensor in begun.weights.items())
    drawn = [untrained(s, tmp_path / name, route="t1") for s, name in ((wanted, "a"), (settings, "b"))]
    a, b = (load_file(each.folder / "encoder.safetensors") for each in drawn)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_anchoring_does_not_mind_what_pretraining_began_with(settings, tars, tmp_path):
    transformers_folder(settings, tmp_path / "published")
    square = settings.model_copy(update={"crop_ratio": (1.0, 1.0), "steps": 2})
    wanted = square.model_copy(update={"start": str(tmp_path / "published")})
    encoder = pretrain(wanted, tars, tmp_path / "encoder", route="t1").folder
    gram = GramSettings(px=24, image_px=16, global_scale=(0.9, 1.0), steps=1)
    anchored = anchor(wanted, gram, tars, tmp_path / "anchored", route="t1", start=encoder)
    assert anchored.card["start"] == version_of(encoder)
    assert str(tmp_path) not in (anchored.folder / "config.json").read_text()
