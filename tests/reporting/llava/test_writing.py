"""Whether a model is fit for drafts, and the tables of what it wrote; a model that is not fit writes no draft."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from spine_models.corpus.statements.units import Unit
from spine_models.reporting.llava import fitness, writing
from spine_models.reporting.llava.fitness import compare, is_claimed, says, verdict
from spine_models.reporting.llava.generate import Generated
from spine_models.reporting.llava.sequence import ContextTooLong
from spine_models.reporting.llava.tables import ANSWERS, FITNESS, WRITTEN
from tests.reporting.llava.learning import line_of, small_settings, study

LINE = line_of({"canal": {"level": "L4-L5", "severity": "severe"}, "fracture": {"level": "L2"}})
SETTINGS = small_settings(min_fit_claims=2)


class Parrot:
    """Stands in for a model: writes what it was told to for a study's line."""

    def __init__(self, text="", *, longest=10**6, stopped=True):
        self.text, self.longest, self.stopped, self.prompts = text, longest, stopped, []

    def encode(self, prompt, *, room):
        if len(prompt) + room > self.longest:
            raise ContextTooLong("too long")

    def generate(self, prompts, images, max_new_tokens, *, at_a_time):
        self.prompts += prompts
        return [Generated(self.text, len(self.text.split()), self.stopped) for _ in prompts]


@pytest.mark.parametrize(
    ("text", "claim", "said"),
    [
        (Unit("canal", "L4-L5", None, "severe"), Unit("canal", "L4-L5"), True),
        (Unit("canal", "L4-L5", None, "severe"), Unit("canal", "L4-L5", None, "mild"), False),
        (Unit("canal", "L3-L4"), Unit("canal", "L4-L5"), False),
        (Unit("canal"), Unit("canal", "L4-L5"), False),
        (Unit("synovial", "L4-L5", "left"), Unit("synovial", "L4-L5", "right"), False),
        (Unit("canal", "L4-L5"), Unit("canal", "L4-L5", certainty="possible"), False),
        (Unit("canal", "L4-L5", certainty="possible"), Unit("canal", "L4-L5", certainty="possible"), True),
        (Unit("fracture", "L2"), Unit("canal", "L4-L5"), False),
    ],
)
def test_a_claim_is_said_where_and_as_bad_as_it_is_claimed(text, claim, said):
    assert says([text], claim) is said


def test_what_contradicts_every_claim_is_added():
    assert is_claimed([Unit("canal", "L4-L5")], Unit("canal"))
    assert not is_claimed([Unit("canal", "L4-L5")], Unit("canal", "L3-L4"))
    assert not is_claimed([Unit("canal", "L4-L5")], Unit("fracture"))


def test_claims_said_and_added_are_counted():
    table = compare(
        [
            (LINE, "FINDINGS: Severe spinal canal stenosis at L4-L5. Marrow edema at L1."),
            (LINE, "FINDINGS: Severe spinal canal stenosis at L4-L5. Compression fracture of L2."),
            (line_of({}), "FINDINGS: No fracture."),
        ]
    )
    assert table.schema == FITNESS
    assert table.row(0) == (None, 3, 4, 3, 1)
    assert table.filter(pl.col("condition") == "fracture").row(0) == ("fracture", 2, 2, 1, 0)
    assert table.filter(pl.col("condition") == "edema").row(0) == ("edema", 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("claims", "said", "added", "fit"),
    [
        (20, 19, 0, True),
        (20, 18, 2, True),
        (20, 17, 0, False),
        (20, 20, 5, False),
        (1, 1, 0, False),
        (0, 0, 0, False),
    ],
)
def test_a_model_is_fit_where_it_says_what_it_is_told_and_little_else(claims, said, added, fit):
    table = pl.DataFrame([(None, 5, claims, said, added)], schema=FITNESS, orient="row")
    card = verdict(table, SETTINGS)
    assert card["fit_for_drafts"] is fit
    assert (card["fit_reason"] is None) is fit
    if claims >= 2 and not fit:
        assert f"{said / claims:.0%}" in card["fit_reason"]


