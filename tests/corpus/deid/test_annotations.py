from dataclasses import replace

import polars as pl

from spine_models.config import DeidSettings
from spine_models.corpus.archive.tables import ANNOTATIONS as RESTRICTED
from spine_models.corpus.deid import deidentify_batch, gate_batch
from spine_models.corpus.deid.tables import ANNOTATIONS
from tests.corpus.deid.objects import KEY, NAMES, write_inbox
from tests.corpus.deid.test_batch import SETTINGS, archive_of

PLACE = {"inbox": "/in", "relative_path": "annotations/train.csv"}


def released(folder, *rows):
    write_inbox(folder / "inbox")
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
