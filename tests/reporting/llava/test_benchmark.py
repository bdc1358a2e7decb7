"""The report model answers the benchmark: what it favours is scored, and where there is no model the rows say so."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import polars as pl
import pytest
import torch

from spine_models.reporting.instructions.tables import BENCHMARK, BENCHMARK_SCORES
from spine_models.reporting.llava import benchmark as room
from spine_models.reporting.llava.benchmark import ANSWERERS, answer_choices, score_answers
from spine_models.reporting.llava.tables import ANSWERS, BENCHMARK_ANSWERS
from spine_models.reporting.llava.writing import NO_CLAIMS, NO_IMAGES, NOT_TRAINED, TOO_LONG
from tests.reporting.llava.learning import line_of, study
from tests.reporting.llava.parts import tiny_llava

LINE = line_of({"canal": {"level": "L4-L5", "severity": "severe"}})
OPTIONS = ["Mild", "Moderate", "Severe"]


def item(n, correct, options=OPTIONS, dimension="severity"):
    letters = "\n".join(f"{letter}. {option}" for letter, option in zip("ABC", options, strict=True))
    return {
        "item_key": f"i{n:02d}", "kind": "choice", "dimension": dimension, "batch_key": "b1",
        "patient_key": f"p{n % 4}", "study_key": f"s{n % 4}", "region": "lumbar", "condition": "canal",
        "turns": [{"question": f"Which grade?\n{letters}", "answer": f"{'ABC'[correct]}. {options[correct]}"}],
        "question": "Which grade?", "answer": options[correct], "options": options, "correct": correct,
        "verified": True, "split": "test",
    }  # fmt: skip


def choices(n=12):
    """The right option stands in all places alike."""
    rows = [item(i, i % 3) for i in range(n)]
    return pl.DataFrame(rows, schema_overrides=BENCHMARK).select(
        *(pl.col(c) if c in rows[0] else pl.lit(None, dtype=t).alias(c) for c, t in BENCHMARK.items())
    )


def asked(**changes):
    return [dataclasses.replace(study(3), study_key=f"s{n}", agents=LINE, **changes) for n in range(4)]


def favouring(word):
    """A model that finds every token of a word likelier than any other after anything."""
    llava = tiny_llava()
    ids = llava.tokenizer(f"{word}", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        # A constant hidden direction that only the word's rows of the output answer to.
        llava.decoder.model.norm.weight.zero_()
        llava.decoder.model.norm.register_forward_hook(lambda _m, _i, out: torch.ones_like(out))
        llava.decoder.lm_head.weight.zero_()
        llava.decoder.lm_head.weight[ids] = 0.5
    return llava


@pytest.mark.parametrize(("word", "option"), [("Severe", 2), ("Moderate", 1)])
def test_a_model_that_favours_an_answer_is_scored_as_one_that_gives_it(word, option):
    held = choices()
    found = answer_choices(held, asked(), favouring(word), version="l1")
    assert found.schema == BENCHMARK_ANSWERS
    assert set(found["chosen"]) == {option}
    assert found.height == 24
    scores = score_answers(held, found, pl.DataFrame(schema=ANSWERS), {}, bootstrap=50, seed=0)
    assert scores.schema == BENCHMARK_SCORES
    whole = scores.filter(dimension="all", measure="accuracy")
    assert whole["answerer"].to_list() == list(ANSWERERS)
    assert whole["score"].to_list() == pytest.approx([4 / 12] * 2)
    assert whole["answered"].to_list() == [1.0, 1.0]
    right = held.filter(correct=option)
    alone = score_answers(right, found, pl.DataFrame(schema=ANSWERS), {}, bootstrap=50, seed=0)
    assert set(alone.filter(measure="accuracy")["score"]) == {1.0}


def test_a_study_is_answered_the_same_whatever_is_asked_beside_it():
    llava, held = tiny_llava(), choices()
    whole = answer_choices(held, asked(), llava, version="l1")
    for n in range(4):
        own = held.filter(study_key=f"s{n}").reverse()
        alone = answer_choices(own, asked()[n : n + 1], llava, version="l1")
        assert alone.rows() == whole.filter(study_key=f"s{n}").rows()


def test_what_the_agents_say_stands_above_one_of_two_answers(monkeypatch):
    prompts = []

    def nats(llava, question, answers, images):
        prompts.append(question)
        assert answers == ["A. Mild", "B. Moderate", "C. Severe"]
        return [1.0, 0.5, 2.0]

    monkeypatch.setattr(room, "answer_nats", nats)
    found = answer_choices(choices(1), asked()[:1], SimpleNamespace(), version="l1")
    assert [LINE in prompt for prompt in prompts] == [True, False]
    assert all(prompt.endswith("C. Severe") for prompt in prompts)
    assert found.select("answerer", "chosen", "nats").rows() == [
        ("report_model", 1, [1.0, 0.5, 2.0]),
        ("report_model_image_only", 1, [1.0, 0.5, 2.0]),
    ]


def test_what_cannot_be_answered_says_why_and_is_not_right():
    llava, held = tiny_llava(), choices()
    blind = answer_choices(held, asked(images=None), llava, version="l1")
    assert set(blind["reason"]) == {NO_IMAGES}
    assert blind["chosen"].null_count() == blind.height
    scores = score_answers(held, blind, pl.DataFrame(schema=ANSWERS), {}, bootstrap=50, seed=0)
    assert set(scores.filter(measure="accuracy").select("answered", "score").rows()) == {(0.0, 0.0)}
    mute = [dataclasses.replace(one, agents="") for one in asked()]
    reasons = answer_choices(held, mute, llava, version="l1").group_by("answerer").agg("reason")
    assert {key: set(why) for key, why in reasons.rows()} == {
        "report_model": {NO_CLAIMS},
        "report_model_image_only": {None},
    }
    short = answer_choices(held, asked(), tiny_llava(max_length=40), version="l1")
    assert set(short["reason"]) == {TOO_LONG}


def test_without_a_model_there_is_no_score_and_the_rows_say_why():
    held = choices()
    for reason, said in ((None, NOT_TRAINED), ("no report model: 3 reports", "no report model: 3 reports")):
        found = answer_choices(held, [], None, reason=reason)
        assert found.height == 24
        assert set(found["reason"]) == {said}
        assert score_answers(held, found, pl.DataFrame(schema=ANSWERS), {}, bootstrap=50, seed=0).is_empty()
