"""``make bench``: every ``bench_*.py`` beside this file, one table of ratios.

A benchmark module has ``bench() -> list[tuple[str, float, str]]``: name, ratio, what is divided by what. Both sides
of a ratio are timed in one process, interleaved, so that a busy machine slows both.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rich.console import Console
from rich.table import Table


def main() -> None:
    """Run all and print."""
    table = Table(title="benchmarks: ratios within one run", title_justify="left")
    for name, justify in (("benchmark", "left"), ("ratio", "right"), ("of what", "left")):
        table.add_column(name, justify=justify)
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, ratio, what in module.bench():
            table.add_row(name, f"{ratio:.2f}", what)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