def test_fitness_is_measured_with_the_prompt_of_drafts():
    told = dataclasses.replace(study(3), agents=LINE)
    parrot = Parrot("FINDINGS: Severe spinal canal stenosis at L4-L5. Compression fracture of L2.")
    found = fitness.measure_fitness(
        parrot, [told, dataclasses.replace(told, study_key="b", agents="")], SETTINGS
    )
    assert found.card["fit_for_drafts"] is True
    assert len(parrot.prompts) == 1
    assert LINE in parrot.prompts[0]
    assert told.similar not in parrot.prompts[0]
    short = fitness.measure_fitness(Parrot(longest=10), [told], SETTINGS)
    assert (short.card["fit_for_drafts"], short.card["fit_said"]) == (False, 0.0)


def rows(*keys):
    ids = [("b1", f"p{k}", k, "test") for k in keys]
    return pl.DataFrame(ids, schema=["batch_key", "patient_key", "study_key", "split"], orient="row")


def asked(*keys):
    return [dataclasses.replace(study(3), study_key=k, agents=LINE) for k in keys]


FIT = {
    "trained": True,
    "fit_for_drafts": True,
    "fit_reason": None,
    "parents": {"encoders": {"t1": ["e", "m", "p"]}},
}


def test_why_a_model_may_not_write_drafts():
    assert writing.unfit(None) == writing.NOT_TRAINED
    assert "3 reports" in writing.unfit({"trained": False, "reason": "3 reports of train patients"})
    unfit = FIT | {"fit_for_drafts": False, "fit_reason": "it said 12 %"}
    assert writing.unfit(unfit) == "it said 12 %"
    assert writing.unfit(FIT) is None
    assert writing.encoder_mismatch(FIT, {"t1": ["e", "m", "p"]}) is None
    assert writing.encoder_mismatch(FIT, {}) is None
    assert writing.encoder_mismatch(FIT, {"t1": ["e", "m2", "p"]}) == writing.OTHER_ENCODER
    assert writing.encoder_mismatch(FIT, {"t2": ["e", "m", "p"]}) == writing.OTHER_ENCODER


def test_a_model_that_is_not_fit_writes_nothing_and_says_why():
    frame = writing.written(rows("a", "b"), [], None, SETTINGS, version="l1", reason="it said 12 %")
    assert frame.schema == WRITTEN
    assert frame["text"].to_list() == ["", ""]
    assert frame["reason"].to_list() == ["it said 12 %"] * 2


def test_a_fit_model_writes_what_it_is_told_of_every_study():
    silent = dataclasses.replace(study(3), study_key="b", agents="")
    parrot = Parrot("FINDINGS: No fracture.", stopped=False)
    frame = writing.written(
        rows("a", "b", "c"), [*asked("a"), silent], parrot, SETTINGS, version="l1", reason=None
    )
    assert frame.select("study_key", "text", "reason", "stopped").rows() == [
        ("a", "FINDINGS: No fracture.", None, False),
        ("b", "", writing.NO_CLAIMS, False),
        ("c", "", writing.NO_CLAIMS, False),
    ]
    assert set(frame["model_version"]) == {"l1"}


def test_of_a_study_without_images_nothing_is_written():
    blind = [dataclasses.replace(asked("a")[0], images=None)]
    parrot = Parrot("FINDINGS: No fracture.")
    drafts = writing.written(rows("a"), blind, parrot, SETTINGS, version="l1", reason=None)
    scored = writing.answers(rows("a"), blind, parrot, SETTINGS, version="l1")
    assert {*drafts["reason"], *scored["reason"]} == {writing.NO_IMAGES}
    assert parrot.prompts == []


def test_a_prompt_longer_than_the_context_is_said():
    frame = writing.written(
        rows("a"), asked("a"), Parrot("x", longest=10), SETTINGS, version="l1", reason=None
    )
    assert frame.select("text", "reason").row(0) == ("", writing.TOO_LONG)


def test_answers_are_written_under_the_images_alone_and_under_the_agents():
    parrot = Parrot("FINDINGS: No fracture.")
    frame = writing.answers(rows("a"), asked("a"), parrot, SETTINGS, version="l1")
    assert frame.schema == ANSWERS
    assert frame["conditioning"].to_list() == ["agents", "image_only"]
    assert [LINE in prompt for prompt in parrot.prompts] == [False, True]
    assert writing.answers(rows("a"), asked("a"), None, SETTINGS, version=None).is_empty()
    stale = writing.answers(
        rows("a"), asked("a"), parrot, SETTINGS, version="l1", reason=writing.OTHER_ENCODER
    )
    assert stale["reason"].to_list() == [writing.OTHER_ENCODER] * 2
