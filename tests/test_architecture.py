"""The laws of the house that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from assets import STAGES, assets_of

REPO = Path(__file__).resolve().parents[1]
ROOMS = ("pipelines", "assets", "spine_models", "sql")
MODULES = sorted(p for room in ROOMS for p in (REPO / room).rglob("*.py"))
BANNED_NAMES = {"utils", "helpers", "common", "base", "misc"}
HEAVY = {"torch", "torchvision", "transformers", "timm", "peft", "lightly", "sklearn"}


def layer_of(stage: str) -> str:
    return STAGES[stage].__name__.split(".")[1]


def test_import_contracts_hold():
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(REPO)))
def test_a_module_has_a_contract_a_proper_name_and_a_size(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "no module docstring"
    assert path.stem not in BANNED_NAMES
    assert text.count("\n") <= 400, "split it"


@pytest.mark.parametrize("stage", STAGES)
def test_one_word_per_stage_everywhere(stage):
    layer = layer_of(stage)
    assets = REPO / "assets" / layer
    assert (assets / f"{stage}.py").is_file() or (assets / stage / "__init__.py").is_file()
    assert (REPO / "spine_models" / layer / stage / "tables.py").is_file()
    assert (REPO / "tests" / layer / stage).is_dir()
    if stage != "archive":  # identifiers: the archive has no face in the warehouse
        assert (REPO / "sql" / "schema" / f"{stage}.sql").is_file()


@pytest.mark.parametrize("stage", STAGES)
def test_asset_keys_groups_and_texts_follow_the_stage(stage):
    definitions = assets_of(STAGES[stage])
    assert definitions
    assert any(d.check_specs for d in definitions), "no check"
    for definition in definitions:
        for key, spec in definition.specs_by_key.items():
            assert key.path[0] == stage
            assert len(key.path) == 2
            assert spec.group_name == f"{layer_of(stage)}_{stage}"
            assert spec.description
            assert spec.code_version
            assert spec.kinds


def test_the_code_location_loads_without_the_heavy_libraries():
    code = "import sys, pipelines.definitions; print(sorted(set(sys.modules) & %r))" % (HEAVY | {"vllm"})
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_assets_hold_no_sql_and_no_profile_names():
    for path in sorted((REPO / "assets").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bSELECT\b|\bFROM read_parquet\b", text), path
        assert not re.search(r"profile\s*==", text), path


def test_only_one_module_reads_the_environment():
    readers = {
        str(p.relative_to(REPO))
        for p in MODULES
        if re.search(r"os\.getenv|os\.environ(?!\s*\|)|BaseSettings", p.read_text(encoding="utf-8"))
    }
    allowed = {"pipelines/runtime/profiles.py", "pipelines/home.py", "pipelines/runtime/training.py"}
    distributed = {p for p in readers if p.startswith("spine_models/encoder/backbone/")}
    assert readers - allowed - distributed == set(), (
        "environment variables are read in pipelines.runtime.profiles"
    )
    for path in distributed:  # torchrun's own protocol, nothing of ours
        assert "SPINE_" not in (REPO / path).read_text(encoding="utf-8")


def test_workspace_and_project_name_the_same_location():
    import tomllib

    import yaml

    project = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    module = yaml.safe_load((REPO / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    assert module["module_name"] == project["code_location_target_module"]
    assert module["location_name"] == project["code_location_name"]
    assert module["working_directory"] == "."
