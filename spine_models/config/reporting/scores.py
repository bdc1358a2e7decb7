"""Numbers of the scores of reports."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine_models.config.corpus import LlmSettings
from spine_models.config.section import Section

Method = Literal["agents", "agents_llm", "image_only", "retrieved"]


class PartialCredit(Section):
    """What an attribute of a matched finding earns where it is neither equal nor wrong.

    ``neighbour_level``: the disc or vertebra next to the right one. Readers number the same spine differently where a
    vertebra is transitional (about one person in eight), and a finding between two levels is told at either.
    ``part_of_side``: "bilateral" for "left". ``neighbour_grade``: one step of severity or certainty, which is as far as
    two readers agree on grades of stenosis. ``untold``: one of the two does not say it. That is less than nearly right,
    since the reader must look for it, and more than wrong, since nobody is led astray.
    """

    neighbour_level: float = Field(0.5, ge=0, lt=1)
    part_of_side: float = Field(0.5, ge=0, lt=1)
    neighbour_grade: float = Field(0.5, ge=0, lt=1)
    untold: float = Field(0.25, ge=0, lt=1)


class ScoreSettings(Section):
    """How reports are compared with the study's own.

    Intervals rest on ``bootstrap`` draws of patients. ``perturbed_studies`` reports at most are perturbed to test the
    metric. ``llm`` judges the texts of ``judged``; null asks nobody. An answer holds a verdict for every finding of two
    reports, about 25 tokens each: where ``max_tokens`` is not named, ``judge`` has room for 80.
    """

    partial: PartialCredit = PartialCredit()
    bootstrap: int = Field(1000, ge=10)
    perturbed_studies: int = Field(500, ge=1)
    llm: LlmSettings | None = None
    judged: tuple[Method, ...] = ("agents", "agents_llm", "image_only", "retrieved")
    seed: int = Field(0, ge=0)

    @property
    def judge(self) -> LlmSettings | None:
        """``llm`` with room for its answers."""
        return None if self.llm is None else self.llm.with_room(2048)
