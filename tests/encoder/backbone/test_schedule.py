from __future__ import annotations

import math

import pytest

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.schedule import ema_momentum, learning_rate, teacher_temperature

PAPER = BackboneSettings()
COSINE = PAPER.model_copy(
    update={
        "lr_schedule": "cosine",
        "steps": 101,
        "warmup_steps": 10,
        "ema_momentum": 0.9,
        "ema_momentum_end": 1.0,
    }
)


def test_learning_rate():
    assert learning_rate(PAPER, 0) == 0
    assert learning_rate(PAPER, 6250) == pytest.approx(PAPER.lr / 2)
    assert learning_rate(PAPER, 12500) == learning_rate(PAPER, 187499) == PAPER.lr
    assert learning_rate(COSINE, 10) == PAPER.lr
    assert learning_rate(COSINE, 55) == pytest.approx(PAPER.lr / 2)
    assert learning_rate(COSINE, 100) == pytest.approx(0, abs=1e-12)


def test_teacher_temperature_is_linear_then_constant():
    assert teacher_temperature(PAPER, 0) == 0.04
    assert teacher_temperature(PAPER, 18750) == pytest.approx(0.055)
    assert teacher_temperature(PAPER, 37500) == teacher_temperature(PAPER, 100000) == pytest.approx(0.07)


def test_momentum_ramps_between_its_ends():
    assert ema_momentum(PAPER, 0) == ema_momentum(PAPER, 99999) == pytest.approx(0.994)
    assert ema_momentum(COSINE, 0) == pytest.approx(0.9)
    assert ema_momentum(COSINE, 50) == pytest.approx(0.95)
    assert ema_momentum(COSINE, 100) == pytest.approx(1.0)


def test_every_step_is_the_formula_that_the_docstrings_give():
    settings = COSINE.model_copy(update={"teacher_temperature_steps": 30})
    last = settings.steps - 1
    for step in range(settings.steps):
        lr = (
            settings.lr * step / 10
            if step < 10
            else settings.lr / 2 * (1 + math.cos(math.pi * (step - 10) / (last - 10)))
        )
        assert learning_rate(settings, step) == pytest.approx(lr, abs=1e-12)
        assert teacher_temperature(settings, step) == pytest.approx(0.04 + 0.03 * min(step / 30, 1))
        momentum = 1.0 - 0.1 / 2 * (1 + math.cos(math.pi * step / last))
        assert ema_momentum(settings, step) == pytest.approx(momentum)


def test_the_last_layer_waits_and_then_goes_with_the_others(settings):
    from spine_models.encoder.backbone.schedule import last_layer_learning_rate, learning_rate

    frozen = settings.model_copy(update={"freeze_last_layer_steps": 3})
    rates = [last_layer_learning_rate(frozen, step) for step in range(frozen.steps)]
    assert rates == [0.0, 0.0, 0.0, *(learning_rate(frozen, step) for step in range(3, frozen.steps))]
    assert [last_layer_learning_rate(settings, step) for step in range(settings.steps)] == [
        learning_rate(settings, step) for step in range(settings.steps)
    ]
