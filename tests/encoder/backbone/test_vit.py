from __future__ import annotations

import pytest
import timm
import torch

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.vit import Backbone


def images(n: int = 3, px: int = 32) -> torch.Tensor:
    return torch.rand(n, 1, px, px, generator=torch.Generator().manual_seed(0))


def still(settings: BackboneSettings, **changes: object) -> BackboneSettings:
    return settings.model_copy(update={"drop_path": 0.0, "rope_rescale": None} | changes)


def test_equals_timm_on_standardised_pixels(settings):
    backbone = Backbone(settings).eval()
    x = images()
    tokens = backbone(x)
    expected = backbone.vit.forward_features((x - settings.pixel_mean) / settings.pixel_std)
    ours = torch.cat([tokens.cls[:, None], tokens.registers, tokens.patches], dim=1)
    torch.testing.assert_close(ours, expected)
    assert tokens.cls.shape == (3, 32)
    assert tokens.registers.shape == (3, 2, 32)
    assert tokens.patches.shape == (3, 16, 32)


def test_the_paper_builds_the_published_network_by_its_timm_name():
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
    rates = [
        drop.drop_prob
        for block in Backbone(settings.model_copy(update={"depth": 4})).vit.blocks
        for drop in (block.drop_path1, block.drop_path2)
    ]
    assert rates == [settings.drop_path] * 8


def test_rope_rescale_is_drawn_for_every_block_in_training_only(settings, monkeypatch):
    backbone = Backbone(still(settings, rope_rescale=2.0))
    ropes: list[torch.Tensor] = []
    for block in backbone.vit.blocks:
        block.register_forward_pre_hook(lambda _, __, kw: ropes.append(kw["rope"]), with_kwargs=True)
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


def test_sizes_that_do_not_fit_are_refused(settings):
    with pytest.raises(ValueError, match="8 px patches"):
        Backbone(settings)(torch.zeros(1, 1, 30, 32))
    with pytest.raises(ValueError, match="multiple of 4 times heads"):
        Backbone(settings.model_copy(update={"dim": 36}))
    with pytest.raises(ValueError, match="multiples of patch_px"):
        Backbone(settings.model_copy(update={"image_px": 36}))
