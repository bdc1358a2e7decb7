from dataclasses import replace

import polars as pl
import pytest

from spine_models.config import DeidSettings
from spine_models.corpus.archive.tables import ANNOTATIONS as RESTRICTED
from spine_models.corpus.deid import deidentify_batch, gate_batch
from spine_models.corpus.deid.tables import ANNOTATIONS
from tests.corpus.deid.objects import KEY, NAMES, mr, part10, write_inbox
from tests.corpus.deid.test_batch import SETTINGS, archive_of

PLACE = {"inbox": "/in", "relative_path": "annotations/train.csv"}
BOX = {
    "kind": "box",
    "condition": "hemangioma",
    "level": "T12",
    "frame": 0,
    "x": 1.0,
    "y": 2.0,
    "w": 3.0,
    "h": 4.5,
}


def released(folder, *rows, edit=None):
    write_inbox(folder / "inbox", edit=edit)
    archive = archive_of(folder / "inbox")
    batch = archive.files["batch_key"][0]
    made = [{"batch_key": batch, **PLACE, **row} for row in rows]
    frame = pl.DataFrame([{n: r.get(n) for n in RESTRICTED} for r in made], schema=RESTRICTED)
    file = {
        **archive.files.row(0, named=True),
        **PLACE,
        "kind": "annotation",
        "status": "indexed",
        "reason": None,
    }
    files = pl.concat([archive.files, pl.DataFrame([file], schema=archive.files.schema)])
    archive = replace(archive, files=files, annotations=frame)
    return archive, deidentify_batch(archive, key=KEY, out=folder / "out", settings=DeidSettings(workers=1))


def outcome(done):
    (row,) = done.files.filter(kind="annotation").to_dicts()
    return row["outcome"], row["reason"]


def image(folder):
    write_inbox(folder / "probe")
    return archive_of(folder / "probe").instances.row(0, named=True)


def test_a_point_leaves_under_the_keys_of_its_image(tmp_path):
    known = image(tmp_path)
    uids = {name: known[name] for name in ("study_uid", "series_uid", "sop_uid")}
    point = {
        "kind": "point",
        "study_id": "4711",
        "series_id": "815",
        **uids,
        "condition": "canal",
        "x": 3.5,
        "y": 4.0,
    }
    label = {"kind": "label", "study_id": "4711", "study_uid": known["study_uid"], "condition": "canal",
             "level": "L4-L5", "severity": "severe", "grade": 2}  # fmt: skip
    archive, done = released(tmp_path, point, label)
    assert done.annotations.schema == ANNOTATIONS
    rows = {row["kind"]: row for row in done.annotations.to_dicts()}
    assert rows["point"]["instance_key"] == NAMES.key_of_uid(known["sop_uid"])
    assert rows["point"]["instance_key"] in set(done.instances["instance_key"])
    assert (rows["label"]["grade"], rows["label"]["series_key"]) == (2, None)
    assert "4711" not in done.annotations.write_ndjson()
    assert outcome(done) == ("released", None)
    leaving = {"instances": done.instances, "annotations": done.annotations}
    assert gate_batch(archive, folder=tmp_path / "out", tables=leaving, key=KEY, settings=SETTINGS).is_empty()


def test_what_has_no_released_image_waits(tmp_path):
    known = image(tmp_path)
    point = {
        "kind": "point",
        "study_uid": known["study_uid"],
        "series_uid": known["series_uid"],
        "sop_uid": None,
    }
    _, done = released(tmp_path, {"kind": "label", "study_uid": None}, point)
    assert done.annotations.is_empty()
    assert outcome(done) == ("quarantined", "unresolved_patient")
    assert done.quarantine.filter(kind="annotation").height == 1


def test_an_image_that_stays_behind_keeps_its_points(tmp_path):
    known = image(tmp_path)
    uids = {name: known[name] for name in ("study_uid", "series_uid")}
    point = {"kind": "point", **uids, "sop_uid": "1.2.3.4.5.6.7.8.9"}
    _, done = released(tmp_path, point)
    assert outcome(done) == ("quarantined", "study_not_released")


