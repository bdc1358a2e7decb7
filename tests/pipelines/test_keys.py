"""Key rotation as a privacy officer does it: rotate, run again, reverse an old pseudonym, purge."""

from __future__ import annotations

import json
import os
import stat

import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.keys import batches_under_another_key, reverse
from pipelines.runtime.locks import exclusive
from pipelines.runtime.profiles import Settings
from pipelines.runtime.resources import Hospital
from spine_models.corpus.deid import Pseudonymizer, read_key_file
from spine_models.corpus.deid.crosswalk import CrosswalkError, unseal
from sql.catalogue import checks
from sql.warehouse import broken_rows, open_lake
from tests.conftest import tiny_profile
from tests.corpus.deid.objects import write_inbox

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dagster")


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPINE_PROFILE", str(tiny_profile(tmp_path)))
    monkeypatch.setenv("SPINE_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("SPINE_KEY_FILE", str(tmp_path / "first.key"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    write_inbox(tmp_path / "inbox")

    def type_(*arguments: object, code: int = 0) -> str:
        result = CliRunner().invoke(app, list(map(str, arguments)))
        assert result.exit_code == code, result.output
        return result.stdout if arguments[0] == "sql" else result.stderr

    type_("key", "new", tmp_path / "first.key")
    return type_


def hospital() -> Hospital:
    return Hospital.from_settings(Settings())


def patients(site) -> set[str]:
    rows = json.loads(site("sql", "SELECT patient_key, key_id FROM deid.audit", "--format", "json"))
    assert len({row["key_id"] for row in rows}) == 1
    return {row["patient_key"] for row in rows}


def test_a_rotation_from_beginning_to_end(site, tmp_path, monkeypatch):
    site("run", tmp_path / "inbox", "--through", "deid")
    before = patients(site)
    first, second = (tmp_path / f"{n}.key" for n in ("first", "second"))
    said = site("key", "rotate", second)
    old_id = Pseudonymizer(read_key_file(first)).key_id
    assert f"spineagent key purge {old_id}" in said
    assert stat.S_IMODE(second.stat().st_mode) == 0o600
    site("key", "rotate", second)  # one that was cut off is finished by the same words
    assert batches_under_another_key(hospital()) == [], "nothing is due before the new key is in use"

    retired = list((hospital().restricted.root / "retired_crosswalks" / old_id).glob("*.bin"))
    assert len(retired) == 1
    assert set(unseal(retired[0].read_bytes(), read_key_file(second))["pseudonym"]) >= before
    with pytest.raises(CrosswalkError):
        unseal(retired[0].read_bytes(), read_key_file(first))

    monkeypatch.setenv("SPINE_KEY_FILE", str(second))
    assert batches_under_another_key(hospital()) == ["internal-0001"]
    assert "1 batches are still released under another key" in site("key", "purge", old_id, code=2)
    site("run", tmp_path / "inbox", "--through", "deid")
    after = patients(site)
    assert not after & before
    assert "nothing new" in site("run", tmp_path / "inbox", "--through", "deid")

    (old,), (new,) = before, after
    assert reverse(hospital(), old) == reverse(hospital(), new) == [("patient", "0012345678")]
    site("key", "purge", old_id)
    assert reverse(hospital(), old) == []
    left = {p.name for p in hospital().lake.root.rglob("*")}
    assert old not in left
    assert new in left
    assert "no retired key" in site("key", "purge", old_id, code=2)

    two_keys_break_a_rule()
    site("key", "rotate", tmp_path / "third.key")
    monkeypatch.setenv("SPINE_KEY_FILE", str(tmp_path / "third.key"))
    assert reverse(hospital(), new) == [("patient", "0012345678")], "reversible before the next run too"


def test_a_purge_leaves_only_trainings_on_the_manifest_of_now(site, monkeypatch):
    old_id = "0123456789ab"
    (hospital().restricted.root / "retired_crosswalks" / old_id).mkdir(parents=True)
    root = hospital().training_root
    for name in ("backbone-pretrained-t1-old", "clip-inputs-all-0", "backbone-pretrained-t1-new"):
        (root / name).mkdir(parents=True)
        (root / name / "seen.parquet").write_bytes(b"")
    # The manifest was frozen between the old training and the new one.
    manifest = pl.DataFrame(schema={"batch_key": pl.String, "shard": pl.String, "sha256": pl.String})
    at = hospital().lake.write_table(("shards", "manifest"), None, manifest).stat().st_mtime
    for name, later in (("old", -60), ("new", 60)):
        for path in (root / f"backbone-pretrained-t1-{name}").glob("*"):
            os.utime(path, (at + later, at + later))
        os.utime(root / f"backbone-pretrained-t1-{name}", (at + 60, at + 60))
    lock = root / ".backbone-pretrained-t1-new.lock"
    with exclusive(lock, "a training"), monkeypatch.context() as patch:
        # A lock is of a thread, and the purge runs in this one.
        patch.setattr("pipelines.runtime.locks._held", {})
        assert "a training is under way" in site("key", "purge", old_id, code=2)
    assert len([p for p in root.iterdir() if p.is_dir()]) == 3
    site("key", "purge", old_id)
    assert [p.name for p in root.iterdir() if p.is_dir()] == ["backbone-pretrained-t1-new"]


def two_keys_break_a_rule() -> None:
    lake_of = hospital().lake
    audit = pl.read_parquet(lake_of.table_path(("deid", "audit"), "internal-0001"))
    rule = checks()["deid__one_key_in_the_lake"]
    with open_lake(lake_of.root) as lake:
        assert broken_rows(lake, rule)[0] == 0
    other = audit.with_columns(key_id=pl.lit("0" * 12), batch_key=pl.lit("internal-0002"))
    lake_of.write_table(("deid", "audit"), "internal-0002", other)
    with open_lake(lake_of.root) as lake:
        assert broken_rows(lake, rule)[0] > 0
    lake_of.table_path(("deid", "audit"), "internal-0002").unlink()


def test_the_key_in_use_is_no_new_key(site, tmp_path):
    assert "holds the key in use" in site("key", "rotate", tmp_path / "first.key", code=2)
