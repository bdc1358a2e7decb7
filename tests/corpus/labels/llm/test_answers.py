from __future__ import annotations

import json
import math

import pytest

from spine_models.corpus.labels.contract import Reason
from spine_models.corpus.labels.llm.answers import (
    Answer,
    answer_schema,
    canonical_levels,
    parse,
    status_log_probabilities,
    verdict_of,
)
from spine_models.corpus.labels.llm.errors import AnswerError
from spine_models.corpus.labels.llm.prompting import load_prompts
from spine_models.domain import Severity, Side, Status, condition_keys

jsonschema = pytest.importorskip("jsonschema")

GOOD = {"status": "present", "levels": ["L4-L5"], "side": None, "severity": "mild", "quote": "mild stenosis"}


def answer(**changes):
    return Answer.model_validate(GOOD | changes)


@pytest.mark.parametrize("joint", [False, True])
def test_the_schema_says_what_the_models_say(joint):
    schema = answer_schema(joint=joint)
    jsonschema.Draft202012Validator.check_schema(schema)
    text = json.dumps(schema)
    assert "$ref" not in text
    assert "$defs" not in text
    one = schema["properties"]["canal"] if joint else schema
    assert one["required"] == list(Answer.model_fields) == list(one["properties"])
    assert one["additionalProperties"] is False
    assert one["properties"]["status"]["enum"] == [status.value for status in Status]
    if joint:
        assert schema["required"] == list(condition_keys())


DEFECTS = [
    {"status": "perhaps"},
    {"status": None},
    {"side": "top"},
    {"severity": "4"},
    {"levels": None},
    {"levels": ["x"] * 21},
    {"levels": ["x" * 17]},
    {"quote": "x" * 301},
    {"quote": 3},
    {"extra": 1},
]


@pytest.mark.parametrize("defect", DEFECTS, ids=str)
def test_schema_and_parser_refuse_the_same(defect):
    bad = GOOD | defect
    assert not jsonschema.Draft202012Validator(answer_schema(joint=False)).is_valid(bad)
    with pytest.raises(AnswerError) as raised:
        parse(json.dumps(bad), "canal")
    assert "mild stenosis" not in str(raised.value)


@pytest.mark.parametrize("field", GOOD)
def test_every_field_is_required(field):
    bad = {key: value for key, value in GOOD.items() if key != field}
    assert not jsonschema.Draft202012Validator(answer_schema(joint=False)).is_valid(bad)
    with pytest.raises(AnswerError, match=field):
        parse(json.dumps(bad), "canal")


HALF_A_PAIR = json.dumps(GOOD).replace("mild stenosis", "\\ud83d")


@pytest.mark.parametrize("text", ["", "no JSON", '{"status": "pre', "[]", "null", HALF_A_PAIR])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(AnswerError):
        parse(text, "canal")


def test_the_examples_of_the_prompts_follow_the_schema():
    validator = jsonschema.Draft202012Validator(answer_schema(joint=False))
    for key, prompt in load_prompts("v1").of.items():
        for example in prompt.examples:
            document = example.answer.model_dump(mode="json")
            validator.validate(document)
            verdict = verdict_of(key, parse(json.dumps(document), key)[key], example.report)
            assert verdict.status is example.answer.status
            assert verdict.reason is (Reason.HEDGED if verdict.status is Status.AMBIGUOUS else None)
            assert list(verdict.levels) == list(example.answer.levels), example.report


def test_a_joint_answer_has_every_condition():
    whole = dict.fromkeys(condition_keys(), GOOD)
    jsonschema.Draft202012Validator(answer_schema(joint=True)).validate(whole)
    assert list(parse(json.dumps(whole), None)) == list(condition_keys())
    with pytest.raises(AnswerError, match="pars"):
        parse(json.dumps({key: GOOD for key in condition_keys() if key != "pars"}), None)


def test_verdicts_keep_what_the_condition_has():
    report = "Impression: MILD  stenosis."
    verdict = verdict_of("canal", answer(side="left"), report)
    assert (verdict.status, verdict.side, verdict.severity) == (Status.PRESENT, None, Severity.MILD)
    assert report[verdict.start : verdict.end] == "MILD  stenosis"
    assert verdict_of("neuroforaminal", answer(side="left"), report).side is Side.LEFT
    absent = verdict_of("neuroforaminal", answer(status="absent", side="left"), report)
    assert (absent.side, absent.severity) == (None, None)
    silent = verdict_of("canal", answer(status="not_mentioned"), report, -0.1)
    assert (silent.levels, silent.start, silent.severity) == ((), None, None)
    assert silent.confidence == pytest.approx(math.exp(-0.1))
    assert verdict_of("canal", answer(status="ambiguous"), report).reason is Reason.HEDGED


def test_levels_become_canonical_in_their_order():
    assert canonical_levels(["L5/S1", "L4-5", "l4-l5", "everywhere"], "disc") == ("L5-S1", "L4-L5")
    assert canonical_levels(["T1", "T12", "L1-L3"], "vertebra") == ("T1", "T12", "L1", "L2", "L3")
    assert canonical_levels(["C4 to C7"], "disc") == ("C4-C5", "C5-C6", "C6-C7")
    assert canonical_levels(["L9", "S3", ""], "any") == ()


def test_the_status_value_alone_makes_the_confidence():
    text = '{"status":"present","levels":["ü"]}'
    pieces = [('{"', -3.0), ("status", -3.0), ('":"', -3.0), ("pre", -0.1), ("sent", -0.2), ('","lev', -3.0)]
    rest = text.encode()[sum(len(p) for p, _ in pieces) :]
    tokens = [(p.encode(), v) for p, v in pieces] + [(bytes([b]), -1.0) for b in rest]
    assert status_log_probabilities(text, [*tokens, (b"</s>", -9.0)], "canal") == {
        "canal": pytest.approx(-0.3)
    }
    assert status_log_probabilities(text, tokens[:-1], "canal") == {}
    assert status_log_probabilities(text, [], "canal") == {}
    joint = json.dumps({"canal": GOOD, "pars": GOOD})
    tokens = [(c.encode(), -0.1) for c in joint]
    found = status_log_probabilities(joint, tokens, None)
    assert found == {"canal": pytest.approx(-0.7), "pars": pytest.approx(-0.7)}
