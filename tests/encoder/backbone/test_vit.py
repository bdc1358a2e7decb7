from __future__ import annotations

import copy
import math

import pytest
import torch

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.attention import attention, rotation
from spine_models.encoder.backbone.vit import Backbone, _build_vit


def images(n: int = 3, px: int = 32) -> torch.Tensor:
    return torch.rand(n, 1, px, px, generator=torch.Generator().manual_seed(0))


def still(settings: BackboneSettings, **changes: object) -> BackboneSettings:
    return settings.model_copy(update={"drop_path": 0.0, "rope_rescale": None} | changes)


def pristine(backbone: Backbone, settings: BackboneSettings) -> torch.nn.Module:
    """timm's own network, run by timm's own code, with the same weights."""
    vit = _build_vit(settings)
    vit.load_state_dict(backbone.vit.state_dict())
    return vit.train(backbone.training)


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_equals_timm_on_standardised_pixels(settings, mlp, precision):
    settings = still(settings, mlp=mlp, layer_scale=0.5)
    backbone = Backbone(settings).train()
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    timms = pristine(backbone, settings)
    x = images()
    weights = torch.randn(3, 19, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision is torch.bfloat16):
        tokens = backbone(x)
        expected = timms.forward_features((x - settings.pixel_mean) / settings.pixel_std)
    ours = torch.cat([tokens.cls[:, None], tokens.registers, tokens.patches], dim=1)
    close = {"atol": 0.08, "rtol": 0.05} if precision is torch.bfloat16 else {"atol": 2e-5, "rtol": 1e-4}
    torch.testing.assert_close(ours, expected, **close)
    assert tokens.cls.shape == (3, 32)
    assert tokens.registers.shape == (3, 2, 32)
    assert tokens.patches.shape == (3, 16, 32)
    (ours * weights).sum().backward()
    (expected * weights).sum().backward()
    gradients = dict(backbone.vit.named_parameters())
    for name, parameter in timms.named_parameters():
        error = (gradients[name].grad - parameter.grad).norm() / parameter.grad.norm()
        assert error < (0.05 if precision is torch.bfloat16 else 1e-4), name


