from __future__ import annotations

import numpy as np
import pytest
import torch

from spine_models.encoder.backbone.koleo_loss import koleo_loss
from spine_models.encoder.torchvision_repair import repair_torchvision


def test_equals_the_definition():
    x = np.random.default_rng(0).normal(size=(9, 5))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    distance = np.linalg.norm(unit[:, None] - unit[None], axis=2) + np.diag(np.full(9, np.inf))
    expected = -np.log(distance.min(axis=1) + 1e-8).mean()
    assert koleo_loss(torch.tensor(x)).item() == pytest.approx(expected, rel=1e-5)


def test_equals_lightly_in_value_and_gradient():
    repair_torchvision()
    try:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the oracle's own dependencies
            from lightly.loss import KoLeoLoss
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"lightly, the oracle, does not import here: {error}")
    ours = torch.randn(16, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    a, b = koleo_loss(ours), KoLeoLoss()(theirs)
    a.backward()
    b.backward()
    torch.testing.assert_close(a, b)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_identical_rows_have_a_finite_loss_and_gradient():
    x = torch.ones(4, 8, requires_grad=True)
    loss = koleo_loss(x)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(x.grad).all()


def test_is_computed_in_float32_under_autocast():
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        inside = koleo_loss(x)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, koleo_loss(x), rtol=0, atol=0)
