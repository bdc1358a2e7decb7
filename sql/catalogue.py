"""The SQL files of this package and what their header comments say.

A header is the run of ``--`` lines at the top of a file: prose, and these directives:
``-- severity: error|warn`` and ``-- table: <stage>.<thing>`` in a check, ``-- columns:`` followed by indented
``<column>  <meaning>`` lines in a query.

Belongs here: finding files and parsing headers. Does not belong here: running SQL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, cast

FOLDER: Final[Path] = Path(__file__).parent

STAGES: Final[tuple[str, ...]] = (
    "deid",
    "sequences",
    "labels",
    "shards",
    "backbone",
    "clip",
    "synthesizer",
    "embeddings",
    "probes",
    "attribution",
    "localization",
    "retrieval",
    "agents",
    "instructions",
    "llava",
    "reports",
    "scores",
    "ablations",
)
"""Stages of the lake in flow order; a view of a stage reads its own and earlier stages only."""

Severity = Literal["error", "warn"]

_DIRECTIVE = re.compile(r"(severity|table|columns):\s*(.*)")
_COLUMN = re.compile(r"\s{2,}(\w+)\s{2,}(\S.*)")


class CatalogueError(ValueError):
    """An SQL file of the package is not written as its kind must be; the message names file and remedy."""


@dataclass(frozen=True)
class Schema:
    """``schema/<stage>.sql``: the declared tables and the views of a stage."""

    stage: str
    description: str
    text: str


@dataclass(frozen=True)
class Check:
    """``checks/<stage>__<rule>.sql``: a SELECT of the rows that break a rule; no rows means that it holds."""

    name: str
    stage: str
    rule: str
    table: str
    """The table the rule is about, ``<stage>.<thing>``."""
    severity: Severity
    description: str
    statement: str


@dataclass(frozen=True)
class Query:
    """``queries/<name>.sql``: a SELECT that answers one question, with the meaning of each of its columns."""

    name: str
    description: str
    columns: Mapping[str, str]
    statement: str


@dataclass(frozen=True)
class _Header:
    prose: str
    directives: dict[str, str]
    columns: dict[str, str]
    statement: str


@lru_cache(maxsize=1)
def schemas() -> Mapping[str, Schema]:
    """The schema files by stage, in flow order.

    Raises:
        CatalogueError: a stage without a file, or a file without a stage.
    """
    found = {path.stem: path for path in _files("schema")}
    if set(found) != set(STAGES):
        odd = ", ".join(sorted(set(found) ^ set(STAGES)))
        raise CatalogueError(f"sql/schema: one file for each stage is wanted; these do not match: {odd}")
    return MappingProxyType(
        {stage: Schema(stage, _header(found[stage]).prose, _text(found[stage])) for stage in STAGES}
    )


@lru_cache(maxsize=1)
def checks() -> Mapping[str, Check]:
    """The checks by name, stages in flow order and names in alphabetical order.

    Raises:
        CatalogueError: a name without a stage, or a header without its directives.
    """
    found: list[Check] = []
    for path in _files("checks"):
        header = _header(path)
        stage, _, rule = path.stem.partition("__")
        severity = header.directives.get("severity")
        table = header.directives.get("table", "")
        if stage not in STAGES or not rule:
            raise CatalogueError(f"{_place(path)}: the name must be <stage>__<rule>.sql")
        if severity not in ("error", "warn"):
            raise CatalogueError(f"{_place(path)}: the header must say '-- severity: error' or 'warn'")
        if not table.startswith(f"{stage}."):
            raise CatalogueError(f"{_place(path)}: the header must say '-- table: {stage}.<thing>'")
        found.append(
            Check(path.stem, stage, rule, table, cast(Severity, severity), header.prose, header.statement)
        )
    found.sort(key=lambda check: (STAGES.index(check.stage), check.name))
    return MappingProxyType({check.name: check for check in found})


@lru_cache(maxsize=1)
def queries() -> Mapping[str, Query]:
    """The queries by name, in alphabetical order.

    Raises:
        CatalogueError: a header that does not name its columns.
    """
    found: dict[str, Query] = {}
    for path in _files("queries"):
        header = _header(path)
        if not header.columns:
            raise CatalogueError(f"{_place(path)}: the header must list its columns after '-- columns:'")
        found[path.stem] = Query(path.stem, header.prose, MappingProxyType(header.columns), header.statement)
    return MappingProxyType(found)


def _files(folder: str) -> list[Path]:
    return sorted((FOLDER / folder).glob("*.sql"))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _place(path: Path) -> str:
    return f"sql/{path.parent.name}/{path.name}"


def _header(path: Path) -> _Header:
    lines = _text(path).splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    prose: list[str] = []
    directives: dict[str, str] = {}
    columns: dict[str, str] = {}
    for line in (line.removeprefix("--") for line in lines[:end]):
        column = _COLUMN.fullmatch(line)
        directive = _DIRECTIVE.fullmatch(line.strip())
        if directive:
            directives[directive[1]] = directive[2]
        elif column and "columns" in directives:
            columns[column[1]] = column[2]
        else:
            prose.append(line.strip())
    description = " ".join(filter(None, prose))
    if not description:
        raise CatalogueError(
            f"{_place(path)}: the first line must be a comment that says what the file is for"
        )
    return _Header(description, directives, columns, "\n".join(lines[end:]).strip().removesuffix(";"))
