"""One version a route: vectors of two models, or of slices prepared in two ways, are never used together.

They have the same length and the same look, so whatever is fitted on, averaged over or compared between them has a
number, and a wrong one.

Belongs here: the proof, for any table that names its versions, and the words of its refusal. Does not belong here: what
heads were fitted on (each package holds its own against ``one_version``), means (``pooling``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

VERSIONS: Final = ("encoder", "model_version", "preprocessing_version")
"""Columns that say what made a vector."""

NONE: Final = "none"
"""A null is a version of its own."""

NAMED: Final = 4
"""Versions that a refusal names; the rest are counted."""

Versions = dict[str, dict[str, str]]
"""By route, or whatever else is to be of one version, the version in each column."""


@dataclass(frozen=True)
class Table:
    """What a refusal says of the rows that it refuses.

    Attributes:
        name: of the table, as ``stage/thing``.
        remedy: what to do about it.
        error: class that is raised.
    """

    name: str
    remedy: str
    error: type[ValueError]


def one_version(
    rows: pl.DataFrame,
    table: Table,
    *,
    columns: Sequence[str] | None = None,
    by: str = "route",
    known: Mapping[str, Mapping[str, str]] | None = None,
) -> Versions:
    """The one version in each of ``columns`` of every route.

    Args:
        rows: of ``table``.
        table: for the refusal.
        columns: that must be there and hold one version each; None for those of ``VERSIONS`` that are there.
        by: column of what is to be of one version.
        known: of earlier rows that these go with.

    Returns:
        That of these rows and of ``known`` together.

    Raises:
        ValueError: of the class ``table.error``, where a column has several versions; names the table, the route,
            the column, how many there are and which, and the remedy. Or where a column is not there.
    """
    found: Versions = {group: dict(told) for group, told in (known or {}).items()}
    named = [name for name in VERSIONS if name in rows.columns] if columns is None else list(columns)
    if missing := [name for name in named if name not in rows.columns]:
        raise table.error(f"{table.name} has no column {missing[0]}: {table.remedy}")
    if not named:
        return found
    kinds = rows.select(by, pl.col(named).fill_null(NONE)).unique()
    for (group,), part in kinds.sort(by).group_by(by, maintain_order=True):
        own = found.setdefault(str(group), {})
        for column in named:
            versions = sorted({*part[column].to_list(), own.get(column, part[column][0])})
            if len(versions) > 1:
                raise table.error(_refusal(table, f"{by} {str(group)!r}", column, versions))
            own[column] = versions[0]
    return found


def _refusal(table: Table, place: str, column: str, versions: Sequence[str]) -> str:
    names = ", ".join(versions[:NAMED]) + (", ..." if len(versions) > NAMED else "")
    return f"{table.name}, {place}: {column} has {len(versions)} versions ({names}): {table.remedy}"
