from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone import schedule
from spine_models.encoder.backbone.masking import batch_masks
from spine_models.encoder.backbone.objective import objective
from spine_models.encoder.backbone.one_step import build_step, random_crops


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(map(torch.equal, a, b))


def test_random_crops_have_the_shapes_of_a_batch(settings):
    crops = random_crops(settings.model_copy(update={"local_crops": 3}), seed=4)
    assert crops.global_crops.shape == (2, 4, 1, 32, 32)
    assert crops.local_crops.shape == (3, 4, 1, 16, 16)
    assert 0 <= crops.global_crops.min() < crops.global_crops.max() <= 1
    assert random_crops(settings.model_copy(update={"local_crops": 0})).local_crops is None
    assert torch.equal(random_crops(settings, seed=4).global_crops, crops.global_crops)
    assert not torch.equal(random_crops(settings, seed=5).global_crops, crops.global_crops)


def test_a_step_is_the_recipe_written_out(settings):
    """Plain AdamW on the clipped gradient of the objective, then the moving average, for two steps."""
    settings = settings.model_copy(
        update={"drop_path": 0.0, "rope_rescale": None, "clip_grad": 0.5, "warmup_steps": 0}
    )
    step, crops = build_step(settings, seed=3), random_crops(settings)
    student, teacher = copy.deepcopy(step.student), copy.deepcopy(step.teacher)
    decayed = [p for n, p in student.named_parameters() if p.ndim > 1 and not n.endswith("_token")]
    kept = {id(p) for p in decayed}
    groups = [
        {"params": [p], "weight_decay": settings.weight_decay if id(p) in kept else 0.0}
        for p in student.parameters()
    ]
    adamw = torch.optim.AdamW(groups)
    depth = settings.depth
    for taken in range(2):
        masks = batch_masks(
            8,
            (4, 4),
            probability=settings.mask_probability,
            ratio=settings.mask_ratio,
            generator=np.random.default_rng([3, taken, 0]),
        )
        temperature = schedule.teacher_temperature(settings, taken)
        losses = objective(student, teacher, crops, masks, settings, temperature=temperature)
        adamw.zero_grad()
        losses.total.backward()
        norm = math.sqrt(sum(float(p.grad.square().sum()) for p in student.parameters()))
        for parameter in student.parameters():
            parameter.grad *= min(0.5 / (norm + 1e-6), 1.0)
        for (name, _), group in zip(student.named_parameters(), adamw.param_groups, strict=True):
            parts = name.split(".")
            layer = int(parts[3]) + 1 if "blocks" in parts else 0
            if not ("blocks" in parts or "patch_embed" in parts or name.endswith("_token")):
                layer = depth + 1
            lr = schedule.learning_rate(settings, taken)
            group["lr"] = lr * settings.layer_decay ** (depth + 1 - layer)
        adamw.step()
        momentum = schedule.ema_momentum(settings, taken)
        with torch.no_grad():
            for target, source in zip(teacher.parameters(), student.parameters(), strict=True):
                target.copy_(momentum * target + (1 - momentum) * source)
        numbers = step(crops)
        assert numbers["grad_norm"] == pytest.approx(norm, rel=1e-4)
        assert numbers["grad_norm"] > 0.5
        for name, value in (
            ("loss", losses.total),
            ("dino", losses.dino),
            ("ibot", losses.ibot),
            ("koleo", losses.koleo),
        ):
            assert numbers[name] == pytest.approx(value.item(), rel=1e-5)
        assert numbers["teacher_temperature"] == temperature
        assert numbers["ema_momentum"] == momentum
    assert step.taken == 2
    for mine, theirs in ((step.student, student), (step.teacher, teacher)):
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


def test_the_same_seed_gives_the_same_bytes(settings):
    crops = random_crops(settings)
    runs = []
    for seed in (1, 1, 2):
        step = build_step(settings, seed=seed)
        numbers = [step(crops) for _ in range(3)]
        runs.append((numbers, weights(step.student), weights(step.teacher)))
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])
    assert same(runs[0][2], runs[1][2])
    assert not same(runs[0][1], runs[2][1])


def test_a_step_that_is_not_finite_changes_nothing(settings):
    step, crops = build_step(settings), random_crops(settings)
    step(crops)
    before = weights(step.student), weights(step.teacher)
    crops.global_crops[0, 0, 0, 0, 0] = math.nan
    assert math.isnan(step(crops)["grad_norm"])
    assert same(before[0], weights(step.student))
    assert same(before[1], weights(step.teacher))
    assert (step.optimiser.skipped, step.taken) == (1, 2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_published_comparison_runs(precision):
    settings = BackboneSettings(
        dim=192, depth=6, heads=3, patch_px=16, image_px=112, local_px=48, global_crops=2, local_crops=4,
        batch_size=16, prototypes=1024, head_hidden=512, head_bottleneck=128, precision=precision,
    )  # fmt: skip
    numbers = build_step(settings)(random_crops(settings))
    # Fresh heads know nothing: ln K. A student that saw noise is no further.
    assert numbers["dino"] == pytest.approx(math.log(1024), rel=0.01)
    assert math.isfinite(numbers["grad_norm"])
    assert set(numbers) == {
        "loss", "dino", "ibot", "koleo", "lr", "teacher_temperature", "ema_momentum", "grad_norm",
    }  # fmt: skip
