"""Questions in a model's words: what small models really wrote, and what anybody may write."""

from __future__ import annotations

import pytest

from spine_models.reporting.instructions.drafting import Draft, drafts_of
from spine_models.reporting.instructions.form import asks_what_it_should
from spine_models.reporting.instructions.revise import Worded, plain, revised
from tests.reporting.instructions.conftest import PLAIN, report, tables_of


@pytest.fixture(scope="module")
def cases():
    return tables_of({"s0": PLAIN, **{f"s{n}": report(n) for n in range(1, 8)}}).cases()


@pytest.fixture
def drafts(cases, settings) -> list[Draft]:
    return [draft for case in cases.values() for draft in drafts_of(case, settings(), {})]


def test_every_template_passes(drafts):
    for part in ("train", "benchmark"):
        wanted = [d for d in drafts if part == "train" or d.kind in ("choice", "report")]
        worded = [(d, w) for d in wanted if (w := plain(d, part))]
        worded += [(d, w) for d in wanted for seed in range(20) if (w := revised(d, part, seed, set()))]
        asked = {ask for d, _ in worded for ask in d.asks}
        assert asked >= {"choice_condition", "level", "side", "severity", "next_sequence", "report"}
        assert [w.turns[0][0] for d, w in worded if not asks_what_it_should(d, w)] == []


@pytest.mark.parametrize(
    ("ask", "question"),
    [
        ("choice_condition", "],"),
        ("choice_condition", "nulllierteb sentionALIGNMENT thesis whUT"),
        ("choice_condition", "What is the most common condition that occurs in the spine?"),
        ("choice_condition", "Pathology of the adult lumbar spine, listed below?"),
        ("level", "What is the most common type of bone marrow edema?"),
        ("level", "Is there bone marrow edema in this MRI of the lumbar spine?"),
        ("severity", "What is the most recent report on neural foraminal stenosis?"),
        ("severity", "Which side is affected by the neural foraminal stenosis?"),
        ("side", "How severe is the neural foraminal stenosis at L5-S1?"),
        ("condition", "What is bone marrow edema in this study?"),
        ("condition", "Bone marrow edema in this study of the spine."),
        ("statement", "Spinal canal stenosis in this study of"),
        ("next_sequence", "Which finding is uncertain in this study?"),
        ("side", "On which side does the radiologist see the disc herniation?"),
    ],
)
def test_what_asks_nothing_or_something_else_is_seen(drafts, ask, question):
    draft = next(d for d in drafts if d.asks == (ask,))
    assert not asks_what_it_should(draft, Worded(((question, "Yes."),), None))


@pytest.mark.parametrize(
    ("ask", "question"),
    [
        ("choice_condition", "Identify the abnormality that is visible on these images."),
        ("level", "Can you locate the vertebra with bone marrow edema?"),
        ("severity", "To what extent is the left L5-S1 foramen narrowed?"),
        ("side", "Is the disc herniation on the left or on the right?"),
        ("condition", "On the present images, can you see any spinal canal stenosis?"),
        ("statement", "Summarise what is seen of the spinal canal."),
        ("next_sequence", "To clarify this doubtful facet cyst, which series would help?"),
    ],
)
def test_other_words_than_the_templates_pass(drafts, ask, question):
    draft = next(d for d in drafts if d.asks == (ask,))
    assert asks_what_it_should(draft, Worded(((question, "Yes."),), None))


def test_a_conversation_that_asks_the_same_again_is_seen(drafts):
    draft = next(d for d in drafts if d.asks == ("condition", "level", "statement"))
    again = ("Is there bone marrow edema in this MRI?", "Yes.")
    assert not asks_what_it_should(draft, Worded((again, again, again), None))
    good = (again, ("Which level?", "L3."), ("And in one sentence?", "Bone marrow edema at L3."))
    assert asks_what_it_should(draft, Worded(good, None))
