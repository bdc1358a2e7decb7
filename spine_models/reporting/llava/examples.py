"""What the report model is asked and what it learns to answer.

Belongs here: the words of prompts, what stands above a report, which examples an epoch has. Does not belong here:
tokens (``sequence``), tables (``studies``), targets of reports (``targets``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

import numpy as np

from spine_models.config import LlavaSettings
from spine_models.reporting.llava.images import StudyImages
from spine_models.reporting.llava.sequence import IMAGE, SIMILAR, Turn, plain


class Conditioning(StrEnum):
    """What stands above a report, and what is asked of it."""

    IMAGE_ONLY = "image_only"
    """The images alone."""
    AGENTS = "agents"
    """What the agents say and the most similar report, to be weighed against the images."""
    DRAFT = "draft"
    """Findings that the report is to say, these and no others: what drafts are written with."""


ASKED: Final[Mapping[Conditioning, str]] = {
    Conditioning.IMAGE_ONLY: "Write the findings and the impression of this examination.",
    Conditioning.AGENTS: (
        "Above are the results of the agents and the report of a similar examination of another patient. "
        "Write the findings and the impression of this examination."
    ),
    Conditioning.DRAFT: "Write a report that says these findings and no others.",
}
_LETTERS: Final = "ABCDEFGH"


@dataclass(frozen=True)
class ReportStudy:
    """A study as the report model is trained on it and asked about it.

    Attributes:
        study_key: of the study.
        patient_key: whose.
        images: None without a slice vector.
        target: text to write; empty where the study has no report that can be learned.
        known: what the target says, as one line of tokens (``agents.serialised``).
        agents: what the agents say, as such a line; of a study that they were fitted on, what they say of it out of
            fold. Empty where they say nothing of it.
        similar: text of the most similar report of another patient; empty without one.
        similar_study: whose text that is, and of which patient.
        similar_patient: see ``similar_study``.
        items: dialogues of the instruction data about the study.
    """

    study_key: str
    patient_key: str
    images: StudyImages | None = None
    target: str = ""
    known: str = ""
    agents: str = ""
    similar: str = ""
    similar_study: str | None = None
    similar_patient: str | None = None
    items: tuple[tuple[Turn, ...], ...] = ()


class Example(NamedTuple):
    """A dialogue about a study; what is learned are its answers."""

    study: ReportStudy
    turns: tuple[Turn, ...]


def report_question(study: ReportStudy, conditioning: Conditioning) -> str:
    """The prompt for a study's report; a line that the study lacks is left out.

    A study without claims is asked with what there is, its similar report for instance.
    """
    parts = [IMAGE]
    line = {Conditioning.AGENTS: study.agents, Conditioning.DRAFT: study.agents}.get(conditioning, "")
    return _question(parts, line, study.similar if conditioning is Conditioning.AGENTS else "", conditioning)


def report_example(study: ReportStudy, conditioning: Conditioning) -> Example:
    """A study's report with its prompt; under DRAFT the findings are those that the report itself says."""
    line = {Conditioning.AGENTS: study.agents, Conditioning.DRAFT: study.known}.get(conditioning, "")
    similar = study.similar if conditioning is Conditioning.AGENTS else ""
    return Example(study, (Turn(_question([IMAGE], line, similar, conditioning), study.target),))


def item_turns(item: Mapping[str, Any]) -> tuple[Turn, ...]:
    """An instruction item (``instructions.ITEMS`` row) as a dialogue without images; empty where it has no answer."""
    if item["turns"]:
        return tuple(Turn(plain(turn["question"]), plain(turn["answer"])) for turn in item["turns"])
    question, answer = item["question"] or "", item["answer"] or ""
    if item["options"]:
        question, named = choices_of(item)
        return (Turn(question, named[item["correct"]]),)
    return (Turn(plain(question), plain(answer)),) if question and answer else ()


