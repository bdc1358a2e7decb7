from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from spine_models.encoder.backbone.gram_loss import gram_loss

VARIANTS = [
    {"image_level": image, "normalised": unit} | removal
    for image, unit, removal in itertools.product(
        (True, False),
        (True, False),
        ({}, {"remove_negative": True}, {"remove_only_teacher_negative": True}),
    )
]


def tokens(seed: int, n: int = 3, patches: int = 4, dim: int = 5) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, patches, dim)))


def plain(
    student, teacher, *, image_level, normalised, remove_negative=False, remove_only_teacher_negative=False
):
    """One pair of patches at a time, in float64."""
    n, patches, _ = student.shape

    def similarity(x, i, p, j, q):
        a, b = x[i, p], x[j, q]
        return a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) if normalised else a @ b

    total, count = 0.0, 0
    for i, j in itertools.product(range(n), repeat=2):
        if image_level and i != j:
            continue
        for p, q in itertools.product(range(patches), repeat=2):
            s, t = similarity(student, i, p, j, q), similarity(teacher, i, p, j, q)
            if remove_negative:
                s, t = max(s, 0.0), max(t, 0.0)
            elif remove_only_teacher_negative and t < 0:
                s, t = max(s, 0.0), 0.0
            total, count = total + (s - t) ** 2, count + 1
    return total / count


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_equals_the_plain_transcription(variant):
    student, teacher = tokens(0), tokens(1)
    expected = plain(student.numpy(), teacher.numpy(), **variant)
    assert gram_loss(student, teacher, **variant).item() == pytest.approx(expected, rel=1e-5)


def test_every_variant_is_another_loss():
    values = [gram_loss(tokens(0), tokens(1), **variant).item() for variant in VARIANTS]
    assert len({round(value, 6) for value in values}) == len(VARIANTS)


def test_is_the_squared_frobenius_norm_over_the_number_of_entries():
    student, teacher = tokens(0, n=1), tokens(1, n=1)
    unit = [x[0] / x[0].norm(dim=1, keepdim=True) for x in (student, teacher)]
    norm = torch.linalg.matrix_norm(unit[0] @ unit[0].T - unit[1] @ unit[1].T)
    assert gram_loss(student, teacher).item() == pytest.approx((norm**2 / 16).item(), rel=1e-5)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_gradient_reaches_the_student_alone(variant):
    student, teacher = tokens(0).requires_grad_(), tokens(1).requires_grad_()
    gram_loss(student, teacher, **variant).backward()
    assert student.grad.abs().sum() > 0
    assert torch.isfinite(student.grad).all()
    assert teacher.grad is None


def test_tokens_may_turn_and_grow_but_not_move_apart():
    student = tokens(0)
    turn, _ = torch.linalg.qr(tokens(2, 1, 5, 5)[0])
    assert gram_loss(student @ turn * 7, student).item() == pytest.approx(0.0, abs=1e-10)
    assert gram_loss(student @ turn * 7, student, normalised=False) > 1
    other = student.clone()
    other[0, 0] += 1.0
    assert gram_loss(other, student) > 1e-3


def test_what_a_removal_of_negatives_leaves():
    """Patches that are opposite in both: no loss. Opposite in the student only: the removals differ."""
    opposite = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    slightly = torch.tensor([[[1.0, 0.0], [-1.0, 1.0]]])
    same = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    for removal in ({"remove_negative": True}, {"remove_only_teacher_negative": True}):
        leaning = slightly.clone().requires_grad_()
        loss = gram_loss(leaning, opposite, **removal)
        loss.backward()
        assert loss.item() == pytest.approx(0.0, abs=1e-12)
        assert leaning.grad.abs().max() < 1e-6
        assert gram_loss(same, opposite, **removal).item() == pytest.approx(0.5)  # 1 against a target of 0
    assert gram_loss(opposite, same, remove_negative=True).item() == pytest.approx(0.5)
    assert gram_loss(opposite, same, remove_only_teacher_negative=True).item() == pytest.approx(2.0)


def test_is_computed_in_float32_under_autocast_and_of_half_precision_tokens():
    student, teacher = tokens(0).float(), tokens(1).float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = gram_loss(student, teacher)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, gram_loss(student, teacher), rtol=0, atol=0)
    assert gram_loss(student.bfloat16(), teacher.bfloat16()).dtype == torch.float32


def test_says_what_it_cannot_compare():
    with pytest.raises(ValueError, match="both \\[N, P, D\\]"):
        gram_loss(tokens(0), tokens(1, patches=9))
    with pytest.raises(ValueError, match="exclude each other"):
        gram_loss(tokens(0), tokens(1), remove_negative=True, remove_only_teacher_negative=True)


@pytest.mark.parametrize("image_level", [True, False])
def test_chosen_patches_alone_are_compared(image_level):
    student, teacher = tokens(2), tokens(3)
    chosen = torch.rand(student.shape[:2], generator=torch.Generator().manual_seed(0)) > 0.5
    chosen[0] = False  # an image without a chosen patch
    a, b = (torch.nn.functional.normalize(t, dim=-1) for t in (student, teacher))
    squares = []
    places = [(n, p) for n in range(len(a)) for p in range(a.shape[1]) if chosen[n, p]]
    for n, i in places:
        for m, j in places:
            if n == m or not image_level:
                squares.append(float((a[n, i] @ a[m, j] - b[n, i] @ b[m, j]) ** 2))
    loss = gram_loss(student, teacher, image_level=image_level, chosen=chosen)
    assert loss.item() == pytest.approx(sum(squares) / len(squares), rel=1e-5)
    everything = torch.ones_like(chosen)
    plain = gram_loss(student, teacher, image_level=image_level)
    assert gram_loss(student, teacher, image_level=image_level, chosen=everything).item() == pytest.approx(
        plain.item(), rel=1e-6
    )


def test_no_chosen_patch_is_no_loss_and_no_gradient():
    student = tokens(4).requires_grad_()
    loss = gram_loss(student, tokens(5), chosen=torch.zeros(student.shape[:2], dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(student.grad, torch.zeros_like(student))
    with pytest.raises(ValueError, match=r"chosen patches are \[N, P\]"):
        gram_loss(student, tokens(5), chosen=torch.ones(1, dtype=torch.bool))
