from __future__ import annotations

import json
import logging

import pytest

from spine_models.reporting.chat import (
    ANSWERED,
    LlmError,
    ModelMissingError,
    Question,
    ServerDownError,
    ask_all,
    count_open,
)
from tests.corpus.labels.llm.fake_server import FakeServer, Reply

SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}
NOWHERE = "http://127.0.0.1:9"


def question(key: str, words: str = "", schema=SCHEMA) -> Question:
    return Question(key, [{"role": "user", "content": words or f"Is {key} so?"}], schema)


def always(text: str):
    return lambda asked: Reply(text)


def test_replies_come_by_key_and_the_schema_reaches_the_server(settings, tmp_path):
    questions = [question(f"q{i}") for i in range(12)]
    with FakeServer(always('{"verdict": "yes"}')) as server:
        replies = ask_all(questions, settings=settings(), endpoint=server.url, log_folder=tmp_path)
    assert list(replies) == [q.key for q in questions]
    assert all(
        reply.outcome == ANSWERED and reply.document == {"verdict": "yes"} for reply in replies.values()
    )
    assert len(server.asked) == 12
    assert server.most_at_once <= 4
    assert {json.dumps(a.body["response_format"]["json_schema"]["schema"]) for a in server.asked} == {
        json.dumps(SCHEMA)
    }


def test_free_text_is_bound_to_nothing(settings, tmp_path):
    with FakeServer(always("Plain words.")) as server:
        replies = ask_all(
            [question("q", schema=None)], settings=settings(), endpoint=server.url, log_folder=tmp_path
        )
    assert "response_format" not in server.asked[0].body
    assert replies["q"].text == "Plain words."


def test_what_was_answered_is_never_asked_again_and_needs_no_server(settings, tmp_path):
    questions = [question("a"), question("b"), question("twin of a", "Is a so?")]
    assert count_open(questions, settings=settings(), log_folder=tmp_path) == 2
    with FakeServer(always('{"verdict": "no"}')) as server:
        first = ask_all(questions, settings=settings(), endpoint=server.url, log_folder=tmp_path)
    assert len(server.asked) == 2
    assert first["a"] == first["twin of a"]
    assert count_open(questions, settings=settings(), log_folder=tmp_path) == 0
    assert ask_all(questions, settings=settings(), endpoint=NOWHERE, log_folder=tmp_path) == first
    assert count_open(questions, settings=settings(seed=1), log_folder=tmp_path) == 2
    assert count_open(questions, settings=settings(max_tokens=99), log_folder=tmp_path) == 2
    assert count_open([question("a", schema=None)], settings=settings(), log_folder=tmp_path) == 1


@pytest.mark.parametrize("bad", ['{"verdict": "perhaps"}', "yes", '{"verdict": "yes", "more": 1}', "{", "[]"])
def test_a_malformed_answer_has_a_second_chance_and_then_is_said_so(settings, tmp_path, bad):
    with FakeServer(always(bad)) as server:
        replies = ask_all([question("q")], settings=settings(), endpoint=server.url, log_folder=tmp_path)
    assert (replies["q"].text, replies["q"].outcome) == (None, "malformed")
    assert [a.body["temperature"] for a in server.asked] == [0.0, 0.3]
    with FakeServer(lambda a: Reply(bad if a.nth == 1 else '{"verdict": "yes"}')) as server:
        replies = ask_all(
            [question("q")], settings=settings(), endpoint=server.url, log_folder=tmp_path / "other"
        )
    assert replies["q"].document == {"verdict": "yes"}


def test_a_server_that_goes_down_ends_the_call_and_keeps_what_was_answered(settings, tmp_path):
    questions = [question(f"q{i}") for i in range(6)]
    with (
        FakeServer(
            lambda a: Reply('{"verdict": "yes"}') if "q0" in a.prompt else Reply(reset=True)
        ) as server,
        pytest.raises(ServerDownError, match="SPINE_LLM_URL"),
    ):
        ask_all(questions, settings=settings(concurrency=1), endpoint=server.url, log_folder=tmp_path)
    assert count_open(questions, settings=settings(), log_folder=tmp_path) == 5


def test_errors_name_the_remedy_and_hold_no_prompt(settings, tmp_path, caplog):
    secret = "Zebra-striped canary"
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ServerDownError, match="start it"):
        ask_all([question("q", secret)], settings=settings(), endpoint=NOWHERE, log_folder=tmp_path)
    with FakeServer(models=("another",)) as server, pytest.raises(ModelMissingError, match="another"):
        ask_all([question("q", secret)], settings=settings(), endpoint=server.url, log_folder=tmp_path)
    many = [question(f"q{i}", f"{secret} {i}") for i in range(40)]
    with FakeServer(lambda a: Reply(status=400)) as server, pytest.raises(LlmError) as raised:
        ask_all(many, settings=settings(), endpoint=server.url, log_folder=tmp_path)
    assert "rejects every question" in str(raised.value)
    assert secret not in str(raised.value) + caplog.text
    assert count_open(many, settings=settings(), log_folder=tmp_path) == 40
    with pytest.raises(ValueError, match="one key"):
        ask_all([question("q"), question("q")], settings=settings(), endpoint=NOWHERE, log_folder=tmp_path)


def test_a_question_too_long_is_asked_again_of_a_model_with_more_context(settings, tmp_path):
    with FakeServer(lambda a: Reply(status=400, error="maximum model length")) as server:
        replies = ask_all([question("q")], settings=settings(), endpoint=server.url, log_folder=tmp_path)
    assert replies["q"].outcome == "context_too_long"
    assert count_open([question("q")], settings=settings(), log_folder=tmp_path) == 0
    assert count_open([question("q")], settings=settings(max_model_len=32768), log_folder=tmp_path) == 1


def test_an_answer_that_fills_the_context_is_a_mistake_of_the_settings(settings, tmp_path):
    full = settings(max_tokens=2048, max_model_len=2048)
    with FakeServer() as server, pytest.raises(LlmError, match="Lower max_tokens or raise max_model_len"):
        ask_all([question("q")], settings=full, endpoint=server.url, log_folder=tmp_path)
    assert server.asked == []
    assert count_open([question("q")], settings=full, log_folder=tmp_path) == 1
