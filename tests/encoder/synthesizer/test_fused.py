from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from spine_models.encoder.backbone.vit import Backbone, Tokens
from spine_models.encoder.synthesizer.fused import FusedEncoder
from spine_models.encoder.synthesizer.gates import VARIANTS
from tests.encoder.synthesizer.conftest import drawn


def images(n: int = 3, px: int = 32) -> torch.Tensor:
    return torch.rand(n, 1, px, px, generator=torch.Generator().manual_seed(0))


def some_masks() -> torch.Tensor:
    return torch.rand(3, 16, generator=torch.Generator().manual_seed(1)) < 0.4


def opinionated(fused: FusedEncoder) -> FusedEncoder:
    """Gates as training might leave them."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in fused.gates.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return fused


def same(a: Tokens, b: Tokens) -> bool:
    return all(map(torch.equal, a, b))


@pytest.mark.parametrize(("variant", "index"), [("t1_only", 0), ("t2_only", 1)])
@pytest.mark.parametrize("training", [True, False])
def test_a_fixed_variant_is_that_encoder_bit_for_bit(pair, variant, index, training):
    fused = FusedEncoder(*pair, variant).train(training)
    for masks in (None, some_masks()):
        tokens, gates = fused.with_gates(images(), masks)
        assert same(tokens, pair[index](images(), masks))
        assert same(fused(images(px=16), local=True), pair[index](images(px=16)))
    assert torch.equal(gates, functional.one_hot(torch.full((3, 2), index), 2).float())
    assert [name for name, _ in fused.named_parameters()] == [f"t{index + 1}_mask_token"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_with_equal_encoders_every_gate_gives_their_output(settings, variant):
    one, two = drawn(settings, 1), drawn(settings, 1)
    fused = opinionated(FusedEncoder(one, two, variant, hidden=8))
    tokens, gates = fused.with_gates(images(), some_masks())
    assert same(tokens, one(images(), some_masks()))
    if variant in ("conditional", "scalar"):
        assert not torch.allclose(gates, torch.full_like(gates, 0.5))


def test_layers_are_mixed_by_the_weights_that_are_told(pair, settings):
    """Against a plain computation from the parts."""
    fused = opinionated(FusedEncoder(*pair, "conditional", hidden=8))
    tokens, gates = fused.with_gates(images())
    assert gates.shape == (3, settings.depth, 2)
    torch.testing.assert_close(gates.sum(dim=2), torch.ones(3, settings.depth))
    streams = []
    for backbone in pair:
        vit = backbone.vit
        patches = vit.patch_embed((images() - settings.pixel_mean) / settings.pixel_std).flatten(1, 2)
        streams.append(
            torch.cat([vit.cls_token.expand(3, -1, -1), vit.reg_token.expand(3, -1, -1), patches], 1)
        )
    for layer in range(settings.depth):
        outputs = [
            b.vit.blocks[layer](x, rope=b.vit.rope.get_embed(shape=(4, 4)))
            for b, x in zip(pair, streams, strict=True)
        ]
        mixed = sum(gates[:, layer, i].reshape(3, 1, 1) * outputs[i] for i in range(2))
        streams = [mixed, mixed]
    normed = sum(gates[:, -1, i].reshape(3, 1, 1) * pair[i].vit.norm(mixed) for i in range(2))
    torch.testing.assert_close(torch.cat([tokens.cls[:, None], tokens.registers, tokens.patches], 1), normed)


def test_an_images_tokens_do_not_depend_on_the_batch(pair):
    fused = opinionated(FusedEncoder(*pair, "conditional", hidden=8)).eval()
    whole = fused(images())
    for index in range(3):
        torch.testing.assert_close(fused(images()[index : index + 1]).cls[0], whole.cls[index])


def test_only_gates_and_mask_tokens_learn_and_the_encoders_never_train(pair):
    fused = FusedEncoder(*pair, "conditional", hidden=8)
    before = [p.clone() for b in pair for p in b.parameters()]
    for mode in (True, False, True):
        fused.train(mode)
        assert fused.training is mode
        assert not any(module.training for b in pair for module in b.modules())
    # The rate of drop path and the RoPE draws of training would change this.
    assert same(fused(images()), fused(images()))
    fused(images(), some_masks()).patches.square().sum().backward()
    assert {name.split(".")[0] for name, _ in fused.named_parameters()} == {
        "gates",
        "t1_mask_token",
        "t2_mask_token",
    }
    assert all(p.grad is not None for p in fused.parameters())
    assert fused.gates[0].out.weight.grad.abs().sum() > 0
    assert fused.gates[1].out.weight.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for b in pair for p in b.parameters())
    assert all(map(torch.equal, before, (p for b in pair for p in b.parameters())))
    assert not any("vit" in name for name in fused.state_dict())


def test_copies_share_the_encoders_but_not_the_gates(pair):
    fused = FusedEncoder(*pair, "scalar")
    twin = copy.deepcopy(fused)
    assert twin.encoders[0] is fused.encoders[0]
    assert twin.gates[0].logits is not fused.gates[0].logits
    assert twin.freeze().train().training is False
    assert fused.train().training is True
    assert fused.gates[0].logits.requires_grad
    assert fused.double().encoders[0].mask_token.dtype == torch.float64


@pytest.mark.parametrize("change", [{"depth": 3}, {"dim": 64}, {"patch_px": 16}, {"registers": 0}])
def test_encoders_of_two_shapes_are_refused_by_their_shapes(settings, change):
    other = Backbone(settings.model_copy(update=change))
    with pytest.raises(ValueError, match=r"T1 has .*'depth': 2.* T2 has .*train both alike") as error:
        FusedEncoder(Backbone(settings), other, "scalar")
    name, value = next(iter(change.items()))
    assert f"'{name}': {value}" in str(error.value)


def test_an_image_that_is_not_whole_patches_is_refused(pair):
    with pytest.raises(ValueError, match="whole number"):
        FusedEncoder(*pair, "scalar")(images(px=30))
