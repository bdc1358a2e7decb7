from __future__ import annotations

import numpy as np
import pytest

from spine_models.config import SequenceSettings
from spine_models.corpus.sequences.decision import Opinion, by_header, is_open, with_pixels
from spine_models.corpus.sequences.header_model import CLASSES
from spine_models.corpus.sequences.verdict import Verdict
from spine_models.domain import Contrast as C

SETTINGS = SequenceSettings()


def rules(contrast: C | None, confidence: float, note: str | None = None) -> Verdict:
    return Verdict(contrast, confidence, "a_rule", note)


def model(confidence: float | None = None, **shares: float) -> Opinion:
    """The model's opinion from shares such as T1=0.7; what is left over is spread over all."""
    p = np.full(len(CLASSES), (1 - sum(shares.values())) / len(CLASSES))
    for name, share in shares.items():
        p[CLASSES.index(C[name])] += share
    best = int(p.argmax())
    return Opinion(CLASSES[best], float(p[best]) if confidence is None else confidence, p)


def picture(confidence: float, **times: float) -> Opinion:
    """The pixels' opinion from likelihoods such as T1=8, one elsewhere."""
    likelihood = np.ones(len(CLASSES))
    for name, value in times.items():
        likelihood[CLASSES.index(C[name])] = value
    return Opinion(CLASSES[int(likelihood.argmax())], confidence, likelihood)


def test_two_readers_of_one_mind_are_surer_than_either():
    found = by_header(rules(C.T1, 0.8), model(T1=0.9), SETTINGS)
    assert (found.contrast, found.by) == (C.T1, "rules")
    assert found.confidence > 0.95
    assert not found.contradictions


@pytest.mark.parametrize("confidence", [0.0, 0.45])
def test_the_model_decides_where_the_rules_do_not(confidence):
    found = by_header(rules(C.T1 if confidence else None, confidence), model(T2=0.9), SETTINGS)
    assert (found.contrast, found.by) == (C.T2, "header_model")
    assert by_header(rules(None, 0), model(T2=0.7), SETTINGS).contrast is None


def test_a_sure_contradiction_is_named_and_an_unsure_model_does_not_overrule():
    against = by_header(rules(C.T1, 0.9), model(T2=0.95), SETTINGS)
    assert against.contrast is C.T2
    assert str(against.contradictions[0]) == "rules says T1, header_model says T2"
    kept = by_header(rules(C.T1, 0.95), model(T2=0.4), SETTINGS)
    assert (kept.contrast, kept.by) == (C.T1, "rules")
    assert kept.confidence < 0.95
    neither = by_header(rules(C.T1, 0.7), model(T2=0.7), SETTINGS)
    assert (neither.contrast, neither.by) == (None, "nobody")


def test_what_is_open_to_the_pixels():
    settled = by_header(rules(C.T1, 0.8), model(T1=0.9), SETTINGS)
    assert not is_open(rules(C.T1, 0.8), settled)
    assert is_open(rules(C.T1, 0.8, "text says T1, timing says T2"), settled)
    assert not is_open(rules(C.T1, 0.8, "text says before contrast agent, header names an agent"), settled)
    assert is_open(rules(None, 0), by_header(rules(None, 0), model(T1=0.5), SETTINGS))


def test_pixels_tip_an_open_header_and_count_within_their_weight():
    open_rules, open_model = rules(None, 0.0), model(T1=0.55, T2=0.40)
    helped = with_pixels(open_rules, open_model, picture(0.9, T1=10, T2=0.2), SETTINGS)
    assert (helped.contrast, helped.by) == (C.T1, "header+pixels")
    assert helped.confidence < 0.995
    other = with_pixels(open_rules, open_model, picture(0.9, T1=0.2, T2=10), SETTINGS)
    assert other.contrast is C.T2
    assert [str(c) for c in other.contradictions] == ["header_model says T1, pixels says T2"]
    # The same likelihood ratio in a header would be enough here; of the pixels only its root counts.
    weak = with_pixels(open_rules, model(T1=0.5, T2=0.45), picture(0.5, T1=3, T2=1), SETTINGS)
    assert weak.contrast is None


def test_pixels_cannot_overturn_a_sure_header_alone():
    sure = model(T1=0.97)
    for against in (picture(0.99, T2=40), picture(0.99, STIR=17)):
        found = with_pixels(rules(C.T1, 0.9), sure, against, SETTINGS)
        assert found.contrast is C.T1
        assert "pixels" in {c.source_b for c in found.contradictions}


def test_where_header_and_picture_speak_against_each_other_nobody_is_believed():
    found = with_pixels(rules(C.T1, 0.9), model(T1=0.7, T2=0.25), picture(0.95, T2=20, T1=0.05), SETTINGS)
    assert (found.contrast, found.by) == (None, "nobody")
    assert found.contradictions


def test_a_contrast_that_no_picture_taught_is_not_voted_down():
    taught = picture(0.4, T1=1.4, T2=1.2)
    found = with_pixels(rules(None, 0), model(MT=0.9), taught, SETTINGS)
    assert found.contrast is C.MT
