from __future__ import annotations

import pytest
import torch

from spine_models.encoder.synthesizer.gates import VARIANTS, make_gates


def tokens(seed: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(3, 7, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("variant", ["conditional", "scalar"])
def test_both_weights_start_at_a_half(variant):
    gates = make_gates(variant, dim=8, depth=2, hidden=4)
    assert len(gates) == 2
    for gate in gates:
        weights = gate(tokens(0), tokens(1), 3)
        assert weights.dtype == torch.float32
        assert torch.equal(weights, torch.full((3, 2), 0.5))


def test_the_conditional_gate_follows_its_input_and_nothing_else_in_the_batch():
    (gate,) = make_gates("conditional", dim=8, depth=1, hidden=4)
    torch.nn.init.normal_(gate.out.weight)
    torch.nn.init.normal_(gate.hidden.weight)
    first, second = tokens(0), tokens(1)
    weights = gate(first, second, 3)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3))
    assert weights[:, 0].unique().numel() == 3
    torch.testing.assert_close(gate(first[1:2], second[1:2], 3), weights[1:2])
    changed = first.clone()
    changed[:, 1:3] += 1.0  # registers do not speak
    assert torch.equal(gate(changed, second, 3), weights)
    torch.testing.assert_close(gate(100 * first, second, 3), weights, atol=1e-3, rtol=0)


def test_the_scalar_gate_does_not_follow_its_input():
    (gate,) = make_gates("scalar", dim=8, depth=1, hidden=4)
    torch.nn.init.normal_(gate.logits)
    assert torch.equal(gate(tokens(0), tokens(1), 3), gate(tokens(2), tokens(3), 3))


def test_fixed_variants_have_no_gates_and_an_unknown_one_is_named():
    assert [len(make_gates(v, dim=8, depth=2, hidden=4)) for v in VARIANTS] == [2, 2, 0, 0]
    with pytest.raises(ValueError, match="no synthesizer variant 'both': choose one of conditional, scalar"):
        make_gates("both", dim=8, depth=2, hidden=4)
