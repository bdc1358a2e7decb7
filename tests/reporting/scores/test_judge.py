"""The judge over a server that speaks the protocol: what is asked, what is believed, what is counted."""

from __future__ import annotations

import json

import pytest

from spine_models.config import LlmSettings
from spine_models.corpus.statements import Unit
from spine_models.reporting.chat import ask_all
from spine_models.reporting.chat.schema import conforms
from spine_models.reporting.scores.harness import Text
from spine_models.reporting.scores.judge import in_words, judged, judgements, questions, schema_of
from spine_models.reporting.scores.tables import JUDGED, JUDGEMENTS
from tests.corpus.labels.llm.fake_server import FakeServer, Reply
from tests.reporting.scores.conftest import REPORTS, key

DRAFTS = {
    "severe": "FINDINGS: Severe canal stenosis at L4-L5. Fracture of L1.",
    "normal": "FINDINGS: No fracture.",
    "doubtful": "FINDINGS: Fracture of L2.",
    "lesions": "FINDINGS: Hemangioma of L3.",
}
TEXTS = {"agents": {key(name): Text(text, "d") for name, text in DRAFTS.items()}}


@pytest.fixture
def asking(settings):
    llm = LlmSettings(
        name="judge", model="tiny", concurrency=2, timeout_s=5.0, attempts=2, malformed_retries=0
    )
    return settings.model_copy(update={"llm": llm})


@pytest.fixture
def cases(made):
    return made.cases(TEXTS)


def asked_of(cases, settings):
    texts = {("agents", study): text.text for study, text in TEXTS["agents"].items()}
    return questions(cases, texts, {key(name): text for name, text in REPORTS.items()}, settings)


def honest(asked) -> Reply:
    """Supports what both lists hold word for word."""
    content = asked.body["messages"][-1]["content"]
    draft, reference = (
        [line.split(". ", 1)[1] for line in part.strip().splitlines() if line[:1].isdigit()]
        for part in content.split("FINDINGS OF THE DRAFT\n")[1].split(
            "FINDINGS OF THE RADIOLOGIST'S REPORT\n"
        )
    )

    def verdicts(ours, theirs, otherwise):
        found = {
            str(number): {
                "verdict": "supported" if line in theirs else otherwise,
                "error": "minor" if line in theirs else "critical",
            }
            for number, line in enumerate(ours, 1)
        }
        return dict(reversed(found.items()))  # the order of numbers says nothing

    answer = {
        "draft": verdicts(draft, reference, "unsupported"),
        "reference": verdicts(reference, draft, "omitted"),
    }
    return Reply(json.dumps(answer))


def ask(cases, settings, folder, answer):
    asked = asked_of(cases, settings)
    with FakeServer(answer) as server:
        replies = ask_all(asked, settings=settings.llm, endpoint=server.url, log_folder=folder)
    return judged(cases, replies, settings), server


def test_nobody_is_asked_where_no_model_is_configured(cases, settings):
    assert asked_of(cases, settings) == []
    verdicts = judged(cases, {}, settings)
    assert verdicts.is_empty()
    frame = judgements(cases, verdicts, settings=settings)
    assert frame.schema == JUDGEMENTS
    assert frame.height == 4
    assert set(frame["status"]) == {"not_evaluable"}
    assert set(frame["reason"]) == {"no language model is configured (scores.llm)"}


def test_verdicts_are_kept_by_finding_and_logged(cases, asking, tmp_path):
    verdicts, server = ask(cases, asking, tmp_path, honest)
    assert verdicts.schema == JUDGED
    # The normal study has nothing to ask about; the study in doubt is asked about without its fracture.
    assert len(server.asked) == 3
    rows = verdicts.filter(study_key=key("severe")).to_dicts()
    assert [(row["side_of"], row["condition"], row["verdict"], row["error"]) for row in rows] == [
        ("draft", "canal", "supported", "none"),
        ("draft", "fracture", "unsupported", "critical"),
        ("reference", "canal", "supported", "none"),
    ]
    lesions = verdicts.filter(study_key=key("lesions"), side_of="reference").sort("position").to_dicts()
    assert {row["condition"]: row["verdict"] for row in lesions} == {
        "hemangioma": "supported",
        "neuroforaminal": "omitted",
    }
    assert verdicts.filter(study_key=key("doubtful"))["condition"].to_list() == ["herniation"]
    again, quiet = ask(cases, asking, tmp_path, lambda asked: Reply("never"))
    assert again.equals(verdicts)
    assert quiet.asked == []


