from __future__ import annotations

import pytest
import torch
from torch import nn

from spine_models.encoder.clip.contrastive import LogitScale, contrastive_loss
from spine_models.encoder.clip.grad_cache import cached_backward
from spine_models.encoder.clip.projection import Projection


class Towers(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.left = nn.Sequential(nn.Linear(5, 16), nn.GELU(), nn.Dropout(dropout), Projection(16, 8))
        self.right = nn.Sequential(nn.Linear(6, 16), nn.Dropout(dropout), Projection(16, 8))
        self.scale = LogitScale()

    def embed(self, chunk):
        left, right, present = chunk
        return {"left": self.left(left), "right": self.right(right), "present": present.float()}

    def loss(self, parts):
        return contrastive_loss(parts["left"], parts["right"], parts["present"] > 0, self.scale())


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(10, 5, generator=generator),
        torch.randn(10, 6, generator=generator),
        torch.rand(10, generator=generator) < 0.8,
    )


def gradients(model):
    found = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    return found


@pytest.mark.parametrize("size", [1, 3, 10])  # 10: one chunk, one pass
def test_the_gradient_of_chunks_is_that_of_the_whole_batch(batch, size):
    torch.manual_seed(0)
    model = Towers(0.0)
    whole = model.loss(model.embed(batch))
    whole.backward()
    expected = gradients(model)
    chunks = [tuple(part[i : i + size] for part in batch) for i in range(0, 10, size)]
    cached = cached_backward(chunks, model.embed, model.loss)
    torch.testing.assert_close(cached, whole.detach())
    found = gradients(model)
    assert found["scale.log_scale"].abs() > 0
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-5)


def test_both_passes_draw_the_same_dropout(batch):
    torch.manual_seed(0)
    model = Towers(0.5)
    chunks = [tuple(part[i : i + 5] for part in batch) for i in (0, 5)]
    torch.manual_seed(7)
    parts = [model.embed(chunk) for chunk in chunks]
    after = torch.get_rng_state()
    model.loss({n: torch.cat([p[n] for p in parts]) for n in parts[0]}).backward()
    expected = gradients(model)
    torch.manual_seed(7)
    cached_backward(chunks, model.embed, model.loss)
    assert torch.equal(torch.get_rng_state(), after)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-5)


def test_a_loss_that_is_not_finite_leaves_no_gradient(batch):
    model = Towers(0.0)
    value = cached_backward([batch], model.embed, lambda parts: model.loss(parts) * float("nan"))
    assert value.isnan()
    assert all(p.grad is None for p in model.parameters())


def test_the_whole_network_with_dropout_in_both_towers(clip_settings, train_studies):
    from spine_models.encoder.clip.model import new_model
    from spine_models.encoder.clip.objective import Embedded, clip_objective

    torch.manual_seed(0)
    model = new_model(clip_settings, {"t1": 10, "t2": 12}, train_studies)
    network = model.network.train()
    assert clip_settings.text_dropout > 0
    assert clip_settings.pool_dropout > 0
    chunks = list(model.batches(model.prepare(train_studies), 7))
    present = {n: torch.cat([network.present(c)[n] for c in chunks]) for n in ("t1", "t2", "report")}

    def loss(vectors):
        return clip_objective(Embedded(vectors, present), network.scale(), network.terms).total

    torch.manual_seed(3)
    parts = [network.embed(chunk) for chunk in chunks]
    loss({n: torch.cat([part[n] for part in parts]) for n in parts[0]}).backward()
    expected = gradients(network)
    torch.manual_seed(3)
    cached_backward(chunks, network.embed, loss)
    for name, gradient in gradients(network).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-5)
