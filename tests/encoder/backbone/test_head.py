from __future__ import annotations

import torch

from spine_models.encoder.backbone.head import ProjectionHead, batch_standardise


def test_logits_are_the_unit_bottleneck_on_free_prototypes(settings):
    torch.manual_seed(0)
    head = ProjectionHead(settings.model_copy(update={"head_batch_standardise": False}))
    x = torch.randn(5, 32)
    bottleneck = head.mlp(x)
    unit = bottleneck / bottleneck.norm(dim=1, keepdim=True)
    torch.testing.assert_close(head(x), unit @ head.prototypes.weight.T)
    torch.testing.assert_close(head(x), head(x.clone()))
    assert head.prototypes.bias is None
    assert [type(layer).__name__ for layer in head.mlp] == ["Linear", "GELU", "Linear", "GELU", "Linear"]


def test_published_sizes():
    from spine_models.config import BackboneSettings

    with torch.device("meta"):
        head = ProjectionHead(BackboneSettings())
    assert [tuple(p.shape) for n, p in head.named_parameters() if n.endswith("weight")] == [
        (2048, 1024),
        (2048, 2048),
        (384, 2048),
        (131072, 384),
    ]


def test_batch_standardise():
    x = 3 + 2 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    y = batch_standardise(x)
    torch.testing.assert_close(y.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(dim=0, unbiased=False), torch.ones(4), atol=1e-4, rtol=0)
    assert torch.equal(batch_standardise(x[:1]), x[:1])
    assert batch_standardise(x[:0]).shape == (0, 4)


def test_a_head_takes_no_row(settings):
    assert ProjectionHead(settings)(torch.zeros(0, 32)).shape == (0, 16)
