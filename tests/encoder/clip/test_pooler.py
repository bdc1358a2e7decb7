from __future__ import annotations

import pytest
import torch

from spine_models.encoder.clip.pooler import GatedAttentionPooler, position_in_series, sinusoids


@pytest.fixture
def pooler():
    torch.manual_seed(0)
    return GatedAttentionPooler(6, hidden=16, kinds=3).eval()


def bag(n_rows=3, n_slices=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(n_rows, n_slices, 6, generator=generator)
    mask = torch.arange(n_slices)[None] < torch.tensor([5, 3, 1])[:n_rows, None]
    series = torch.tensor([[0, 0, 1, 1, 1]]).repeat(n_rows, 1)
    return vectors, mask, series


def test_a_slow_transcription_of_the_paper(pooler):
    vectors, mask, series = bag()
    kind = torch.tensor([[0, 0, 2, 2, 2]]).repeat(3, 1)
    pooled = pooler(vectors, mask, series, kind)
    for b in range(3):
        n = int(mask[b].sum())
        scores = []
        for k in range(n):
            members = [j for j in range(n) if series[b, j] == series[b, k]]
            where = torch.tensor((members.index(k) + 0.5) / len(members))
            x = torch.cat([vectors[b, k], sinusoids(where), pooler.kind.weight[kind[b, k]]])
            hidden = torch.tanh(pooler.tanh(x)) * torch.sigmoid(pooler.gate(x))
            scores.append(pooler.weight(hidden))
        attention = torch.cat(scores).softmax(0)
        torch.testing.assert_close(pooled.attention[b, :n], attention)
        torch.testing.assert_close(pooled.vectors[b], (attention[:, None] * vectors[b, :n]).sum(0))
    assert pooled.attention[~mask].eq(0).all()


def test_padding_and_batch_mates_change_nothing(pooler):
    vectors, mask, series = bag()
    together = pooler(vectors, mask, series)
    for b, n in enumerate((5, 3, 1)):
        alone = pooler(vectors[b : b + 1, :n], mask[b : b + 1, :n], series[b : b + 1, :n])
        torch.testing.assert_close(alone.vectors[0], together.vectors[b], rtol=1e-6, atol=1e-6)
    junk = vectors.masked_fill(~mask[..., None], float("nan"))
    kind = torch.zeros_like(series).masked_fill(~mask, 99)
    torch.testing.assert_close(pooler(junk, mask, series, kind).vectors, together.vectors, rtol=0, atol=0)


def test_a_row_without_slices_is_flagged_and_not_nan(pooler):
    vectors, mask, series = bag()
    mask[1] = False
    pooled = pooler(vectors, mask, series)
    assert pooled.present.tolist() == [True, False, True]
    assert pooled.vectors[1].eq(0).all()
    assert pooled.attention.sum(1).tolist() == pytest.approx([1, 0, 1])
    pooled.vectors.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in pooler.parameters())


def test_position_counts_within_the_series():
    series = torch.tensor([[0, 1, 0, 1, 1, 0]])
    mask = torch.tensor([[True, True, True, True, True, False]])
    expected = [[1 / 4, 1 / 6, 3 / 4, 3 / 6, 5 / 6, 0]]
    torch.testing.assert_close(position_in_series(series, mask), torch.tensor(expected))


def test_the_same_slice_elsewhere_in_its_series_or_of_another_kind_weighs_otherwise(pooler):
    vectors = torch.ones(1, 4, 6)
    mask = torch.ones(1, 4, dtype=torch.bool)
    series = torch.tensor([[0, 0, 1, 1]])
    attention = pooler(vectors, mask, series, torch.tensor([[0, 0, 1, 1]])).attention[0]
    assert len({round(float(a), 6) for a in attention.detach()}) == 4


def test_dropout_is_for_training_only():
    torch.manual_seed(0)
    pooler = GatedAttentionPooler(6, hidden=16)
    assert pooler.dropout.p == 0.25
    given = bag()
    assert not torch.equal(pooler(*given).attention, pooler(*given).attention)
    pooler.eval()
    assert torch.equal(pooler(*given).attention, pooler(*given).attention)


def test_wrong_shapes_are_named(pooler):
    vectors, mask, series = bag()
    with pytest.raises(ValueError, match="mask"):
        pooler(vectors, mask[:, :4], series)
    with pytest.raises(ValueError, match="bool"):
        pooler(vectors, mask.float(), series)
