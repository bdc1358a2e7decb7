from __future__ import annotations

import json

import pytest

from spine_models.reporting.chat import ANSWERED, Reply
from spine_models.reporting.chat.schema import conforms, keeps_to

SCHEMA = {
    "type": "object",
    "properties": {
        "level": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
        "score": {"type": "integer", "minimum": 0, "maximum": 4},
        "names": {
            "type": "array",
            "items": {"type": "string", "enum": ["a", "b"]},
            "minItems": 1,
            "maxItems": 2,
        },
        "sure": {"type": "boolean"},
    },
    "required": ["level", "score", "names", "sure"],
    "additionalProperties": False,
}
GOOD = {"level": "L4-L5", "score": 2, "names": ["a"], "sure": True}


def test_what_follows_the_schema_passes():
    assert keeps_to(json.dumps(GOOD), SCHEMA)
    assert conforms(GOOD | {"level": None}, SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        {"level": "L4-L5-S1"},
        {"level": 4},
        {"score": 5},
        {"score": -1},
        {"score": True},
        {"score": 1.5},
        {"score": "2"},
        {"names": []},
        {"names": ["a", "b", "a"]},
        {"names": ["c"]},
        {"names": "a"},
        {"sure": 1},
        {"more": None},
    ],
)
def test_one_departure_is_enough_to_refuse(change):
    assert not conforms(GOOD | change, SCHEMA)


def test_what_is_missing_or_no_json_is_refused():
    for name in GOOD:
        assert not conforms({k: v for k, v in GOOD.items() if k != name}, SCHEMA)
    for text in ("", "null", "NaN", "{" * 100_000, '{"level"', "```json\n{}\n```"):
        assert not keeps_to(text, SCHEMA)
    assert not keeps_to('{"score": NaN}', {"type": "object"})


def test_line_breaks_in_strings_are_read_and_other_control_characters_refused():
    """xgrammar lets both into strings of bounded length."""
    schema = {"type": "object", "properties": {"report": {"type": "string"}}, "required": ["report"]}
    text = '{"report": "FINDINGS:\n\tNo fracture."}'
    assert keeps_to(text, schema)
    assert Reply(text, ANSWERED, "tiny").document == {"report": "FINDINGS:\n\tNo fracture."}
    assert not keeps_to('{"report": "No \x07fracture."}', schema)
    assert not keeps_to('{"report": "No \x1ffracture."}', schema)
