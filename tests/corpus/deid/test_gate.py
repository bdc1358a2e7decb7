from __future__ import annotations

import ast
import gzip
import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pydicom
import pytest
from pydicom import config

import spine_models.corpus.deid.gate as gate
import spine_models.corpus.deid.gate.identifiers as identifiers_module
import spine_models.corpus.deid.gate.lake as lake_module
import spine_models.corpus.deid.gate.memory as memory_module
from assets.warehouse import archived
from pipelines.runtime.storage import Zone
from spine_models.config import ArchiveSettings, DeidSettings
from spine_models.corpus.archive import ArchiveTables, index_batch, scan_inbox
from spine_models.corpus.deid import deidentify_batch, gate_batch, sweep_lake
from spine_models.corpus.deid.gate.memory import SweepMemory
from spine_models.corpus.deid.gate.needles import Haystack, Needle, of_date, of_name, of_phone
from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from tests.corpus.deid.objects import KEY, write_inbox

SETTINGS = DeidSettings(workers=1)


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> tuple[Path, ArchiveTables, dict[str, pl.DataFrame]]:
    folder = tmp_path_factory.mktemp("gate")
    settings = ArchiveSettings(workers=1)
    ledger = scan_inbox(write_inbox(folder / "inbox"), cohort="site", ledger=None, settings=settings)
    archive = index_batch(ledger, "site-0001", settings=settings)
    out = deidentify_batch(archive, key=KEY, out=folder / "dicom", settings=SETTINGS)
    restricted = {"quarantine", "crosswalk"}
    return folder, archive, {f.name: getattr(out, f.name) for f in fields(out) if f.name not in restricted}


def judge(released, tmp_path: Path, edit: Callable[[pydicom.FileDataset], None]) -> set[str]:
    folder, archive, frames = released
    copy = tmp_path / "dicom"
    shutil.copytree(folder / "dicom", copy)
    path = copy / frames["instances"]["dicom_path"][0]
    with config.disable_value_validation():
        ds = pydicom.dcmread(path)
        edit(ds)
        ds.save_as(path)
    return set(gate_batch(archive, folder=copy, tables=frames, key=KEY, settings=SETTINGS)["rule"])


def test_what_the_engine_released_passes(released):
    folder, archive, frames = released
    assert gate_batch(archive, folder=folder / "dicom", tables=frames, key=KEY, settings=SETTINGS).is_empty()


def edit_private(ds):
    ds.private_block(0x0009, "SITE", create=True).add_new(1, "LO", "x")


def edit_pixels(ds):
    ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") + 1).tobytes()


def edit_high_bits(ds):
    ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") | 0x8000).tobytes()


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (lambda ds: setattr(ds, "SeriesDescription", "T2 odalys wexbury"), "name"),
        (lambda ds: setattr(ds, "SeriesDescription", "T2 WEXBURY"), "name_part"),
        (lambda ds: setattr(ds, "ImageComments", "no 12345678"), "identifier"),
        (lambda ds: setattr(ds, "ImageComments", "ACC7654321"), "identifier"),
        (lambda ds: setattr(ds, "ImageComments", "(555) 867-5309"), "phone"),
        (lambda ds: setattr(ds, "ImageComments", "77 Tamarack Avenue"), "address"),
        (lambda ds: setattr(ds, "ImageComments", "born 12 March 1956"), "birth_date"),
        (
            lambda ds: setattr(ds, "ImageComments", "Wexbury".encode("utf-16-le").decode("latin-1")),
            "name_part",
        ),
        (lambda ds: setattr(ds, "FrameOfReferenceUID", "2.25.123456"), "uid_not_mapped"),
        (lambda ds: setattr(ds, "FrameOfReferenceUID", "1.2.3.1000000.1"), "uid"),
        (lambda ds: setattr(ds, "SeriesDate", "20240305"), "date_shift"),
        (lambda ds: setattr(ds, "StudyTime", "101113"), "time_changed"),
        (lambda ds: setattr(ds, "OperatorsName", "Somebody"), "person_name"),
        (lambda ds: setattr(ds, "InstitutionName", "Anything"), "annex_e_replace"),
        (lambda ds: ds.add_new(0x30040002, "CS", "GY"), "element_not_allowed"),
        (lambda ds: setattr(ds, "TextComments", "Anything"), "annex_e_remove"),
        (lambda ds: setattr(ds, "OtherPatientNames", ""), "annex_e_remove"),
        (lambda ds: setattr(ds, "StudyID", "5"), "annex_e_empty"),
        (lambda ds: delattr(ds, "PatientIdentityRemoved"), "not_declared"),
        (edit_private, "private_element"),
        (edit_pixels, "pixels_differ"),
        (edit_high_bits, "pixels_differ"),
    ],
)
def test_each_violation_of_a_file_is_found_by_its_rule(released, tmp_path, edit, rule):
    assert rule in judge(released, tmp_path, edit)


