"""The models behind the agents, as the agents need them.

Belongs here: what they are asked for, and all of them together. Does not belong here: the models (``findings``,
``agents.grading``), versions and names of agents (``roster``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl


class Heads(Protocol):
    """Trained heads as the agents need them (``findings.probes.load_heads`` gives one)."""

    @property
    def version(self) -> str:
        """Content hash of the heads."""

    @property
    def conditions(self) -> Collection[str]:
        """Conditions with a fitted head."""

    @property
    def model_versions(self) -> Mapping[str, str]:
        """Encoder version by route that the heads were fitted on; vectors of another are refused."""

    @property
    def preprocessing_versions(self) -> Mapping[str, str]:
        """Preprocessing version by route of the vectors that they were fitted on."""

    def predict(self, study_vectors: pl.DataFrame) -> pl.DataFrame:
        """Calibrated probabilities: study_key, condition, sequence_set (t1 | t2 | other | all), probability."""


class Guards(Protocol):
    """Abstention and scope of trained heads (``findings.probes.strata.guards.load_guards`` gives one)."""

    @property
    def version(self) -> str:
        """Content hash of the guards."""

    @property
    def heads_version(self) -> str:
        """Version of the heads that they belong to."""

    def judge(self, vectors: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
        """The predictions with decision (present | absent | abstain), reason, out_of_scope and in_scope."""


class Grading(Protocol):
    """A severity grading (``agents.grading.load_grading`` gives one)."""

    @property
    def version(self) -> str:
        """Content hash of the grading."""

    @property
    def grades(self) -> Mapping[str, Collection[str]]:
        """Grades that are told apart, by condition that is graded."""

    def grade(self, study_vectors: pl.DataFrame) -> Mapping[tuple[str, str], str]:
        """Grade by study and condition."""


class Localizer(Protocol):
    """Fitted localization (``findings.localization.models.load_models`` gives one)."""

    @property
    def version(self) -> str:
        """Content hash of the models."""

    @property
    def slice_heads(self) -> Mapping[tuple[str, str], object]:
        """Heads that annotations taught, by condition and route."""

    @property
    def card(self) -> Mapping[str, Any]:
        """With ``missing``: condition, route and reason of heads that there are not."""


class LevelJudge(Protocol):
    """Heads of levels (``findings.levelwise.heads.load_level_heads`` gives one)."""

    @property
    def version(self) -> str:
        """Content hash of the heads."""

    @property
    def heads(self) -> Collection[str]:
        """Conditions with a head."""


class Space(Protocol):
    """Versions of the space of images and reports."""

    @property
    def clip(self) -> str:
        """Of the alignment."""

    @property
    def synthesizer(self) -> str | None:
        """Of the synthesizer that was aligned to it, or None."""


@dataclass(frozen=True)
class Published:
    """The models behind the agents; None for what has not been trained."""

    heads: Heads | None = None
    guards: Guards | None = None
    grading: Grading | None = None
    localizer: Localizer | None = None
    levels: LevelJudge | None = None
    space: Space | None = None