def uids_of(folder):
    known = image(folder)
    return {name: known[name] for name in ("study_uid", "series_uid", "sop_uid")}


def test_a_box_leaves_with_its_frame_and_place_under_the_keys_of_its_image(tmp_path):
    uids = uids_of(tmp_path)
    first = BOX | uids | {"side": "left", "severity": "mild", "frame": 2, "x": 1.25, "row": 7}
    second = BOX | uids | {"level": None, "x": 1.0 + 0.0000471108}
    archive, done = released(tmp_path, first, second)
    assert done.annotations.schema == ANNOTATIONS
    assert done.annotations.columns[-6:] == ["frame", "x", "y", "w", "h", "description"]
    shown = done.annotations.select(
        "kind", "condition", "level", "side", "severity", "grade", "frame", "x", "y", "w", "h"
    )
    assert shown.rows() == [
        ("box", "hemangioma", None, None, None, None, 0, 1.0, 2.0, 3.0, 4.5),
        ("box", "hemangioma", "T12", "left", "mild", None, 2, 1.25, 2.0, 3.0, 4.5),
    ]
    (keys,) = done.annotations.select("study_key", "series_key", "instance_key").unique().rows()
    assert keys == tuple(NAMES.key_of_uid(uid) for uid in uids.values())
    assert keys in set(done.instances.select("study_key", "series_key", "instance_key").rows())
    assert outcome(done) == ("released", None)
    leaving = {"instances": done.instances, "annotations": done.annotations}
    assert gate_batch(archive, folder=tmp_path / "out", tables=leaving, key=KEY, settings=SETTINGS).is_empty()


def test_a_box_without_its_image_waits(tmp_path):
    uids = uids_of(tmp_path)
    _, done = released(tmp_path, BOX | uids, BOX | uids | {"sop_uid": None})
    assert done.annotations.height == 1
    assert outcome(done) == ("released", None)
    assert done.quarantine.filter(kind="annotation")["reason"].to_list() == ["unresolved_patient"]


def _another_patient(folder):
    ds = mr(
        StudyInstanceUID="1.2.3.55",
        SeriesInstanceUID="1.2.3.55.3",
        SOPInstanceUID="1.2.3.55.3.1",
        PatientID="990099",
    )
    (folder / "dicom" / "other.dcm").write_bytes(part10(ds))


@pytest.mark.parametrize("kind", ["box", "point", "series"])
def test_a_row_that_joins_two_patients_waits(tmp_path, kind):
    other = {"series_uid": "1.2.3.55.3", "sop_uid": "1.2.3.55.3.1"}
    row = BOX | uids_of(tmp_path) | {"kind": kind}
    _, done = released(tmp_path, row, row | other, edit=_another_patient)
    assert NAMES.key_of_uid("1.2.3.55.3.1") in set(done.instances["instance_key"])
    assert done.annotations["series_key"].to_list() == [NAMES.key_of_uid(row["series_uid"])]
    assert done.quarantine.filter(kind="annotation")["reason"].to_list() == ["study_not_released"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"condition": "Mrs Vandermeulen"},
        {"level": "4711"},
        {"side": "1961-02-03"},
        {"severity": "see Dr. Smith"},
        {"description": "T1 of J. Doe"},
        {"x": float("nan")},
        {"h": float("inf")},
    ],
)
def test_what_is_neither_a_known_word_nor_a_number_does_not_leave(tmp_path, wrong):
    _, done = released(tmp_path, BOX | uids_of(tmp_path) | wrong)
    assert done.annotations.is_empty()
    assert outcome(done) == ("quarantined", "no_policy")


def test_a_table_whose_rows_are_all_of_other_batches_does_not_wait(tmp_path):
    _, done = released(tmp_path)
    assert outcome(done) == ("released", None)
    assert done.quarantine.filter(kind="annotation").is_empty()
