"""Agents of one version: what was made by different models is never said in one breath.

Belongs here: the refusals. Does not belong here: which version an agent has (``roster``).
"""

from __future__ import annotations

from typing import Final

import polars as pl

NO_HEAD: Final = "no-head"
"""Stands in an agent's version for the heads that it lacks."""


class AgentsError(ValueError):
    """Inputs that do not fit together, or agents of mixed versions; the message names both and the remedy."""


def refuse_other_heads(table: str, rows: pl.DataFrame | None, heads_version: str | None) -> None:
    """Refuse rows that were made with other heads than these.

    Args:
        table: their name, as ``stage/thing``.
        rows: with heads_version, or None.
        heads_version: None where there are no heads; then nothing is compared.

    Raises:
        AgentsError: names the table, both versions and the remedy.
    """
    if rows is None or heads_version is None:
        return
    strange = set(rows["heads_version"].unique()) - {heads_version}
    if strange:
        raise AgentsError(
            f"{table} rests on heads {', '.join(sorted(str(one) for one in strange))}, the agents on heads"
            f" {heads_version}: agents of mixed versions do not speak together, materialise {table} again"
        )


def refuse_mixed(rows: pl.DataFrame, table: str = "agents/claims") -> None:
    """Refuse claims or results in which an agent speaks in two versions.

    Args:
        rows: ``CLAIMS`` or ``RESULTS``: agent and agent_version.
        table: their name, as ``stage/thing``.

    Raises:
        AgentsError: names the first such agent, its versions and the remedy.
    """
    mixed = (
        rows.drop_nulls("agent_version")
        .group_by("agent")
        .agg(pl.col("agent_version").unique().sort())
        .filter(pl.col("agent_version").list.len() > 1)
        .sort("agent")
    )
    if mixed.is_empty():
        return
    agent, versions = mixed.row(0)
    raise AgentsError(
        f"{table} holds {mixed.height} agents of mixed versions, {agent} in {len(versions)}:"
        f" {', '.join(versions)}; materialise {table} of every batch again with the published models"
    )
