from __future__ import annotations

from collections.abc import Callable

import pytest

from spine_models.config import LlmSettings
from spine_models.corpus.labels.llm import client


@pytest.fixture
def settings() -> Callable[..., LlmSettings]:
    """Settings of the fake server's model, impatient."""

    def make(**changes: object) -> LlmSettings:
        given = {"name": "tiny", "model": "tiny", "concurrency": 4, "timeout_s": 5.0, "attempts": 2}
        return LlmSettings.model_validate(given | changes)

    return make


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.01)
