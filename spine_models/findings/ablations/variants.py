"""The questions that are asked of the system's parts, and the variants that answer each.

Belongs here: names and what they mean. Does not belong here: vectors, scores, trainings.

Every question compares variants with the part as it is in use, its reference, on the same studies. That of pretraining
against the baselines is the probes' own (``probes.compare``).

``gram``         anchored encoders with the encoders before anchoring.
``length``       encoders after fewer steps of pretraining with the anchored ones.
``alignment``    study vectors of tri-modal alignment with those of bi-modal alignment, of alignment of the concatenated
                 images, and with the plain concatenation of frozen vectors, which was aligned with nothing.
``synthesizer``  conditional gates with static gates, one encoder alone and both encoders' vectors side by side, on the
                 series that no encoder was trained on. Gates are aligned with the reports of the train patients, so
                 only test patients judge them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Question(StrEnum):
    """What is compared."""

    GRAM = "gram"
    LENGTH = "length"
    ALIGNMENT = "alignment"
    SYNTHESIZER = "synthesizer"


@dataclass(frozen=True)
class Comparison:
    """A question's reference and where it is asked.

    Attributes:
        question: which one.
        reference: name of the variant in use.
        sequence_sets: of the probes.
        evaluations: of the probes; what was trained with the train reports can only be judged by test patients.
        recall: whether it is also asked which images find their report, as the paper does (``recall``).
    """

    question: Question
    reference: str
    sequence_sets: tuple[str, ...]
    evaluations: tuple[str, ...] = ("cv", "test")
    recall: bool = False


COMPARISONS: Final = {
    comparison.question: comparison
    for comparison in (
        Comparison(Question.GRAM, "with_gram", ("t1", "t2", "all")),
        Comparison(Question.LENGTH, "anchored", ("t1", "t2", "all")),
        Comparison(Question.ALIGNMENT, "tri_modal", ("t1", "t2", "all"), ("test",), recall=True),
        Comparison(Question.SYNTHESIZER, "conditional", ("other",), ("test",), recall=True),
    )
}
"""By question, in the order of the table."""

WITHOUT_GRAM: Final = "without_gram"
PLAIN: Final = "plain_concatenation"
CONCATENATED: Final = "concatenation"


def snapshot_name(step: int) -> str:
    """Variant of an encoder after so many steps of pretraining."""
    return f"step_{step}"


def step_of(variant: str) -> int | None:
    """The step of a snapshot's variant; None for any other."""
    head, _, tail = variant.partition("_")
    return int(tail) if head == "step" and tail.isdecimal() else None
