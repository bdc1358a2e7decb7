"""Prompts hold what they should, and an epoch draws what the settings say."""

from __future__ import annotations

import dataclasses
from collections import Counter

from spine_models.reporting.llava.examples import (
    ASKED,
    Conditioning,
    Drawn,
    choices_of,
    epoch_examples,
    item_turns,
    report_example,
    report_question,
    without_image,
)
from spine_models.reporting.llava.sequence import IMAGE
from tests.reporting.llava.learning import small_settings, studies, study

ITEM = {"turns": [], "question": "", "answer": "", "options": None, "correct": None}


def kinds(examples):
    asked = {text: conditioning for conditioning, text in ASKED.items()}
    return Counter(asked.get(e.turns[0].question.split("\n")[-1], "item") for e in examples)


def test_a_prompt_holds_what_stands_above_the_report():
    one = study(3)
    alone, agents, draft = (report_question(one, c) for c in Conditioning)
    for prompt in (alone, agents, draft):
        assert prompt.count(IMAGE) == 1
    assert one.agents not in alone
    assert one.similar not in alone
    assert one.agents in agents
    assert one.similar in agents
    assert one.agents in draft
    assert one.similar not in draft  # drafts say their claims, never another patient's findings


def test_a_draft_is_learned_with_what_the_report_says_and_written_with_what_the_agents_say():
    one = dataclasses.replace(study(3), known="KNOWN", agents="AGENTS")
    learned = report_example(one, Conditioning.DRAFT).turns[0]
    assert "KNOWN" in learned.question
    assert "AGENTS" not in learned.question
    assert learned.answer == one.target
    assert "AGENTS" in report_question(one, Conditioning.DRAFT)
    assert "AGENTS" in report_example(one, Conditioning.AGENTS).turns[0].question


def test_text_of_a_report_cannot_speak_as_a_special_token():
    one = dataclasses.replace(study(3), similar="FINDINGS: <|/similar|><|image|> stenosis")
    prompt = report_question(one, Conditioning.AGENTS)
    assert prompt.count(IMAGE) == 1
    assert prompt.count("<|/similar|>") == 1
    turns = item_turns(ITEM | {"question": "Is <|image|> there?", "answer": "No."})
    assert IMAGE not in turns[0].question


def test_a_study_without_anything_still_has_a_prompt():
    bare = dataclasses.replace(study(3), agents="", similar="", images=None)
    assert report_question(bare, Conditioning.AGENTS).startswith(IMAGE)


def test_items_become_dialogues():
    choice = ITEM | {
        "question": "Which level?",
        "options": ["L4-L5", "L5-S1"],
        "correct": 1,
        "answer": "L5-S1",
    }
    assert item_turns(choice)[0] == ("Which level?\nA. L4-L5\nB. L5-S1", "B. L5-S1")
    turns = [
        {"question": "Is there stenosis?", "answer": "Yes."},
        {"question": "Where?", "answer": "At L4-L5."},
    ]
    assert [t.answer for t in item_turns(ITEM | {"turns": turns})] == ["Yes.", "At L4-L5."]
    assert item_turns(ITEM) == ()


def test_an_epoch_has_every_report_once_and_its_share_of_items():
    many, settings = studies(30), small_settings()
    examples = epoch_examples(many, settings, epoch=0)
    found = kinds(examples)
    assert found.pop("item") == 30
    assert sum(found.values()) == 29  # one has no report
    assert set(found) == set(Conditioning)
    assert kinds(epoch_examples(many, settings, epoch=0, items=False))["item"] == 0


def test_what_stands_above_a_report_is_drawn_anew_and_follows_the_shares():
    many, settings = studies(60), small_settings(image_only_share=0.5, known_share=0.25)
    drawn = Counter()
    for epoch in range(20):
        drawn += kinds(epoch_examples(many, settings, epoch=epoch, items=False))
    n = drawn.total()
    assert abs(drawn[Conditioning.IMAGE_ONLY] / n - 0.5) < 0.06
    assert abs(drawn[Conditioning.DRAFT] / n - 0.25) < 0.06
    assert epoch_examples(many, settings, epoch=0) != epoch_examples(many, settings, epoch=1)
    assert epoch_examples(many, settings, epoch=1) == epoch_examples(many[::-1], settings, epoch=1)


def test_what_the_agents_say_stands_above_its_share_of_the_items():
    many = [dataclasses.replace(one, agents="AGENTS", known="KNOWN") for one in studies(60)]
    settings = small_settings(image_only_share=0.3, known_share=0.2)
    questions = [
        example.turns[0].question
        for epoch in range(20)
        for example in epoch_examples(many, settings, epoch=epoch)
        if example.turns[0].question.endswith("Is there a fracture?")
    ]
    assert len(questions) == 20 * 60
    assert {q.split("\n")[0] for q in questions} == {IMAGE}
    assert abs(sum("AGENTS" in q for q in questions) / len(questions) - 0.5) < 0.05
    # What the report says would give the answer away.
    assert not any("KNOWN" in q or "similar" in q for q in questions)


def test_the_options_of_a_choice_are_the_answers_that_items_teach():
    written_out = {"question": "Which level?\nA. L4-L5\nB. L5-S1", "answer": "B. L5-S1"}
    choice = ITEM | {"turns": [written_out], "question": "Which level?", "options": ["L4-L5", "L5-S1"]}
    question, answers = choices_of(choice | {"correct": 1})
    (turn,) = item_turns(choice | {"correct": 1})
    assert (question, answers[1]) == turn
    assert answers[0] == "A. L4-L5"


def test_every_epoch_has_as_many_steps():
    drawn = Drawn(studies(30), small_settings())
    assert drawn.steps_per_epoch(8) == 7
    assert {len(drawn(epoch)) for epoch in range(4)} == {59}
    assert Drawn(studies(3), small_settings()).steps_per_epoch(64) == 1


def test_a_decoder_that_sees_no_images_reads_the_same_words():
    turns = report_example(study(3), Conditioning.DRAFT).turns
    assert IMAGE not in without_image(turns)[0].question
    assert without_image(turns)[0].answer == turns[0].answer
