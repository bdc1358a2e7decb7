"""``spineagent`` on bad input: one line that says what, where and what to do, and exit code 2."""

from __future__ import annotations

import json
import stat
import sys
from types import ModuleType

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from tests.conftest import tiny_profile


@pytest.fixture
def spineagent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPINE_PROFILE", str(tiny_profile(tmp_path)))
    monkeypatch.setenv("SPINE_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("SPINE_KEY_FILE", str(tmp_path / "pseudonym.key"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def test_a_new_key_is_private_and_never_overwritten(spineagent, tmp_path):
    assert spineagent("key", "new", tmp_path / "k").exit_code == 0
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    before = (tmp_path / "k").read_bytes()
    assert spineagent("key", "new", tmp_path / "k").exit_code == 2
    assert (tmp_path / "k").read_bytes() == before


def test_no_key_no_run(spineagent, tmp_path):
    (tmp_path / "inbox").mkdir()
    result = spineagent("run", tmp_path / "inbox")
    assert result.exit_code == 2
    assert "spineagent key new" in result.stderr
    assert not (tmp_path / "root").exists()


def test_an_empty_inbox_and_a_missing_one_are_refused(spineagent, tmp_path):
    spineagent("key", "new", tmp_path / "pseudonym.key")
    (tmp_path / "inbox").mkdir()
    for folder in ("inbox", "nowhere"):
        result = spineagent("run", tmp_path / folder)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("spineagent: ")
        assert "Traceback" not in result.output


def test_a_folder_without_dicom_is_accounted_for_and_embeds_nothing(spineagent, tmp_path):
    spineagent("key", "new", tmp_path / "pseudonym.key")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for n in range(3):
        (inbox / f"note{n}.txt").write_text(f"nothing of interest {n}")
    result = spineagent("run", inbox, "--through", "embeddings")
    assert result.exit_code == 0, result.output
    rows = json.loads(spineagent("sql", "file_ledger", "--format", "json").stdout)
    assert [(row["outcome"], row["reason"], row["files"]) for row in rows] == [("rejected", "not_dicom", 3)]
    again = spineagent("run", inbox, "--through", "embeddings")
    assert "nothing new" in again.stderr


def test_a_wrong_profile_names_the_right_ones(spineagent, tmp_path, monkeypatch):
    spineagent("key", "new", tmp_path / "pseudonym.key")
    monkeypatch.setenv("SPINE_PROFILE", "gigantic")
    (tmp_path / "inbox").mkdir()
    result = spineagent("run", tmp_path / "inbox")
    assert result.exit_code == 2
    assert "paper, phantom, phantom_llm, phantom_smollm2, study, workstation" in result.stderr


@pytest.mark.parametrize("command", [["list"], ["build", "g2"], ["switch", "g2"], ["drop", "g2"]])
def test_models_show_an_expected_mistake_as_one_line(spineagent, monkeypatch, command):
    monkeypatch.setenv("SPINE_PROFILE", "gigantic")
    # Some mistakes show while the definitions are imported: asset modules read the profile.
    for name in [name for name in sys.modules if name == "pipelines.generations"]:
        monkeypatch.delitem(sys.modules, name)
    blocked = ModuleType("pipelines.definitions")
    blocked.__getattr__ = lambda _: (_ for _ in ()).throw(ValueError("no profile 'gigantic'"))
    monkeypatch.setitem(sys.modules, "pipelines.definitions", blocked)
    result = spineagent("models", *command)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("spineagent: no profile 'gigantic'")


def test_models_show_a_refusal_of_the_warehouse_as_one_line(spineagent, monkeypatch):
    from pipelines import generations
    from sql.warehouse import WarehouseError

    def refuse(*_: object):
        raise WarehouseError("the file is open for writing elsewhere")

    monkeypatch.setattr(generations, "switch", refuse)
    result = spineagent("models", "switch", "g2")
    assert result.exit_code == 2, result.output
    assert result.stderr == "spineagent: the file is open for writing elsewhere\n"


def test_a_question_before_the_first_run_says_what_to_do(spineagent):
    result = spineagent("sql", "file_ledger")
    assert result.exit_code == 2
    assert result.stderr.startswith("spineagent: ")


def test_sizes_of_a_profile_and_of_the_one_that_is_set(spineagent):
    named = spineagent("sizes", "--profile", "workstation", "--gpu", "rtx4090", "--studies", 3000)
    assert named.exit_code == 0, named.output
    assert named.stdout.startswith("profile workstation on rtx4090: 24 GiB")
    assert "123,532,288" in named.stdout
    assert spineagent("sizes").stdout.startswith("profile tiny")
    wrong = spineagent("sizes", "--gpu", "abacus")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("spineagent: no device 'abacus'")
