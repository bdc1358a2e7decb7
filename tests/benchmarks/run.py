"""``make bench``: every ``bench_*.py`` beside this file, one table of ratios and one of what they mean at full size.

    python tests/benchmarks/run.py [PART_OF_A_NAME ...]

A benchmark module has ``bench() -> list[tuple[str, float, str]]``: name, ratio, what is divided by what. Both sides
of a ratio are timed in one process, interleaved, so that a busy machine slows both. It may have
``unit_costs() -> list[tuple[str, float, float, str]]``: stage and what is done, CPU seconds a unit, bytes written a
unit, unit (a key of ``UNITS``). A module that fails is named with its error, loses nobody else's rows, and makes the
exit status 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.markup import escape
from rich.table import Table

UNITS = {"slice": 13_441_191, "series": 453_683, "patient": 32_047}
"""How many of each the published corpus has."""

WIDTH = 120


def main(names: Sequence[str] = (), folder: Path = Path(__file__).parent) -> int:
    """Run the modules whose name holds one of ``names`` (all without names) and print; 1 where one failed."""
    console = Console(width=WIDTH)
    paths = [p for p in sorted(folder.glob("bench_*.py")) if not names or any(n in p.stem for n in names)]
    if not paths:
        console.print(f"no benchmark has {' or '.join(names)} in its name: {', '.join(_known(folder))}")
        return 1
    ratios = _table("benchmarks: ratios within one run", ("benchmark", "ratio", "of what"))
    costs: list[tuple[str, float, float, str]] = []
    failed: list[tuple[str, BaseException]] = []
    for path in paths:
        began = time.monotonic()
        console.print(f"{path.stem} ...", end=" ", style="dim")
        try:
            module = _load(path)
            rows = module.bench()
            own = module.unit_costs() if hasattr(module, "unit_costs") else []
            _demand_units(own)
        except Exception as error:  # one broken benchmark must not lose the others' rows
            failed.append((path.stem, error))
            ratios.add_row(
                f"[red]{path.stem}[/red]", "[red]failed[/red]", escape(f"{type(error).__name__}: {error}")
            )
            console.print("failed", style="red")
            continue
        for name, ratio, what in rows:
            ratios.add_row(escape(name), f"{ratio:.2f}", escape(what))
        costs += own
        console.print(f"{time.monotonic() - began:.0f} s", style="dim")
    console.print(ratios)
    if costs:
        console.print(_projection(costs))
    for name, error in failed:
        where = traceback.extract_tb(error.__traceback__)[-1]
        console.print(
            f"[red]{name} failed[/red] at {Path(where.filename).name}:{where.lineno}: {escape(str(error))}"
        )
    return 1 if failed else 0


def _known(folder: Path) -> list[str]:
    return [path.stem.removeprefix("bench_") for path in sorted(folder.glob("bench_*.py"))]


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # processes that a benchmark starts look its functions up by module
    spec.loader.exec_module(module)
    return module


def _demand_units(costs: Sequence[tuple[str, float, float, str]]) -> None:
    for stage, _, _, unit in costs:
        if unit not in UNITS:
            raise ValueError(f"the unit of {stage!r} is {unit!r}, not one of {', '.join(UNITS)}")


def _projection(costs: Sequence[tuple[str, float, float, str]]) -> Table:
    """Unit costs on one core of this machine, times the published corpus."""
    sizes = ", ".join(f"{count:,} {unit}{'' if unit == 'series' else 's'}" for unit, count in UNITS.items())
    table = _table(
        f"unit costs, one core of this machine; at full size: {sizes}",
        ("stage", "unit", "CPU ms a unit", "kB a unit", "core-hours", "TB"),
    )
    hours = terabytes = 0.0
    for stage, seconds, size, unit in costs:
        hour, terabyte = seconds * UNITS[unit] / 3600, size * UNITS[unit] / 1e12
        hours, terabytes = hours + hour, terabytes + terabyte
        table.add_row(
            escape(stage),
            unit,
            f"{1e3 * seconds:,.3f}",
            f"{size / 1e3:,.1f}",
            f"{hour:,.1f}",
            f"{terabyte:,.3f}",
        )
    table.add_section()
    table.add_row("all of them once", "", "", "", f"{hours:,.1f}", f"{terabytes:,.3f}")
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    texts = {"benchmark", "of what", "stage", "unit"}
    for name in columns:
        table.add_column(name, justify="left" if name in texts else "right")
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Benchmarks as ratios, and what they mean at full size.")
    parser.add_argument("names", nargs="*", help="parts of names: shards, deid, ...; all without")
    raise SystemExit(main(parser.parse_args().names))