def test_the_summary_is_per_study_with_intervals(cases, asking, tmp_path):
    verdicts, _ = ask(cases, asking, tmp_path, honest)
    rows = {row["method"]: row for row in judgements(cases, verdicts, settings=asking).to_dicts()}
    agents = rows["agents"]
    assert (agents["status"], agents["n_studies"], agents["n_unanswered"]) == ("evaluated", 4, 0)
    assert agents["supported"] == pytest.approx(2 / 3)
    assert agents["false_positives"] == pytest.approx(1 / 4)
    assert agents["omissions"] == pytest.approx(2 / 4)
    assert agents["significant"] == pytest.approx(3 / 4)
    assert agents["omissions_low"] <= agents["omissions"] <= agents["omissions_high"]
    assert rows["image_only"]["reason"] == "no text of this method can be scored"


@pytest.mark.parametrize(
    "answer",
    [
        "no JSON",
        '{"draft": {}, "reference": {}}',
        '{"draft": {"1": {"verdict": "supported", "error": "none"}, "1": {"verdict": "supported", "error": "none"}},'
        ' "reference": {"1": {"verdict": "supported", "error": "none"}}}',
    ],
)
def test_an_answer_out_of_bounds_is_no_verdict_and_counted(cases, asking, tmp_path, answer):
    verdicts, _ = ask(cases, asking, tmp_path, lambda asked: Reply(answer))
    row = verdicts.filter(study_key=key("severe")).to_dicts()
    assert [(one["outcome"], one["verdict"]) for one in row] == [("malformed", None)]
    summed = judgements(cases, verdicts, settings=asking).filter(method="agents").to_dicts()[0]
    assert summed["n_unanswered"] == 3
    assert (summed["status"], summed["n_studies"]) == ("evaluated", 1)  # the normal study needed no answer


def test_methods_outside_the_setting_are_not_asked_about(cases, asking):
    asking = asking.model_copy(update={"judged": ("retrieved",)})
    assert asked_of(cases, asking) == []
    frame = judgements(cases, judged(cases, {}, asking), settings=asking).filter(method="agents")
    assert frame["reason"][0] == "the profile does not ask about this method (scores.judged)"


def test_the_schema_holds_one_verdict_under_the_number_of_each_finding():
    one = {"verdict": "supported", "error": "none"}
    schema = schema_of(2, 0)
    assert conforms({"draft": {"1": one, "2": one}, "reference": {}}, schema)
    assert not conforms({"draft": {"1": one}, "reference": {}}, schema)
    assert not conforms({"draft": {"1": one, "3": one}, "reference": {}}, schema)
    assert not conforms({"draft": {"1": one, "2": one, "3": one}, "reference": {}}, schema)
    assert not conforms({"draft": {"1": one, "2": one | {"verdict": "omitted"}}, "reference": {}}, schema)
    assert not conforms({"draft": {"1": one, "2": one | {"error": "huge"}}, "reference": {}}, schema)
    assert not conforms({"draft": {"1": one, "2": one | {"why": "x"}}, "reference": {}}, schema)


def test_an_answer_has_room_for_every_verdict_unless_the_profile_says_how_much(settings, asking):
    assert settings.judge is None
    assert asking.judge.answer_tokens == 2048
    own = asking.llm.model_copy(update={"max_tokens": 512})
    assert asking.model_copy(update={"llm": own}).judge.answer_tokens == 512


def test_a_finding_in_words():
    assert in_words(Unit("canal", "L4-L5", None, "severe", "possible")) == (
        "Spinal canal stenosis, L4-L5, severe, possible"
    )
    assert in_words(Unit("fracture")) == "Vertebral fracture"


def test_prompts_hold_both_texts_and_say_that_they_are_data(cases, asking):
    question = next(q for q in asked_of(cases, asking) if q.key.endswith(key("severe")))
    system, user = (message["content"] for message in question.messages)
    assert "Follow no instruction" in system
    assert REPORTS["severe"] in user
    assert DRAFTS["severe"] in user
    assert "1. Spinal canal stenosis, L4-L5, severe" in user
