import csv
import re
from collections import Counter

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from spine_models.phantom import rsna, write_hospital


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort")
    write_hospital(out, patients=4, seed=13, workers=1, layout="rsna")
    return out


def test_the_tree_and_the_tables_are_those_of_the_challenge(cohort):
    inbox = cohort / "inbox"
    assert {p.name for p in inbox.iterdir()} == {
        "train_images", "train.csv", "train_label_coordinates.csv", "train_series_descriptions.csv",
    }  # fmt: skip
    for path in inbox.glob("train_images/**/*.dcm"):
        assert re.fullmatch(r"\d+/\d+/\d+\.dcm", path.relative_to(inbox / "train_images").as_posix())
    labels = rows(inbox / "train.csv")
    assert len(labels[0]) == 26
    assert set(labels[0]) > {"study_id", "spinal_canal_stenosis_l1_l2", "right_subarticular_stenosis_l5_s1"}
    values = Counter(value for row in labels for key, value in row.items() if key != "study_id")
    assert set(values) == {"Normal/Mild", "Moderate", "Severe", ""}
    assert values["Normal/Mild"] > 3 * (values["Moderate"] + values["Severe"])
    said = Counter(row["series_description"] for row in rows(inbox / "train_series_descriptions.csv"))
    assert set(said) == {"Sagittal T1", "Sagittal T2/STIR", "Axial T2"}


def test_every_uid_is_one(cohort):
    rng = np.random.default_rng(3)
    studies = [rsna._anonymous(number, rng).uid for number in range(300)]
    assert len(set(studies)) == 300
    assert [uid for uid in studies if not UID(uid).is_valid] == []
    for path in sorted(cohort.glob("inbox/train_images/*/*/1.dcm")):
        ds = pydicom.dcmread(path)
        named = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID, ds.FrameOfReferenceUID)
        assert all(uid.is_valid for uid in named)


def test_headers_name_nobody(cohort):
    for path in sorted(cohort.glob("inbox/train_images/*/*/1.dcm")):
        ds = pydicom.dcmread(path)
        study = path.parts[-3]
        assert ds.PatientID == study
        assert ds.InstanceNumber == 1
        assert not {"PatientName", "StudyDate", "InstitutionName", "AccessionNumber"} & set(ds.dir())


def test_points_lie_in_their_image_on_the_series_that_shows_the_condition(cohort):
    inbox = cohort / "inbox"
    described = {
        (r["study_id"], r["series_id"]): r["series_description"]
        for r in rows(inbox / "train_series_descriptions.csv")
    }
    shown = {"Canal": "Sagittal T2/STIR", "Foraminal": "Sagittal T1", "Subarticular": "Axial T2"}
    points = rows(inbox / "train_label_coordinates.csv")
    assert len(points) > 4 * 22
    for point in points:
        path = (
            inbox
            / "train_images"
            / point["study_id"]
            / point["series_id"]
            / f"{point['instance_number']}.dcm"
        )
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        assert 0 <= float(point["x"]) < ds.Columns
        assert 0 <= float(point["y"]) < ds.Rows
        word = next(w for w in shown if w in point["condition"])
        assert described[point["study_id"], point["series_id"]] == shown[word]


def test_left_and_right_points_lie_on_their_sides(cohort):
    """Left of the patient is on the right of an axial image, and at larger x in patient coordinates."""
    at = {}
    for point in rows(cohort / "inbox/train_label_coordinates.csv"):
        if "Subarticular" in point["condition"]:
            key = (point["study_id"], point["level"])
            at.setdefault(key, {})[point["condition"].split()[0]] = float(point["x"])
    both = [sides for sides in at.values() if len(sides) == 2]
    assert len(both) > 10
    assert all(sides["Left"] > sides["Right"] for sides in both)


def test_a_label_says_what_was_planted(cohort):
    labels = {row["study_id"]: row for row in rows(cohort / "inbox/train.csv")}
    names = {"canal": "spinal_canal_stenosis", "neuroforaminal": "{}_neural_foraminal_narrowing",
             "subarticular": "{}_subarticular_stenosis"}  # fmt: skip
    study_of = {
        r["value"]: r["patient_id"] for r in rows(cohort / "truth/identifiers.csv") if r["kind"] == "uid"
    }
    said = {"mild": "Normal/Mild", "moderate": "Moderate", "severe": "Severe"}
    checked = 0
    for row in rows(cohort / "truth/findings.csv"):
        if row["planted"] != "True":
            continue
        column = f"{names[row['condition']].format(row['side'])}_{row['level'].lower().replace('-', '_')}"
        assert labels[study_of[row["study_instance_uid"]]][column] in (said[row["severity"]], "")
        checked += 1
    assert checked > 12
