import csv
import hashlib
import shutil
import warnings
from collections import Counter
from itertools import pairwise

import numpy as np
import pydicom
import pytest

from spine_models.phantom import write_hospital
from spine_models.phantom.truth import write_table
from tests.phantom.annotating import PLACE, annotate

PATIENTS, SEED = 8, 11
CODECS = ("utf-8", "latin-1", "utf-16-le", "iso2022_jp", "euc_kr", "iso8859-5", "iso8859-7")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    out = tmp_path_factory.mktemp("hospital")
    write_hospital(out, patients=PATIENTS, seed=SEED, workers=1)
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


def truth(hospital, name):
    return rows(hospital / "truth" / f"{name}.csv")


def images(hospital):
    """Released files of the hospital's own studies."""
    return [
        hospital / "inbox" / row["relative_path"]
        for row in truth(hospital, "files")
        if row["expected"] == "released" and row["series_instance_uid"]
    ]


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(hospital, tmp_path):
    write_hospital(tmp_path, patients=PATIENTS, seed=SEED, workers=2)
    assert digest(tmp_path) == digest(hospital)


def test_another_seed_gives_another_hospital(hospital, tmp_path):
    write_hospital(tmp_path, patients=1, seed=12, workers=1)
    first = {hashlib.sha256(path.read_bytes()).hexdigest() for path in images(hospital)}
    assert not first & {hashlib.sha256(path.read_bytes()).hexdigest() for path in images(tmp_path)}


def test_a_reader_has_boxed_some_patients_on_sound_series(hospital):
    drawn, exact = rows(hospital / "inbox/annotations/boxes.csv"), truth(hospital, "boxes")
    damaged = {row["series_instance_uid"] for row in truth(hospital, "series") if row["damage"]}
    patients = {r["value"]: r["patient_id"] for r in truth(hospital, "identifiers") if r["kind"] == "uid"}
    seen = {patients[box["study_instance_uid"]] for box in drawn}
    assert 0 < len(seen) <= round(0.4 * PATIENTS)
    expected = [
        box
        for box in exact
        if patients[box["study_instance_uid"]] in seen
        and box["series_instance_uid"] not in damaged
        and box["contrast"] != "localizer"
    ]
    same = ("sop_instance_uid", "frame", "condition", "level", "side", "severity")
    assert [[box[name] for name in same] for box in drawn] == [
        [box[name] for name in same] for box in expected
    ]
    assert [box["x"] for box in drawn] != [box["x"] for box in expected]
    assert all(abs(float(d["x"]) - float(e["x"])) < 2 for d, e in zip(drawn, expected, strict=True))


def test_a_reader_who_comes_later_draws_what_one_of_the_same_seed_drew(hospital, tmp_path):
    copy = shutil.copytree(hospital, tmp_path / "copy")
    (copy / "inbox" / PLACE).unlink()
    assert annotate(copy, share=0.4, seed=SEED)
    assert digest(copy) == digest(hospital)
    boxes = [
        {name: value for name, value in row.items() if name not in ("rows", "columns")}
        for row in truth(copy, "boxes")
    ]
    (copy / "inbox" / PLACE).unlink()
    write_table(copy / "truth/boxes.csv", list(boxes[0]), [list(box.values()) for box in boxes])
    assert annotate(copy, share=0.4, seed=SEED)
    assert (copy / "inbox" / PLACE).read_bytes() == (hospital / "inbox" / PLACE).read_bytes()
    with pytest.raises(FileExistsError, match="already"):
        annotate(copy, share=0.4, seed=SEED)


def test_an_existing_inbox_is_never_overwritten(hospital):
    with pytest.raises(FileExistsError, match="give another folder"):
        write_hospital(hospital, patients=1, seed=1)


@pytest.mark.parametrize("wrong", [{"layout": "kaggle"}, {"damage_rate": 1.5}, {"annotated": -0.1}])
def test_what_cannot_be_written_is_said_before_anything_is(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"choose hospital or rsna|share between 0 and 1"):
        write_hospital(tmp_path / "out", patients=1, seed=1, **wrong)
    assert not (tmp_path / "out").exists()


