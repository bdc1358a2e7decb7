"""The bench runner itself: one broken benchmark loses nobody's rows, names filter, unit costs are projected."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_runner", HERE / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path):
    def put(name: str, text: str) -> None:
        (tmp_path / f"bench_{name}.py").write_text(text, encoding="utf-8")

    put("alpha", "def bench():\n    return [('first [way]', 2.5, 'slow / fast')]\n")
    put("broken", "def bench():\n    raise RuntimeError('no such thing')\n")
    put(
        "gamma",
        "def bench():\n    return [('third', 0.5, 'a / b')]\n"
        "def unit_costs():\n    return [('pack', 0.36, 1e6, 'slice'), ('read', 3.6, 0.0, 'patient')]\n",
    )
    return tmp_path


def test_a_broken_benchmark_is_named_and_the_others_stand(run, folder, capsys):
    assert run.main((), folder) == 1
    said = capsys.readouterr().out
    for text in (
        "first [way]",
        "2.50",
        "third",
        "broken",
        "RuntimeError: no such thing",
        "bench_broken.py:2",
    ):
        assert text in said


def test_names_choose(run, folder, capsys):
    assert run.main(("alpha", "gam"), folder) == 0
    said = capsys.readouterr().out
    assert "third" in said
    assert "no such thing" not in said
    assert run.main(("nothing",), folder) == 1
    assert "alpha, broken, gamma" in capsys.readouterr().out


def test_unit_costs_become_core_hours_and_terabytes(run, folder, capsys):
    assert run.main(("gamma",), folder) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "pack" in line)
    cells = [cell.strip() for cell in row.strip("│ ").split("│")]
    assert cells == ["pack", "slice", "360.000", "1,000.0", "1,344.1", "13.441"]


def test_a_unit_that_the_corpus_does_not_count_is_refused(run, folder, capsys):
    (folder / "bench_odd.py").write_text(
        "def bench():\n    return []\ndef unit_costs():\n    return [('x', 1.0, 1.0, 'voxel')]\n",
        encoding="utf-8",
    )
    assert run.main(("odd",), folder) == 1
    assert "'voxel', not one of slice, series, patient" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted(HERE.glob("bench_*.py")), ids=lambda path: path.stem)
def test_every_benchmark_of_the_house_says_what_it_divides(path):
    text = path.read_text(encoding="utf-8")
    assert "def bench() -> list[tuple[str, float, str]]:" in text
    assert '"""' in text.split("def bench()", 1)[1][:200]
