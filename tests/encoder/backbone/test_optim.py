from __future__ import annotations

import math

import pytest
import torch

from spine_models.encoder.backbone.network import Network
from spine_models.encoder.backbone.optim import (
    GuardedAdamW,
    TrainingDiverged,
    is_decayed,
    lr_scale,
    parameter_groups,
)
from spine_models.encoder.backbone.teacher import make_teacher, update_teacher


def test_layer_decay_by_depth():
    assert lr_scale("backbone.vit.patch_embed.proj.weight", 24, 0.9) == pytest.approx(0.9**25)
    assert lr_scale("backbone.mask_token", 24, 0.9) == pytest.approx(0.9**25)
    assert lr_scale("backbone.vit.blocks.0.attn.qkv.weight", 24, 0.9) == pytest.approx(0.9**24)
    assert lr_scale("backbone.vit.blocks.23.mlp.fc1.bias", 24, 0.9) == pytest.approx(0.9)
    assert lr_scale("backbone.vit.norm.weight", 24, 0.9) == 1
    assert lr_scale("dino_head.prototypes.weight", 24, 0.9) == 1


def test_only_matrices_are_decayed_and_every_parameter_is_in_one_group(settings):
    network = Network(settings)
    decayed = {n for n, p in network.named_parameters() if is_decayed(n, p)}
    assert "backbone.vit.blocks.0.attn.qkv.weight" in decayed
    assert "backbone.vit.patch_embed.proj.weight" in decayed
    for name in ("cls_token", "reg_token", "norm.weight", "blocks.0.gamma_1", "blocks.0.norm1.bias"):
        assert f"backbone.vit.{name}" in dict(network.named_parameters())
        assert f"backbone.vit.{name}" not in decayed
    assert "backbone.mask_token" not in decayed
    grouped = [p for group in parameter_groups(network, settings) for p in group["params"]]
    assert len(grouped) == len({id(p) for p in grouped}) == len(list(network.parameters()))


def test_a_step_is_adamw_on_the_gradient_clipped_by_its_global_norm(settings):
    network = torch.nn.ModuleDict(
        {"a": torch.nn.Linear(2, 1, bias=False), "b": torch.nn.Linear(2, 1, bias=False)}
    )
    start = {n: p.detach().clone() for n, p in network.named_parameters()}
    tuned = settings.model_copy(update={"clip_grad": 1.0, "weight_decay": 0.1})
    optimiser = GuardedAdamW(network, tuned)
    loss = 3 * network["a"].weight.sum() + 4 * network["b"].weight.sum()
    lr = 0.01
    norm = optimiser.step(loss, lr)
    assert norm == pytest.approx(math.sqrt(2 * 9 + 2 * 16))
    for name, raw in (("a.weight", 3.0), ("b.weight", 4.0)):
        gradient = raw / norm
        expected = start[name] * (1 - lr * 0.1) - lr * gradient / (gradient + 1e-8)
        torch.testing.assert_close(dict(network.named_parameters())[name].detach(), expected)
        moment = optimiser.adamw.state[dict(network.named_parameters())[name]]["exp_avg"]
        torch.testing.assert_close(moment, torch.full((1, 2), 0.1 * gradient))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_loss_changes_no_weight_and_no_moment_and_is_counted(settings, bad):
    network = torch.nn.Linear(3, 1)
    optimiser = GuardedAdamW(network, settings.model_copy(update={"max_skipped_steps": 3}))
    assert optimiser.step(network.weight.sum(), 0.01) is not None
    weights = [p.detach().clone() for p in network.parameters()]
    moments = [
        optimiser.adamw.state[p]["exp_avg"].clone()
        for p in network.parameters()
        if p in optimiser.adamw.state
    ]
    assert optimiser.step(network.weight.sum() * bad, 0.01) is None
    assert (optimiser.skipped, optimiser.skipped_in_row) == (1, 1)
    assert all(torch.equal(a, b) for a, b in zip(weights, network.parameters(), strict=True))
    after = [optimiser.adamw.state[p]["exp_avg"] for p in network.parameters() if p in optimiser.adamw.state]
    assert all(torch.equal(a, b) for a, b in zip(moments, after, strict=True))
    assert optimiser.step(network.weight.sum(), 0.01) is not None
    assert (optimiser.skipped, optimiser.skipped_in_row) == (1, 0)
    optimiser.step(network.weight.sum() * bad, 0.01)
    optimiser.step(network.weight.sum() * bad, 0.01)
    with pytest.raises(TrainingDiverged, match="3 steps in a row"):
        optimiser.step(network.weight.sum() * bad, 0.01)


def test_a_finite_loss_with_a_bad_gradient_is_skipped_too(settings):
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    assert GuardedAdamW(network, settings).step(network.weight.abs().sqrt().sum(), 0.1) is None
    assert network.weight.item() == 0


def test_ema(settings):
    student = Network(settings)
    teacher = make_teacher(student)
    before = [p.clone() for p in teacher.parameters()]
    with torch.no_grad():
        for p in student.parameters():
            p.add_(torch.randn_like(p))
    update_teacher(teacher, student, 0.9)
    for old, new, source in zip(before, teacher.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * source.detach())
    teacher.train()
    assert not teacher.backbone.training


def test_prototypes_stand_still_while_the_last_layer_is_frozen_and_all_else_moves(settings):
    from spine_models.encoder.backbone.one_step import build_step, random_crops

    step = build_step(settings.model_copy(update={"freeze_last_layer_steps": 3, "warmup_steps": 0}))
    crops = random_crops(step.settings)
    start = {name: tensor.clone() for name, tensor in step.student.state_dict().items()}
    teacher = {name: tensor.clone() for name, tensor in step.teacher.state_dict().items()}
    for _ in range(3):
        step(crops)
    still = {name for name, tensor in step.student.state_dict().items() if torch.equal(tensor, start[name])}
    assert still == {"dino_head.prototypes.weight", "ibot_head.prototypes.weight"}
    assert all(torch.equal(step.teacher.state_dict()[name], teacher[name]) for name in still)
    step(crops)
    assert not any(torch.equal(step.student.state_dict()[name], start[name]) for name in still)


def test_freezing_changes_no_other_group(settings):
    network = Network(settings)
    plain, frozen = (
        parameter_groups(network, settings.model_copy(update={"freeze_last_layer_steps": n})) for n in (0, 1)
    )

    def rates(groups):
        return {id(p): (g["lr_scale"], g["weight_decay"]) for g in groups for p in g["params"]}

    assert rates(plain) == rates(frozen)
    assert not any(group["last_layer"] for group in plain)
    last = [id(p) for group in frozen if group["last_layer"] for p in group["params"]]
    assert last == [id(network.dino_head.prototypes.weight), id(network.ibot_head.prototypes.weight)]
