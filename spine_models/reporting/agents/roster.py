"""The registry of the diagnosis agents: one per condition, with version, inputs and measured skill.

Belongs here: what an agent is called, what it needs, whether it is trained.
Does not belong here: running one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

import polars as pl

from spine_models.domain import condition_keys
from spine_models.reporting.agents.examination import READ_ROUTES
from spine_models.reporting.agents.tables import REGISTRY

RULES_VERSION: Final = "1"
"""Version of the rules that turn a probability into a claim; part of every agent's version."""


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
        """Calibrated probabilities: study_key, condition, sequence_set (t1 | t2 | all), probability."""


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


def agent_name(condition: str) -> str:
    """Name of the diagnosis agent of a condition."""
    return f"diagnosis/{condition}"


def agent_version(heads: Heads | None, condition: str, guards: Guards | None = None) -> str:
    """Version of an agent: its rules, its heads (``no-head`` where it has none) and their guards, where it has any."""
    if heads is None or condition not in heads.conditions:
        return f"{RULES_VERSION}+no-head"
    return "+".join([RULES_VERSION, heads.version, *([] if guards is None else [guards.version])])


def registry(heads: Heads | None, metrics: pl.DataFrame, guards: Guards | None = None) -> pl.DataFrame:
    """The 17 diagnosis agents as ``REGISTRY`` rows in the order of ``conditions.yaml``.

    Args:
        heads: The trained heads, or None before any training.
        metrics: ``probes.METRICS``; the AUROCs shown are those of ``spinefm``'s linear heads on all sequences.
        guards: Abstention and scope of the heads, or None.
    """
    measured = metrics.filter(encoder="spinefm", head="linear", sequence_set="all")
    auroc = {
        (row["condition"], row["evaluation"]): row["auroc"]
        for row in measured.select("condition", "evaluation", "auroc").iter_rows(named=True)
    }
    rows = [
        {
            "agent": agent_name(condition),
            "kind": "diagnosis",
            "condition": condition,
            "version": agent_version(heads, condition, guards),
            "inputs": [f"embeddings/studies/{route}" for route in READ_ROUTES],
            "trained": heads is not None and condition in heads.conditions,
            "auroc_cv": auroc.get((condition, "cv")),
            "auroc_test": auroc.get((condition, "test")),
        }
        for condition in condition_keys()
    ]
    return pl.DataFrame(rows, schema=REGISTRY)