def choices_of(item: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The question of a choice with its options written out, and each option as the answer that a model learns."""
    named = [f"{letter}. {option}" for letter, option in zip(_LETTERS, item["options"], strict=False)]
    question = item["turns"][0]["question"] if item["turns"] else item["question"] or ""
    question = "\n".join([question, *(line for line in named if line not in question)])
    return plain(question), [plain(answer) for answer in named]


def item_question(study: ReportStudy, question: str, conditioning: Conditioning) -> str:
    """The prompt of a question about a study: its images, and under AGENTS what the agents say."""
    line = [study.agents] if conditioning is Conditioning.AGENTS and study.agents else []
    return "\n".join([IMAGE, *line, question])


def epoch_examples(
    studies: Sequence[ReportStudy], settings: LlavaSettings, *, epoch: int, items: bool = True
) -> list[Example]:
    """Examples of one epoch in their order: of each study its report, and some of its items.

    What is drawn for a study depends on seed, epoch and study alone, the order on all.

    Args:
        studies: of the train split.
        settings: shares, items of a study, seed.
        epoch: from 0.
        items: False leaves the instruction items out.
    """
    found: list[tuple[float, Example]] = []
    for study in studies:
        rng = _generator(settings.seed, epoch, study.study_key)
        drawn = rng.random(2)
        if study.target:
            found.append(
                (float(drawn[1]), report_example(study, conditioning_of(float(drawn[0]), study, settings)))
            )
        if items and study.items:
            n = min(settings.items_per_study, len(study.items))
            for i in rng.permutation(len(study.items))[:n]:
                place, above = rng.random(2)
                conditioning = conditioning_of(float(above), study, settings)
                found.append((float(place), item_example(study, study.items[int(i)], conditioning)))
    return [example for _, example in sorted(found, key=lambda pair: (pair[0], pair[1].study.study_key))]


class Drawn:
    """The examples of a run, epoch by epoch; the last epoch asked for is kept."""

    def __init__(
        self, studies: Sequence[ReportStudy], settings: LlavaSettings, *, items: bool = True
    ) -> None:
        self._studies, self._settings, self._items = list(studies), settings, items
        self._kept: tuple[int, list[Example]] = (-1, [])
        self.seed = settings.seed

    def __call__(self, epoch: int) -> list[Example]:
        """Examples of an epoch in their order; every epoch has as many."""
        if self._kept[0] != epoch:
            self._kept = (
                epoch,
                epoch_examples(self._studies, self._settings, epoch=epoch, items=self._items),
            )
        return self._kept[1]

    def steps_per_epoch(self, batch_size: int) -> int:
        """Whole batches of an epoch, one at least; what is over has its turn in another epoch's order."""
        return max(1, len(self(0)) // batch_size)


def conditioning_of(drawn: float, study: ReportStudy, settings: LlavaSettings) -> Conditioning:
    """What stands above a report, by a number drawn from [0, 1); what the study lacks gives the images alone."""
    if drawn < settings.image_only_share:
        return Conditioning.IMAGE_ONLY
    if drawn < settings.image_only_share + settings.known_share:
        return Conditioning.DRAFT if study.known else Conditioning.IMAGE_ONLY
    return Conditioning.AGENTS if study.agents or study.similar else Conditioning.IMAGE_ONLY


def item_example(study: ReportStudy, turns: Sequence[Turn], conditioning: Conditioning) -> Example:
    """A dialogue about a study; under AGENTS alone what they say stands above it.

    What the report itself says (DRAFT) would give the answers away.
    """
    first, *others = turns
    asked = Turn(item_question(study, first.question, conditioning), first.answer)
    return Example(study, (asked, *others))


def without_image(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """A dialogue as a decoder that sees no images is trained on it."""
    return tuple(Turn(turn.question.replace(IMAGE, "").strip(), turn.answer) for turn in turns)


def _question(parts: list[str], line: str, similar: str, conditioning: Conditioning) -> str:
    if line:
        parts.append(line)
    if similar:
        parts.append(f"{SIMILAR[0]} {plain(similar)} {SIMILAR[1]}")
    return "\n".join([*parts, ASKED[conditioning]])


def _generator(seed: int, epoch: int, key: str) -> np.random.Generator:
    own = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, own])))