def test_bytes_outside_the_dataset_are_found(released, tmp_path):
    folder, archive, frames = released
    path = Path(frames["instances"]["dicom_path"][0])
    for number, change in enumerate((lambda d: d + b"tail", lambda d: b"x" + d[1:])):
        copy = tmp_path / str(number)
        shutil.copytree(folder / "dicom", copy)
        (copy / path).write_bytes(change((copy / path).read_bytes()))
        result = gate_batch(archive, folder=copy, tables=frames, key=KEY, settings=SETTINGS)
        assert result["rule"].to_list() == ["not_strict_part10"]
        assert result["subject"].to_list() == [path.stem]


def test_files_that_belong_to_nobody_or_are_missing_are_found(released, tmp_path):
    folder, archive, frames = released
    copy = tmp_path / "dicom"
    shutil.copytree(folder / "dicom", copy)
    path = copy / frames["instances"]["dicom_path"][0]
    (copy / "Wexbury.dcm").write_bytes(path.read_bytes())
    path.rename(path.with_stem("0" * 32))
    result = gate_batch(archive, folder=copy, tables=frames, key=KEY, settings=SETTINGS)
    assert set(result["rule"]) == {"file_name", "file_without_source", "file_missing"}
    assert not any("Wexbury" in subject for subject in result["subject"])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Ms. wexbury, odalys", "name"),
        ("Odalys", "name_part"),
        ("1 2345 678", None),
        ("MRN 0012345678", "identifier"),
        ("5558675309", "phone"),
        ("555 - 867 / 5309", "identifier"),
        ("odalys.w@mailbox.net", "identifier"),
        ("62701", "identifier"),
        ("03/12/1956", "birth_date"),
        ("1.2.3.1000000.1", "uid"),
        ("321-54-9876", "identifier"),
    ],
)
def test_each_identifier_in_a_table_is_found(released, text, rule):
    folder, archive, frames = released
    reports = frames["reports"].with_columns(report_text=pl.lit(f"Degenerative change. {text} was seen."))
    result = gate_batch(
        archive, folder=folder / "dicom", tables=frames | {"reports": reports}, key=KEY, settings=SETTINGS
    )
    assert (rule in set(result["rule"])) if rule else result.is_empty()
    assert set(result["subject"]) <= {"reports"}


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


def test_ordinary_text_raises_no_alarm():
    full, single = of_name("White^Disc^^Dr")
    hay = Haystack(
        [
            *full,
            *single,
            *of_phone("555-867-5309"),
            Needle("identifier", "10111"),
            *of_date(date(1956, 3, 12), "birth_date"),
        ]
    )
    assert not hay.hits(b"white matter and disc; 210111; 10111.5; 0.10111; 15558675309123; 2.25.19560312777")
    assert set(hay.hits(b"Mr. White; disc white; 10111; (555) 867-5309; 12.03.1956")) == {
        "name",
        "phone",
        "identifier",
        "birth_date",
    }


def test_the_gate_imports_neither_engine_nor_text_nor_policy():
    banned = {
        "engine",
        "text",
        "policy",
        "cues",
        "names",
        "known",
        "known_patterns",
        "vocabulary",
        "terms",
        "dates",
        "ehr",
        "pixels",
        "batch",
        "work",
    }
    for path in Path(gate.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "spine_models.corpus.deid."
            ):
                parts = node.module.split(".")[3:]
                assert parts[0] == "gate" or parts[0] not in banned, f"{path.name} imports {node.module}"
