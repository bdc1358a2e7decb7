import csv
import hashlib
import warnings
from collections import Counter

import numpy as np
import pydicom
import pytest

from spine_models.phantom import write_hospital


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    out = tmp_path_factory.mktemp("hospital")
    write_hospital(out, patients=8, seed=11, workers=1)
    return out


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def digest(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(hospital, tmp_path):
    write_hospital(tmp_path, patients=8, seed=11, workers=2)
    assert digest(tmp_path) == digest(hospital)


def test_another_seed_gives_another_hospital(hospital, tmp_path):
    write_hospital(tmp_path, patients=1, seed=12, workers=1)
    first = {h for name, h in digest(hospital).items() if name.endswith(".dcm")}
    assert not first & {
        h for name, h in digest(tmp_path).items() if name.endswith(".dcm") and "misc" not in name
    }


def test_an_existing_inbox_is_never_overwritten(hospital):
    with pytest.raises(FileExistsError, match="give another folder"):
        write_hospital(hospital, patients=1, seed=1)


def test_the_truth_names_every_file_of_the_dicom_folder(hospital):
    named = {row["relative_path"] for row in rows(hospital / "truth" / "files.csv")}
    there = {
        p.relative_to(hospital / "inbox").as_posix()
        for p in (hospital / "inbox/dicom").rglob("*")
        if p.is_file()
    }
    assert named == there


def released(hospital):
    return [
        hospital / "inbox" / row["relative_path"]
        for row in rows(hospital / "truth" / "files.csv")
        if row["expected"] == "released"
    ]


def test_mr_files_are_valid_and_their_geometry_is_orthonormal(hospital):
    paths = released(hospital)
    assert len(paths) > 100
    for path in paths[::7]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ds = pydicom.dcmread(path)
            assert ds.pixel_array.shape == (ds.Rows, ds.Columns)
        row, column = (
            np.array(ds.ImageOrientationPatient[:3], float),
            np.array(ds.ImageOrientationPatient[3:], float),
        )
        assert np.isclose(row @ row, 1, atol=1e-5)
        assert np.isclose(column @ column, 1, atol=1e-5)
        assert np.isclose(row @ column, 0, atol=1e-5)
        assert ds.pixel_array.max() < 2**ds.BitsStored


def test_three_vendors_write_in_their_own_style(hospital):
    seen = Counter()
    for path in released(hospital):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        seen[ds.Manufacturer] += 1
        creators = {e.value for e in ds if e.tag.is_private and e.tag.element == 0x10}
        assert creators, "no private group"
    assert len(seen) == 3


def test_planted_identifiers_really_stand_in_the_inbox(hospital):
    texts = [p.read_bytes() for p in (hospital / "inbox").rglob("*") if p.is_file()]
    blob = b"\n".join(texts)
    by_kind = {}
    for row in rows(hospital / "truth" / "identifiers.csv"):
        by_kind.setdefault(row["kind"], []).append(row["value"].encode() in blob)
    assert len(by_kind) >= 12
    for kind, found in by_kind.items():
        assert np.mean(found) > 0.9, kind


def test_a_report_says_what_the_truth_says(hospital):
    findings = rows(hospital / "truth" / "findings.csv")
    reports = {p.stem: p.read_text() for p in (hospital / "inbox/reports").glob("*.txt")}
    words = {
        "fracture": "fracture",
        "hemangioma": "hemangioma",
        "cyst": "perineural cyst",
        "synovial": "synovial",
    }
    checked = 0
    for row in findings:
        text = reports.get(row["accession_number"], "")
        if not text or row["condition"] not in words:
            continue
        body = text.split("FINDINGS", 1)[1].lower()
        said = words[row["condition"]] in body or (row["condition"] == "cyst" and "tarlov" in body)
        said |= row["condition"] == "fracture" and "deformity" in body
        assert said == (row["status"] != "not_mentioned"), row["condition"]
        checked += 1
    assert checked > 10
