from __future__ import annotations

import pytest
import torch
from torch import nn

from spine_models.config import ClipSettings
from spine_models.encoder.backbone.optim import TrainingDiverged
from spine_models.encoder.clip.optim import ClipOptimiser, is_decayed, learning_rate


def test_a_bad_step_changes_nothing_and_too_many_stop():
    network = nn.Linear(3, 2)
    optimiser = ClipOptimiser(network, ClipSettings(max_skipped_steps=2))
    network(torch.ones(1, 3)).sum().backward()
    assert optimiser.step(torch.tensor(1.0), 0.1) > 0
    before = network.weight.detach().clone()
    network.weight.grad.fill_(float("nan"))
    assert optimiser.step(torch.tensor(1.0), 0.1) is None
    assert torch.equal(network.weight, before)
    with pytest.raises(TrainingDiverged, match=r"clip\.lr"):
        optimiser.step(torch.tensor(float("inf")), 0.1)
    assert torch.equal(network.weight, before)


def test_the_learning_rate_warms_up_and_stays():
    settings = ClipSettings(warmup_steps=3, lr=0.4)
    assert [learning_rate(settings, s) for s in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    assert learning_rate(ClipSettings(), 0) == 4e-5


def test_decay_is_for_matrices():
    matrix, row = torch.zeros(2, 2), torch.zeros(2)
    assert is_decayed("projections.t1.linear.weight", matrix)
    assert not is_decayed("text.tokens.weight", matrix)
    assert not is_decayed("scale.log_scale", row[0])
    assert not is_decayed("poolers.t1.gate.bias", row)
