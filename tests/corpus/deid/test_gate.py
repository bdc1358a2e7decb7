"""The gate: what the engine released passes, each violation is found by its rule."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pydicom
import pytest
from pydicom import config

import spine_models.corpus.deid.gate as gate
from spine_models.corpus.deid import gate_batch
from spine_models.corpus.deid.gate.needles import Haystack, Needle, of_date, of_name, of_phone
from tests.corpus.deid.conftest import SETTINGS
from tests.corpus.deid.objects import KEY


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
