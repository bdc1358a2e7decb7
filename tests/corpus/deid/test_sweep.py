"""The sweep of a lake: what it opens, what it remembers, and what it does not trust its memory with."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from dataclasses import replace

import polars as pl
import pytest

import spine_models.corpus.deid.gate.identifiers as identifiers_module
import spine_models.corpus.deid.gate.lake as lake_module
import spine_models.corpus.deid.gate.memory as memory_module
from assets.warehouse import archived
from pipelines.runtime.storage import Zone
from spine_models.corpus.deid import sweep_lake
from spine_models.corpus.deid.gate.memory import SweepMemory
from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from tests.corpus.deid.objects import KEY


def test_the_sweep_opens_what_a_lake_holds(released, tmp_path):
    _, archive, frames = released
    leak, lake = "odalys wexbury", tmp_path / "lake"
    lake.mkdir()
    frames["reports"].write_parquet(lake / "clean.parquet")
    frames["reports"].with_columns(report_text=pl.lit(leak)).write_parquet(lake / "reports.parquet")
    pl.DataFrame({"nested": [[{"a": leak}]]}).write_parquet(lake / "nested.parquet")
    (lake / "page.html").write_text(f"<p>{leak}</p>")
    (lake / "warehouse.duckdb").write_bytes(b"\x00\x01" * 50 + leak.encode() + b"\x00" * 9)
    (lake / "packed.json.gz").write_bytes(gzip.compress(leak.encode()))
    with zipfile.ZipFile(lake / "packed.zip", "w") as archive_file:
        archive_file.writestr("card.json", leak)
    with tarfile.open(lake / "shard.tar", "w") as tar:
        info = tarfile.TarInfo("slice.json")
        info.size = len(leak)
        tar.addfile(info, io.BytesIO(leak.encode()))
    result = sweep_lake([archive], lake).hits
    assert set(result["subject"]) == {
        "reports.parquet",
        "nested.parquet",
        "page.html",
        "warehouse.duckdb",
        "packed.json.gz",
        "packed.zip",
        "shard.tar",
    }
    assert set(result["rule"]) == {"name"}


def test_many_processes_find_what_one_finds(released, tmp_path, monkeypatch):
    _, archive, frames = released
    lake = tmp_path / "lake"
    lake.mkdir()
    for number in range(6):
        text = "odalys wexbury" if number % 2 else "spine"
        (lake / f"{number}.txt").write_text(text)
    frames["reports"].write_parquet(lake / "reports.parquet")
    alone = sweep_lake([archive], lake, key=KEY).hits
    for module in (lake_module, identifiers_module):
        monkeypatch.setattr(module, "_INLINE_BELOW", 1)
    assert sweep_lake([archive], lake, key=KEY, workers=2).hits.equals(alone)
    assert alone["subject"].to_list() == ["1.txt", "3.txt", "5.txt"]


def test_a_sweep_searches_again_what_has_changed_and_what_was_not_clean(released, tmp_path, monkeypatch):
    _, archive, frames = released
    lake, memory = tmp_path / "lake", tmp_path / "memory"
    lake.mkdir()
    (lake / "clean.txt").write_text("spine")
    (lake / "dirty.txt").write_text("odalys wexbury")
    frames["reports"].write_parquet(lake / "reports.parquet")

    def sweep(**more: object):
        return sweep_lake([archive], lake, key=KEY, memory=memory, **{"whole": False} | more)

    first = sweep()
    assert (first.searched, first.remembered) == (3, 0)
    assert first.hits["subject"].to_list() == ["dirty.txt"]
    with monkeypatch.context() as patch:
        patch.setattr(
            memory_module, "known_of", lambda *_, **__: pytest.fail("the originals were read again")
        )
        second = sweep()
    assert (second.searched, second.remembered) == (1, 2)
    assert second.hits.equals(first.hits)
    (lake / "clean.txt").write_text("a note by odalys wexbury")
    (lake / "new.txt").write_text("odalys wexbury")
    assert sweep().hits["subject"].to_list() == ["clean.txt", "dirty.txt", "new.txt"]
    assert sweep(whole=True).searched == 4
    for name in ("clean.txt", "dirty.txt", "new.txt"):
        (lake / name).unlink()
    assert sweep().searched == 0
    assert sweep().hits.is_empty()


def test_what_a_sweep_remembers_holds_for_its_key_and_originals_alone(released, tmp_path, monkeypatch):
    _, archive, _ = released
    lake, memory = tmp_path / "lake", tmp_path / "memory"
    lake.mkdir()
    (lake / "a.txt").write_text("spine")
    read = []
    plain = memory_module.known_of
    monkeypatch.setattr(
        memory_module, "known_of", lambda *args, **more: (read.append(1), plain(*args, **more))[1]
    )
    sweep_lake([archive], lake, key=KEY, memory=memory, whole=False)
    (lake / "b.txt").write_text("spine")
    sweep_lake([archive], lake, key=KEY, memory=memory, whole=False)
    assert len(read) == 1
    other = sweep_lake([archive], lake, key=b"another key of thirty-two bytes!", memory=memory, whole=False)
    assert (other.searched, len(read)) == (2, 2)
    changed = replace(archive, instances=archive.instances.head(1))
    sweep_lake([changed], lake, key=KEY, memory=memory)
    assert len(read) == 3
    assert memory.stat().st_mode & 0o777 == 0o700


def test_what_is_remembered_of_a_batch_is_what_was_read(released, tmp_path):
    _, archive, _ = released
    read = memory_module.known_of(archive, Pseudonymizer(KEY))
    read.own = {patient: needles for patient, needles in read.own.items() if needles}
    assert read.shared
    assert read.births
    for _ in range(2):
        again = SweepMemory(tmp_path / "memory", KEY).known([archive], workers=1)
        again.own = {patient: needles for patient, needles in again.own.items() if needles}
        assert again == read


def test_a_file_that_is_written_anew_while_it_is_searched_is_searched_again(released, tmp_path, monkeypatch):
    _, archive, _ = released
    lake, memory = tmp_path / "lake", tmp_path / "memory"
    lake.mkdir()
    (lake / "a.txt").write_text("spine")
    plain = lake_module._swept

    def then_written(*args):
        found = list(plain(*args))
        (lake / "a.txt").write_text("odalys wexbury")
        (lake / "late.txt").write_text("odalys wexbury")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(lake_module, "_swept", then_written)
        assert sweep_lake([archive], lake, key=KEY, memory=memory, whole=False).hits.is_empty()
    again = sweep_lake([archive], lake, key=KEY, memory=memory, whole=False)
    assert again.hits["subject"].to_list() == ["a.txt", "late.txt"]


def test_files_that_go_while_they_are_searched_and_locks_are_no_findings(released, tmp_path, monkeypatch):
    _, archive, _ = released
    lake, memory = tmp_path / "lake", tmp_path / "memory"
    lake.mkdir()
    (lake / "gone.parquet").write_text("a version before")
    (lake / ".all.lock").touch()
    (lake / "full.lock").write_text("odalys wexbury")
    plain = lake_module._swept

    def after_it_went(*args):
        (lake / "gone.parquet").unlink()
        return list(plain(*args))

    with monkeypatch.context() as patch:
        patch.setattr(lake_module, "_swept", after_it_went)
        first = sweep_lake([archive], lake, key=KEY, memory=memory, whole=False)
    assert first.hits["subject"].to_list() == ["full.lock"]
    assert first.searched == 2
    assert pl.read_parquet(memory / "files.parquet").is_empty()


def test_originals_that_cannot_be_read_leave_nothing_remembered(released, tmp_path, monkeypatch):
    _, archive, _ = released
    lake, memory = tmp_path / "lake", tmp_path / "memory"
    lake.mkdir()
    # The institution stands in the header of an original and in no table of the archive.
    (lake / "leak.txt").write_text("Cedar Hollow Hospital")
    archive = replace(archive, ehr=archive.ehr.clear())

    def refuse(*_: object, **__: object):
        raise OSError("stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(identifiers_module.pydicom, "dcmread", refuse)
        blind = sweep_lake([archive], lake, key=KEY, memory=memory, whole=False)
    assert blind.hits.is_empty()
    assert blind.unread == archive.instances.height
    assert not list(memory.glob("known-*"))
    seeing = sweep_lake([archive], lake, key=KEY, memory=memory, whole=False)
    assert (seeing.searched, seeing.unread) == (1, 0)
    assert seeing.hits["rule"].to_list() == ["address"]


def test_a_whole_sweep_reads_originals_again_and_keeps_what_was_known_of_lost_ones(
    released, tmp_path, monkeypatch
):
    _, archive, _ = released
    lake, memory = tmp_path / "lake", tmp_path / "memory"
    lake.mkdir()
    (lake / "leak.txt").write_text("Cedar Hollow Hospital")
    archive = replace(archive, ehr=archive.ehr.clear())
    (lake / "clean.txt").write_text("spine")
    sweep_lake([archive], lake, key=KEY, memory=memory)
    (record,) = memory.glob("known-*")
    whole_record = record.read_bytes()
    pl.read_parquet(record).clear().write_parquet(record)
    assert sweep_lake([archive], lake, key=KEY, memory=memory, whole=False).hits.is_empty(), "as poisoned"
    assert sweep_lake([archive], lake, key=KEY, memory=memory).hits["rule"].to_list() == ["address"]
    assert record.read_bytes() == whole_record

    def refuse(*_: object, **__: object):
        raise OSError("stale file handle")

    monkeypatch.setattr(identifiers_module.pydicom, "dcmread", refuse)
    lost = sweep_lake([archive], lake, key=KEY, memory=memory)
    assert lost.unread == archive.instances.height
    assert lost.hits["subject"].to_list() == ["leak.txt"]
    assert record.read_bytes() == whole_record
    left = sweep_lake([archive], lake, key=KEY, memory=memory, whole=False)
    assert left.remembered == 1, "what was clean by all that is known stays so"


def test_tables_of_batches_that_have_not_changed_are_not_read(released, tmp_path):
    _, archive, _ = released
    zone, lake, memory = Zone(tmp_path / "restricted"), tmp_path / "lake", tmp_path / "memory"
    lake.mkdir()
    for name in ("files", "instances", "series", "studies", "reports", "ehr"):
        zone.write_table(("archive", name), "b", getattr(archive, name))
    read = []

    def sweep(text: str):
        (lake / "a.txt").write_text(text)
        batch = archived(zone, "b")
        lazy = replace(batch, load=lambda: (read.append(1), batch.load())[1])
        return sweep_lake([lazy], lake, key=KEY, memory=memory, whole=False).hits["rule"].to_list()

    assert sweep("spine") == []
    assert sweep("odalys wexbury") == ["name"]
    assert len(read) == 1
    zone.write_table(("archive", "ehr"), "b", archive.ehr.clear())
    assert sweep("spine 2") == []
    assert len(read) == 2
