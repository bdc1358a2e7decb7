from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from spine_models.encoder.backbone.dino_loss import dino_loss
from spine_models.encoder.backbone.ibot_loss import ibot_loss, patch_weights


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def assignments(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.dirichlet(np.ones(shape[-1]), size=shape[:-1])


def test_dino_is_the_mean_over_pairs_of_different_crops():
    rng = np.random.default_rng(0)
    g, n_local, b, k = 2, 3, 4, 5
    student, local, teacher = (
        rng.normal(size=(g, b, k)),
        rng.normal(size=(n_local, b, k)),
        assignments(rng, g, b, k),
    )
    terms = [
        -(teacher[t, i] * log_softmax(views[s, i] / 0.1)).sum()
        for views, same in ((student, True), (local, False))
        for t in range(g)
        for s in range(len(views))
        if not (same and s == t)
        for i in range(b)
    ]
    assert len(terms) == (g * (g - 1) + g * n_local) * b
    ours = dino_loss(torch.tensor(student), torch.tensor(local), torch.tensor(teacher), temperature=0.1)
    assert ours.item() == pytest.approx(np.mean(terms), rel=1e-5)
    globals_only = dino_loss(torch.tensor(student), None, torch.tensor(teacher), temperature=0.1)
    assert globals_only.item() == pytest.approx(np.mean(terms[: g * (g - 1) * b]), rel=1e-5)


def test_dino_says_ln_k_when_nothing_is_known_and_needs_a_pair():
    uniform = torch.full((2, 3, 8), 1 / 8)
    assert dino_loss(torch.zeros(2, 3, 8), None, uniform).item() == pytest.approx(math.log(8))
    with pytest.raises(ValueError, match="no pair"):
        dino_loss(torch.zeros(1, 3, 8), None, uniform[:1])


def test_dino_never_compares_a_crop_with_itself():
    teacher = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    agrees_with_itself = 10 * teacher
    assert dino_loss(agrees_with_itself, None, teacher).item() == pytest.approx(100.0, rel=1e-5)


def test_ibot_weighs_patches_by_their_image():
    rng = np.random.default_rng(1)
    masks = np.array([[1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    student, teacher = rng.normal(size=(4, 6)), assignments(rng, 4, 6)
    ce = -(teacher * log_softmax(student / 0.1)).sum(axis=1)
    expected = (ce[0] + ce[1:].mean() + 0.0) / 3
    ours = ibot_loss(torch.tensor(student), torch.tensor(teacher), torch.tensor(masks), temperature=0.1)
    assert ours.item() == pytest.approx(expected, rel=1e-5)
    assert patch_weights(torch.tensor(masks)).tolist() == pytest.approx([1.0, 1 / 3, 1 / 3, 1 / 3])


def test_ibot_without_masks_is_zero_and_has_a_gradient():
    student = torch.zeros(0, 6, requires_grad=True)
    loss = ibot_loss(student, torch.zeros(0, 6), torch.zeros(3, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert student.grad is not None


def test_losses_of_half_precision_logits_are_float32():
    logits = torch.randn(2, 3, 8).bfloat16()
    assert dino_loss(logits, None, torch.full((2, 3, 8), 1 / 8)).dtype == torch.float32
    masks = torch.tensor([[True, True], [True, False]])
    assert ibot_loss(logits[0], torch.full((3, 8), 1 / 8), masks).dtype == torch.float32