def test_attention_is_the_formula():
    torch.manual_seed(0)
    n, heads, patches, width, prefix = 2, 3, 4, 8, 2
    angles = torch.randn(patches, width // 2)
    rope = torch.cat([angles.sin().repeat(1, 2), angles.cos().repeat(1, 2)], dim=1)
    each = prefix + patches
    qkv = torch.randn(n * each, 3 * heads * width)
    out = attention(qkv, n, heads, *rotation(rope, prefix))

    def turned(vector, token):
        if token < prefix:
            return vector
        pairs = torch.complex(vector[: width // 2], vector[width // 2 :])
        pairs = pairs * torch.polar(torch.ones(width // 2), angles[token - prefix])
        return torch.cat([pairs.real, pairs.imag])

    for image in range(n):
        rows = qkv[image * each : (image + 1) * each].view(each, 3, heads, width)
        for head in range(heads):
            for token in range(each):
                query = turned(rows[token, 0, head], token)
                scores = torch.stack(
                    [query @ turned(rows[t, 1, head], t) / math.sqrt(width) for t in range(each)]
                )
                expected = scores.softmax(dim=0) @ rows[:, 2, head]
                ours = out[image * each + token, head * width : (head + 1) * width]
                torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_what_training_watches_is_what_whole_passes_give(settings, training):
    backbone = Backbone(still(settings)).train(training)
    torch.nn.init.normal_(backbone.local_cls_norm.weight)
    picks, masks = torch.rand(3, 16) < 0.5, torch.rand(3, 16) < 0.5
    seen = backbone.watched(images(), picks, masks, images(5, px=16))
    whole, local = backbone(images(), masks), backbone(images(5, px=16), local=True)
    torch.testing.assert_close(seen.cls, whole.cls)
    torch.testing.assert_close(seen.patches, whole.patches[picks])
    torch.testing.assert_close(seen.local_cls, local.cls)
    assert backbone.watched(images(), picks).local_cls is None
    torch.testing.assert_close(backbone.watched(images(), picks).cls, backbone(images()).cls)
    nothing = backbone.watched(images(), torch.zeros_like(picks), masks)
    assert nothing.patches.shape == (0, 32)


def test_drop_path_leaves_out_whole_residuals_and_weighs_the_rest(settings):
    """Against a block that computes every residual, for the images that each draw kept."""
    block = Backbone(settings.model_copy(update={"drop_path": 0.4})).vit.blocks[0]
    everything = copy.deepcopy(block).eval()
    block.train()
    rope = torch.randn(4, 32)
    sizes = [(5, 7), (3, 4 + 3)]
    x = torch.randn(8 * 7, 32, requires_grad=True)
    torch.manual_seed(7)
    out = block(x, rope=[rope, rope], sizes=sizes)
    torch.manual_seed(7)
    factors = []
    for _ in range(2):
        rows = [torch.zeros(5), torch.zeros(3)]
        for row in rows:
            n_kept = int(len(row) * 0.6)
            row[torch.randperm(len(row))[:n_kept]] = len(row) / n_kept
        factors.append(torch.cat(rows).repeat_interleave(7)[:, None])
        assert (factors[-1] == 0).any()
    y = x.detach().clone().requires_grad_()
    whole = y.view(8, 7, 32)
    for factor, norm, gamma, part in (
        (factors[0], everything.norm1, everything.gamma_1, None),
        (factors[1], everything.norm2, everything.gamma_2, everything.mlp),
    ):
        if part is None:
            turns = rotation(rope, 3)
            normed = everything.attn.qkv(norm(whole)).flatten(0, 1)
            residual = everything.attn.proj(attention(normed, 8, 2, *turns))
        else:
            residual = part(norm(whole)).flatten(0, 1)
        whole = whole + (factor * gamma * residual).view(8, 7, 32)
    torch.testing.assert_close(out, whole.flatten(0, 1))
    weights = torch.randn_like(out)
    (out * weights).sum().backward()
    (whole.flatten(0, 1) * weights).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-5, rtol=1e-4)
    for a, b in zip(block.parameters(), everything.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4)
    wanted = torch.tensor([0, 7, 12, 34, 35, 55])
    torch.manual_seed(7)
    torch.testing.assert_close(block(x, rope=[rope, rope], sizes=sizes, wanted=wanted), out[wanted])


def test_the_paper_builds_the_published_network_by_its_timm_name():
    import timm  # after our package, which repairs what it stumbles over

    paper = BackboneSettings()
    with torch.device("meta"):
        ours = timm.create_model(
            paper.model,
            num_classes=0,
            global_pool="token",
            swiglu_mlp=True,
            swiglu_align_to=64,
            mlp_ratio=8 / 3,
            rope_rescale_coords=2.0,
            in_chans=1,
        )
    small = Backbone(paper.model_copy(update={"depth": 1, "local_crops": 0}))
    expected = {n: p.shape for n, p in ours.named_parameters() if not n.startswith("blocks.") or ".0." in n}
    assert {n: p.shape for n, p in small.vit.named_parameters()} == expected
    hidden = small.vit.blocks[0].mlp.fc1_g.weight.shape[0]
    assert hidden % 64 == 0
    assert small.vit.blocks[0].attn.qkv.bias is None
    assert small.vit.blocks[0].attn.q_bias is None
    assert small.vit.rope.rescale_coords == 2.0


def test_initialisation_is_not_rescaled_by_depth(settings):
    torch.manual_seed(0)
    wide = settings.model_copy(update={"dim": 128, "heads": 4, "depth": 4})
    for block in Backbone(wide).vit.blocks:
        for layer in (block.attn.proj, block.mlp.fc2):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_masked_patches_are_not_seen(settings):
    backbone = Backbone(still(settings)).eval()
    torch.nn.init.normal_(backbone.mask_token)
    masks = torch.zeros(3, 16, dtype=torch.bool)
    masks[1, 5] = True
    first = images()
    second = first.clone()
    second[1, :, 8:16, 8:16] = 0.9  # patch row 1, column 1 of a grid of 4
    torch.testing.assert_close(backbone(first, masks).cls, backbone(second, masks).cls)
    assert not torch.allclose(backbone(first).cls[1], backbone(second).cls[1])
    assert not torch.allclose(backbone(first).cls[1], backbone(first, masks).cls[1])


def test_drop_path_is_the_same_in_every_block(settings):
    rates = [b.drop_path for b in Backbone(settings.model_copy(update={"depth": 4})).vit.blocks]
    assert rates == [settings.drop_path] * 4


def test_rope_rescale_is_drawn_for_every_block_in_training_only(settings, monkeypatch):
    backbone = Backbone(still(settings, rope_rescale=2.0))
    ropes: list[torch.Tensor] = []
    for block in backbone.vit.blocks:
        block.register_forward_pre_hook(lambda _, __, kw: ropes.extend(kw["rope"]), with_kwargs=True)
    backbone.train()(images())
    assert not torch.equal(ropes[0], ropes[1])
    ropes.clear()
    backbone.eval()(images())
    assert torch.equal(ropes[0], ropes[1])


def test_a_frozen_backbone_never_draws_even_in_train_mode(settings):
    backbone = Backbone(settings.model_copy(update={"drop_path": 0.5})).freeze()
    backbone.train()
    state = torch.get_rng_state()
    a, b = backbone(images()), backbone(images())
    assert torch.equal(a.cls, b.cls)
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module.training for module in backbone.modules())
    assert not any(p.requires_grad for p in backbone.parameters())


def test_local_crops_have_their_own_cls_norm_in_training_only(settings):
    backbone = Backbone(still(settings))
    torch.nn.init.zeros_(backbone.local_cls_norm.weight)
    x = images(px=16)
    assert backbone.train()(x, local=True).cls.abs().max() == 0
    assert backbone(x).cls.abs().max() > 0
    torch.testing.assert_close(backbone(x, local=True).patches, backbone(x).patches)
    torch.testing.assert_close(backbone.eval()(x, local=True).cls, backbone(x).cls)


def test_no_image_gives_no_token(settings):
    tokens = Backbone(settings).eval()(torch.zeros(0, 1, 32, 32))
    assert tokens.cls.shape == (0, 32)
    assert tokens.patches.shape == (0, 16, 32)


def test_sizes_that_do_not_fit_are_refused(settings):
    with pytest.raises(ValueError, match="8 px patches"):
        Backbone(settings)(torch.zeros(1, 1, 30, 32))
    with pytest.raises(ValueError, match="multiple of 4 times heads"):
        Backbone(settings.model_copy(update={"dim": 36}))
    with pytest.raises(ValueError, match="multiples of patch_px"):
        Backbone(settings.model_copy(update={"image_px": 36}))
