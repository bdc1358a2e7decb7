"""An answer as text: a table for a terminal, CSV, or JSON.

Belongs here: how values look in each format. Does not belong here: asking.
"""

from __future__ import annotations

import base64
import io
import json
import math
import shutil
import textwrap
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv

Format = Literal["table", "csv", "json"]

FORMATS: Final[tuple[str, ...]] = ("table", "csv", "json")
ROWS_SHOWN: Final[int] = 500
_CELL: Final[int] = 10_000
_LEAST: Final[int] = 12
_LIST_SHOWN: Final[int] = 3


def render(result: pa.Table, format: Format = "table", *, width: int | None = None) -> str:
    """Text of an answer, ending in a newline.

    Args:
        result: what ``ask`` returned.
        format: ``table`` for reading (numbers rounded, lists and long answers cut, rows written one below
            the other where they do not fit), ``csv`` (RFC 4180, lists as JSON, nulls as nothing) or ``json``
            (an array of objects, nulls and NaN as null, lists as lists).
        width: characters in a line of ``table``; default that of the terminal.

    Raises:
        ValueError: another format.
    """
    if format == "json":
        return _json(result)
    if format == "csv":
        return _csv(result)
    if format == "table":
        return _table(result, width or shutil.get_terminal_size((120, 24)).columns)
    raise ValueError(f"no format {format!r}: choose one of {', '.join(FORMATS)}")


def _json(result: pa.Table) -> str:
    lines = [
        json.dumps({name: plain(value) for name, value in row.items()}, ensure_ascii=False, allow_nan=False)
        for row in result.to_pylist()
    ]
    return "[" + ",\n ".join(lines) + "]\n"


def _csv(result: pa.Table) -> str:
    columns = [
        pa.array([None if value is None else _csv_cell(value) for value in column.to_pylist()], pa.string())
        if _is_compound(column.type)
        else column
        for column in result.columns
    ]
    # A column of nulls alone has no type that the writer knows.
    columns = [column.cast(pa.string()) if pa.types.is_null(column.type) else column for column in columns]
    sink = io.BytesIO()
    pa_csv.write_csv(pa.table(columns, names=result.column_names), sink)
    return sink.getvalue().decode("utf-8")


def _csv_cell(value: object) -> str:
    simple = plain(value)
    return simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False, allow_nan=False)


def _is_compound(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_interval(kind)


def _table(result: pa.Table, width: int) -> str:
    shown = result.slice(0, ROWS_SHOWN).to_pylist()
    names = result.column_names
    if not shown:
        return f"{', '.join(names)}\nno rows\n"
    cells = [[_cell(row[name]) for name in names] for row in shown]
    # A text of several lines is there to be read whole, which a grid has no room for.
    is_prose = any("\n" in cell for row in cells for cell in row)
    widths = None if is_prose else _widths(result.schema, names, cells, width)
    if widths is not None:
        lines = _grid(result.schema, names, cells, widths)
    else:
        lines = []
        for number, row in enumerate(cells, start=1):
            lines += [f"row {number}", *_record(names, row, width)]
    if result.num_rows > ROWS_SHOWN:
        lines.append(f"{ROWS_SHOWN} of {result.num_rows} rows; format csv or json gives all")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _widths(
    schema: pa.Schema, names: Sequence[str], cells: Sequence[Sequence[str]], width: int
) -> list[int] | None:
    """Widths of the columns of a grid, texts cut as far as they may be; None where that is not enough."""
    natural = [max(len(row[i]) for row in cells) for i in range(len(names))]
    widths = [max(len(name), natural[i]) for i, name in enumerate(names)]
    # A name is folded at its underscores; a number is never cut, a text keeps a few characters.
    least = [
        max(
            max(len(part) for part in _parts(name)),
            natural[i] if _is_number(schema.field(i).type) else min(natural[i], _LEAST),
        )
        for i, name in enumerate(names)
    ]
    room = width - 2 * len(names)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max((i for i in range(len(widths)) if widths[i] > least[i]), key=lambda i: widths[i])
        widths[widest] -= 1
    return widths


def _grid(
    schema: pa.Schema, names: Sequence[str], cells: Sequence[Sequence[str]], widths: Sequence[int]
) -> list[str]:
    numbers = [_is_number(field.type) for field in schema]

    def line(parts: Sequence[str]) -> str:
        return "  ".join(
            part.rjust(width) if number else part.ljust(width)
            for part, width, number in zip(parts, widths, numbers, strict=True)
        )

    heads = [_folded(name, width) for name, width in zip(names, widths, strict=True)]
    height = max(len(head) for head in heads)
    # Names of several lines end above the rule, not below the top.
    heads = [[""] * (height - len(head)) + head for head in heads]
    return [
        *(line(parts) for parts in zip(*heads, strict=True)),
        line(["─" * width for width in widths]),
        *(line([_cut(cell, width) for cell, width in zip(row, widths, strict=True)]) for row in cells),
    ]


def _record(names: Sequence[str], cells: Sequence[str], width: int) -> list[str]:
    margin = max(len(name) for name in names) + 4
    lines: list[str] = []
    for name, cell in zip(names, cells, strict=True):
        folded = [
            part
            for line in cell.splitlines() or [""]
            for part in textwrap.wrap(line, max(width - margin, 20)) or [""]
        ]
        lines += [(f"  {name}" if i == 0 else "").ljust(margin) + part for i, part in enumerate(folded)]
    return lines


def _parts(name: str) -> list[str]:
    *first, last = name.split("_")
    return [*(f"{part}_" for part in first), last]


def _folded(name: str, width: int) -> list[str]:
    lines = [""]
    for part in _parts(name):
        if len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return lines


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _cell(value: object) -> str:
    if isinstance(value, list):
        parts = [_cell(part) for part in value[:_LIST_SHOWN]]
        rest = len(value) - len(parts)
        return ", ".join(parts) + (f", … {rest} more" if rest else "")
    simple = plain(value)
    if simple is None:
        return "-"
    if isinstance(simple, float):
        return f"{simple:.4g}" if abs(simple) < 1e4 else f"{simple:.1f}"
    text = simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False)
    return _cut(text.strip(), _CELL)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def plain(value: object) -> object:
    """A value as JSON knows it: NaN and infinities become null, decimals numbers, dates ISO text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)
