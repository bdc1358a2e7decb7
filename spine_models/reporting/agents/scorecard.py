"""How good each agent is and how much of the lake it answers: one row an agent.

Belongs here: coverage from results, joined to the registry. Does not belong here: measuring skill (``findings``,
``reporting.scores``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import polars as pl

from spine_models.reporting.agents.results import ANSWERED
from spine_models.reporting.agents.roster import REPORT
from spine_models.reporting.agents.tables import RESULTS, SCORECARD
from spine_models.reporting.agents.versions import AgentsError, refuse_mixed

READ: Final = ("study_key", "agent", "agent_version", "status", "asked", "decision")
"""Columns of ``RESULTS`` that the scorecard reads."""


def scorecard(registry: pl.DataFrame, results: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """``SCORECARD``, in the order of the registry.

    The report agent's coverage is null: it answers by the drafts, which are counted where they are asked for.

    Args:
        registry: ``REGISTRY``.
        results: ``RESULTS`` batch by batch, at least the columns ``READ``.

    Raises:
        AgentsError: agents of mixed versions in the lake, or of another than is registered.
    """
    parts = [_counted(part) for part in results]
    counted = (
        pl.concat(parts) if parts else _counted(pl.DataFrame(schema={name: RESULTS[name] for name in READ}))
    )
    refuse_mixed(counted, "agents/results")
    strange = counted.join(registry, on="agent", how="left").filter(
        pl.col("agent_version").ne_missing(pl.col("version"))
    )
    if strange.height:
        agent, spoke, version = strange.sort("agent").select("agent", "agent_version", "version").row(0)
        raise AgentsError(
            f"{agent} spoke in version {spoke}, registered is {version}: materialise agents/registry and"
            " agents/claims of every batch again"
        )
    sums = counted.group_by("agent").agg(pl.col("n_studies", "n_asked", "n_answered", "n_decided").sum())
    joined = registry.join(sums, on="agent", how="left", maintain_order="left").with_columns(
        pl.when(pl.col("agent") != REPORT).then(pl.col(name).fill_null(0)).alias(name)
        for name in ("n_studies", "n_asked", "n_answered", "n_decided")
    )
    shares = joined.with_columns(
        answered=_share("n_answered", "n_asked"), decided=_share("n_decided", "n_answered")
    )
    return shares.select(pl.col(name).cast(kind) for name, kind in SCORECARD.items())


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    answered = pl.col("status") == ANSWERED
    return rows.group_by("agent", "agent_version").agg(
        n_studies=pl.col("study_key").n_unique(),
        n_asked=pl.col("asked").sum(),
        n_answered=answered.sum(),
        # Only a diagnosis agent may abstain; whoever else answers has said something.
        n_decided=(answered & pl.col("decision").ne_missing("abstain")).sum(),
    )


def _share(part: str, whole: str) -> pl.Expr:
    return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole))
