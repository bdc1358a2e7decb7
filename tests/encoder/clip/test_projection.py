from __future__ import annotations

import torch

from spine_models.encoder.clip.projection import Projection, unit


def test_unit_rows_and_a_published_size():
    torch.manual_seed(0)
    projection = Projection(6)
    out = projection(torch.randn(4, 6) * 50)
    assert out.shape == (4, 1024)
    torch.testing.assert_close(out.norm(dim=1), torch.ones(4))
    assert projection.linear.bias is None


def test_zeros_stay_zeros_with_a_finite_gradient():
    rows = torch.zeros(2, 3, requires_grad=True)
    unit(rows).sum().backward()
    assert unit(rows).eq(0).all()
    assert rows.grad.isfinite().all()
