from __future__ import annotations

import numpy as np
import torch

from spine_models.encoder.backbone.sinkhorn import sinkhorn_knopp


def reference(logits: np.ndarray, temperature: float, iterations: int = 3) -> np.ndarray:
    """The textbook iteration on Q = exp(logits / temperature) as a prototypes x samples matrix, in float64."""
    q = np.exp(logits.astype(np.float64) / temperature).T
    q /= q.sum()
    k, b = q.shape
    for _ in range(iterations):
        q /= q.sum(axis=1, keepdims=True) * k
        q /= q.sum(axis=0, keepdims=True) * b
    return (q * b).T


def test_equals_the_textbook_iteration():
    logits = np.random.default_rng(0).normal(size=(12, 7))
    for temperature in (1.0, 0.3, 0.07):
        ours = sinkhorn_knopp(torch.tensor(logits), temperature).numpy()
        np.testing.assert_allclose(ours, reference(logits, temperature), rtol=2e-4, atol=1e-6)


def test_rows_sum_to_one_and_prototypes_are_used_evenly():
    logits = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    logits[:, 0] += 3.0  # a prototype that every sample likes
    assert (logits.argmax(dim=1) == 0).float().mean() > 0.8
    q = sinkhorn_knopp(logits, 0.5, iterations=50)
    torch.testing.assert_close(q.sum(dim=1), torch.ones(64))
    torch.testing.assert_close(q.sum(dim=0), torch.full((8,), 8.0), rtol=1e-3, atol=1e-3)


def test_large_logits_at_a_low_temperature_stay_finite():
    logits = torch.randn(16, 8, generator=torch.Generator().manual_seed(1)) * 1000
    logits[3] -= 1e6  # a whole row far below the largest entry, which one common maximum would send to 0 / 0
    assert torch.isinf((logits / 0.02).exp()).any()
    q = sinkhorn_knopp(logits, 0.02)
    assert torch.isfinite(q).all()
    torch.testing.assert_close(q.sum(dim=1), torch.ones(16))


def test_a_common_offset_changes_nothing():
    logits = torch.randn(10, 6, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        sinkhorn_knopp(logits, 0.1), sinkhorn_knopp(logits + 40.0, 0.1), rtol=1e-3, atol=1e-5
    )


def test_half_precision_in_float32_out_and_no_masked_token_is_fine():
    assert sinkhorn_knopp(torch.randn(4, 3).bfloat16(), 0.1).dtype == torch.float32
    assert sinkhorn_knopp(torch.zeros(0, 3), 0.1).shape == (0, 3)


def test_the_logits_are_left_as_they_were():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    before = logits.clone()
    sinkhorn_knopp(logits, 1.0)
    assert torch.equal(logits, before)
