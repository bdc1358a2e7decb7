"""Numbers of the instruction data."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.corpus import LlmSettings
from spine_models.config.section import Section


class InstructionSettings(Section):
    """How many items a study gives, and how far they may be like one another.

    ``options`` of a choice where there are so many plausible ones. No answer of a dimension's choices is right more
    than ``most_of_one_answer`` times as often as the middle one. Two reports, or two items, whose Jaccard index of
    runs of words reaches ``near_duplicate`` are too much alike to stand on both sides of the split. ``llm`` writes the
    items' words, null leaves them to the templates; ``bootstrap`` replicates make the intervals of the scores.
    """

    seed: int = Field(0, ge=0)
    short_per_study: int = Field(10, ge=0)
    long_per_study: int = Field(8, ge=0)
    choice_per_study: int = Field(10, ge=0)
    multi_turn_per_study: int = Field(4, ge=0)
    options: int = Field(4, ge=2, le=8)
    most_of_one_answer: float = Field(2.0, ge=1)
    near_duplicate: float = Field(0.8, gt=0, le=1)
    bootstrap: int = Field(1000, ge=1)
    llm: LlmSettings | None = None
    prompt_version: str = Field("v1", pattern=r"^v[0-9]+$")

    @property
    def writer(self) -> LlmSettings | None:
        """``llm`` with room for a report."""
        return None if self.llm is None else self.llm.with_room(2048)