def test_the_truth_names_every_file_of_the_inbox(hospital):
    inbox = hospital / "inbox"
    there = {p.relative_to(inbox).as_posix() for p in inbox.rglob("*") if not p.is_dir()}
    named = [row["relative_path"] for row in truth(hospital, "files")]
    assert set(named) == there
    assert len(named) == len(there)


def test_mr_files_are_valid_and_their_geometry_is_orthonormal(hospital):
    paths = images(hospital)
    assert len(paths) > 200
    checked = 0
    for path in paths[::9]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ds = pydicom.dcmread(path)
            assert ds.pixel_array.shape[-2:] == (ds.Rows, ds.Columns)
        assert ds.pixel_array.max() < 2**ds.BitsStored
        if "ImageOrientationPatient" not in ds:
            continue
        checked += 1
        row, column = (np.array(ds.ImageOrientationPatient[i : i + 3], float) for i in (0, 3))
        assert np.isclose(row @ row, 1, atol=1e-5)
        assert np.isclose(column @ column, 1, atol=1e-5)
        assert np.isclose(row @ column, 0, atol=1e-5)
    assert checked > 15


def test_every_series_of_the_truth_is_there_with_all_its_files(hospital):
    files = Counter(
        row["series_instance_uid"] for row in truth(hospital, "files") if row["series_instance_uid"]
    )
    series = {row["series_instance_uid"]: row for row in truth(hospital, "series")}
    assert set(files) == set(series)
    assert all(files[uid] == int(row["instances"]) for uid, row in series.items())
    for row in series.values():
        assert row["vendor"] in ("Siemens", "GE", "Philips", "Canon", "UIH")
        assert row["layout"] in ("classic", "enhanced", "mosaic")
        assert pydicom.uid.UID(row["syntax"]).is_transfer_syntax
        assert 0 <= float(row["motion"]) <= 1


def test_sites_put_files_into_folders_of_their_own_habit(hospital):
    depths = {len(path.relative_to(hospital / "inbox/dicom").parts) for path in images(hospital)}
    suffixes = {path.suffix for path in images(hospital)}
    assert len(depths) >= 2
    assert len(suffixes) >= 2


def test_planted_identifiers_really_stand_in_the_inbox(hospital):
    blob = b"\n".join(p.read_bytes() for p in (hospital / "inbox").rglob("*") if p.is_file())
    by_kind = {}
    for row in truth(hospital, "identifiers"):
        forms = {row["value"].encode(codec, "ignore") for codec in CODECS}
        by_kind.setdefault(row["kind"], []).append(any(form in blob for form in forms if form))
    assert len(by_kind) >= 22
    for kind, found in by_kind.items():
        assert np.mean(found) > 0.9, kind


def test_patients_return_with_the_same_anatomy_and_other_findings(tmp_path):
    from spine_models.phantom.body.patient import make_spine
    from spine_models.phantom.records.identity import draw_patient
    from spine_models.phantom.timeline import draw_visits

    counts, changed, grown, shrunk = Counter(), 0, 0, 0
    for number in range(150):
        rng = np.random.default_rng([2, number])
        person = draw_patient(number, rng)
        visits = draw_visits(person, number, rng)
        counts[len(visits)] += 1
        assert len({v.study.accession for v in visits}) == len({v.study.uid for v in visits}) == len(visits)
        assert [v.study.day for v in visits] == sorted(v.study.day for v in visits)
        assert {v.study.site for v in visits} == {person.site}
        for before, after in pairwise(visits):
            old = {(f.condition, f.level): f.grade for f in before.findings}
            new = {(f.condition, f.level): f.grade for f in after.findings}
            changed += old != new
            grown += any(new.get(k, 0) > g for k, g in old.items())
            shrunk += any(new.get(k, 0) < g for k, g in old.items())
            if number < 20:
                spines = [
                    make_spine(v.study.region, v.findings, np.random.default_rng([2, number]))
                    for v in (before, after)
                ]
                assert np.allclose(spines[0].heights, spines[1].heights)
                assert spines[0].texture_seed == spines[1].texture_seed
    assert set(counts) == {1, 2, 3}
    assert counts[1] > counts[2] > counts[3]
    assert changed
    assert grown
    assert shrunk
