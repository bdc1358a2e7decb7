"""What the model finds likeliest of given answers: one pass, the same as slow ones, whatever else is asked."""

from __future__ import annotations

import pytest
import torch

from spine_models.reporting.llava.choosing import answer_nats, likeliest
from spine_models.reporting.llava.sequence import IMAGE, ContextTooLong, Turn
from tests.reporting.llava.parts import images, tiny_llava

QUESTION = f"{IMAGE}\nWhich level?\nA. L4-L5\nB. canal stenosis, severe\nC. left"
ANSWERS = ["A. L4-L5", "B. canal stenosis, severe", "C. left"]


def plainly(llava, question, answer, study):
    """The likelihood of one answer, token by token, each by a pass of its own over all that stands before it."""
    one = llava.encode([Turn(question, answer)])
    total = 0.0
    for at, learned in enumerate(one.learned):
        if not learned:
            continue
        batch = llava.batch([one], [study])
        rows = llava.embed(batch.ids, llava.projector(batch.images))[:, :at]
        with torch.no_grad():
            logits = llava.decoder.lm_head(llava.decoder.model(inputs_embeds=rows).last_hidden_state[0, -1])
        total -= float(logits.double().log_softmax(0)[one.ids[at]])
    return total


@pytest.mark.parametrize("chat", [False, True])
def test_likelihoods_are_those_of_a_pass_for_every_token(chat):
    llava, study = tiny_llava(chat=chat), images(7, 1)
    found = answer_nats(llava, QUESTION, ANSWERS, study)
    assert found == pytest.approx([plainly(llava, QUESTION, a, study) for a in ANSWERS], rel=1e-4)


def test_likelihoods_are_those_that_training_lowers():
    llava, study = tiny_llava(), images(5, 2)
    batch = llava.batch([llava.encode([Turn(QUESTION, a)]) for a in ANSWERS], [study] * 3)
    with torch.no_grad():
        wanted = llava(batch).total.tolist()
    assert answer_nats(llava, QUESTION, ANSWERS, study) == pytest.approx(wanted, rel=1e-4)


def test_an_answer_does_not_depend_on_those_beside_it_nor_on_their_order():
    llava, study = tiny_llava(), images(7, 3)
    together = answer_nats(llava, QUESTION, ANSWERS, study)
    assert answer_nats(llava, QUESTION, ANSWERS[::-1], study)[::-1] == pytest.approx(together, rel=1e-4)
    assert [answer_nats(llava, QUESTION, [a], study)[0] for a in ANSWERS] == pytest.approx(together, rel=1e-4)


def test_the_same_question_has_bitwise_the_same_likelihoods_and_leaves_the_model_as_it_was():
    llava, study = tiny_llava().train(), images(7, 4)
    first = answer_nats(llava, QUESTION, ANSWERS, study)
    answer_nats(llava, QUESTION.replace("level", "side"), ANSWERS[:2], images(3, 5))
    assert answer_nats(llava, QUESTION, ANSWERS, study) == first
    assert llava.training


def test_the_images_are_read():
    llava = tiny_llava()
    assert answer_nats(llava, QUESTION, ANSWERS, images(7, 6)) != answer_nats(
        llava, QUESTION, ANSWERS, images(7, 7)
    )
    assert all(value > 0 for value in answer_nats(llava, QUESTION, ANSWERS, None))


def test_what_does_not_fit_is_refused():
    llava = tiny_llava(max_length=40)
    with pytest.raises(ContextTooLong, match=r"llava\.max_length"):
        answer_nats(llava, QUESTION, ANSWERS, images(3, 1))


def test_of_equally_likely_answers_the_first_is_taken():
    assert likeliest([2.0, 1.0, 1.0]) == 1
    assert likeliest([3.0]) == 0
