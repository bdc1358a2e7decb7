"""Which server answers for which labeller."""

from __future__ import annotations

import pytest

from pipelines.runtime.models import LanguageModels
from pipelines.runtime.profiles import Settings
from spine_models.config import LlmSettings

MODEL = LlmSettings(name="llama", model="org/llama")


def test_without_a_url_a_server_is_started():
    assert LanguageModels().url_of("llama") is None


def test_one_url_serves_all_and_names_tell_them_apart():
    assert LanguageModels(url="http://gpu:8000/v1").url_of("phi4") == "http://gpu:8000/v1"
    named = LanguageModels(url="llama=http://a:1/v1, phi4=https://b:2/v1?x=1")
    assert (named.url_of("llama"), named.url_of("phi4")) == ("http://a:1/v1", "https://b:2/v1?x=1")


def test_a_labeller_without_a_server_is_named_with_the_remedy():
    with pytest.raises(ValueError, match="'phi4': add phi4=http"):
        LanguageModels(url="llama=http://a:1/v1").url_of("phi4")


def test_the_environment_names_server_command_and_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("SPINE_ROOT", str(tmp_path))
    monkeypatch.setenv("SPINE_LLM_URL", "http://gpu:8000/v1")
    monkeypatch.setenv("SPINE_VLLM", "/opt/vllm/bin/vllm")
    found = LanguageModels.from_settings(Settings())
    assert (found.url, found.command) == ("http://gpu:8000/v1", "/opt/vllm/bin/vllm")
    assert found.models == str(tmp_path / "models")


def test_weights_of_a_local_folder_are_served_under_the_models_name(tmp_path):
    served = tmp_path / "models" / "org" / "llama"
    served.mkdir(parents=True)
    script = tmp_path / "vllm"
    script.write_text('#!/bin/sh\necho "$@"\nexit 7\n')
    script.chmod(0o755)
    models = LanguageModels(command=str(script), models=str(tmp_path / "models"), logs=str(tmp_path / "logs"))
    with pytest.raises(RuntimeError, match="status 7"), models.serving(MODEL):
        pytest.fail("a server that ended was taken for one that serves")
    said = (tmp_path / "logs" / "llama.log").read_text()
    assert said.startswith(f"serve {served} --served-model-name org/llama ")
