from __future__ import annotations

import pytest
from pydantic import ValidationError

from spine_models.config import LabelSettings, LlmSettings, load_profile
from spine_models.corpus.labels.llm.server import arguments


def llm(name="one", **changes):
    return {"name": name, "model": "m"} | changes


def test_the_paper_profile_has_the_two_models_of_the_paper():
    models = {each.name: each for each in load_profile("paper").labels.llms}
    assert models["llama"].model == "meta-llama/Llama-3.3-70B-Instruct"
    assert models["phi4"].model == "microsoft/phi-4"
    line = arguments(models["llama"], "vllm", 8000)
    assert line[line.index("--tensor-parallel-size") + 1] == "4"
    assert load_profile("phantom").labels == LabelSettings()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"llms": [llm("a"), llm("a")]}, "two labellers have one name"),
        ({"llms": [llm("rules")]}, "cannot be named 'rules'"),
        ({"rules": False}, "no labeller"),
        ({"llms": [llm("a/b")]}, "pattern"),
        ({"llms": [llm(temperature=1)]}, "temperature"),
        ({"not_mentioned": 1}, "not_mentioned"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        LabelSettings.model_validate(changes)


def test_answers_have_room_as_the_question_needs():
    assert LlmSettings.model_validate(llm()).answer_tokens == 256
    assert LlmSettings.model_validate(llm(prompts="joint")).answer_tokens == 2048
    assert LlmSettings.model_validate(llm(max_tokens=99)).answer_tokens == 99
