from __future__ import annotations

from collections.abc import Callable

import pytest

from spine_models.config import LlmSettings
from spine_models.corpus.labels.llm import client

TEXTS = (
    "FINDINGS: L4-5: Disc bulge with moderate central canal stenosis.",
    "FINDINGS: Alignment is normal. Vertebral body heights are maintained.",
    "IMPRESSION: Old compression fracture of L1. Zebra-striped canary.",
)
SECRET = "Zebra-striped canary"


@pytest.fixture
def settings() -> Callable[..., LlmSettings]:
    """Settings of the fake server's model, impatient."""

    def make(**changes: object) -> LlmSettings:
        given = {"name": "tiny", "model": "tiny", "concurrency": 8, "timeout_s": 5.0, "attempts": 3}
        return LlmSettings.model_validate(given | changes)

    return make


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.01)
