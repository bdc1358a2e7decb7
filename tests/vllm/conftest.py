"""One server with a tiny random model for all tests that need a real one: its start takes half a minute."""

from __future__ import annotations

import pytest

from spine_models.corpus.labels.llm.prompting import load_prompts
from spine_models.domain import condition_keys
from tests.vllm.server import real_server, settings_for
from tests.vllm.texts import PARAGRAPHS, reports


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Settings of the tiny model; nothing serves it yet."""
    from tests.vllm.tiny_llama import write_tiny_llama

    folder = tmp_path_factory.mktemp("vllm")
    prompts = load_prompts("v1")
    sentences = [
        m["content"] for key in condition_keys() for m in prompts.messages("\n".join(PARAGRAPHS), key)
    ]
    weights = write_tiny_llama(folder / "model", [*sentences, *reports(20)["report_text"]])
    assert weights < 500_000
    return settings_for("tiny", folder / "model")


@pytest.fixture(scope="session")
def served(tiny, tmp_path_factory):
    """Settings and URL of a server that stays up."""
    with real_server(tiny, tmp_path_factory.mktemp("served")) as url:
        yield tiny, url
