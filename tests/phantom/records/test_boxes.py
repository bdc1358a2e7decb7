"""The reader's boxes: whole patients, a small miss, never outside the image."""

from __future__ import annotations

import pytest

from spine_models.phantom.records.boxes import COLUMNS, MISS_PX, drawn_boxes, write_boxes

PATIENTS = {f"1.2.{n}": f"{n // 2:05d}" for n in range(40)}
"""Twenty patients with two studies each."""


def truth(study, x, y, w, h, index=0, contrast="T2"):
    uid = f"{study}.1.{index}"
    place = {"study_instance_uid": study, "series_instance_uid": f"{study}.1", "sop_instance_uid": uid}
    said = {"condition": "cyst", "level": "L4-L5", "side": "left", "severity": "mild", "plane": "sagittal"}
    edges = {"x": f"{x}", "y": f"{y}", "w": f"{w}", "h": f"{h}"}
    return place | said | edges | {"contrast": contrast, "frame": 1, "rows": 100, "columns": 80}


def drawn(boxes, share=1.0, seed=3):
    rows = drawn_boxes(boxes, PATIENTS, annotated=share, seed=seed)
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


ALL = [truth(study, 10.0, 20.0, 30.0, 40.0, index) for study in PATIENTS for index in range(5)]


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.01, 1), (0.4, 8), (0.6, 12), (1.0, 20)])
def test_whole_patients_are_annotated(share, expected):
    seen = {row["study_instance_uid"] for row in drawn(ALL, share)}
    assert len({PATIENTS[study] for study in seen}) == expected
    assert len(seen) == 2 * expected
    assert len(drawn(ALL, share)) == 10 * expected


def test_more_patients_are_added_to_those_of_a_smaller_share():
    few, many = ({row["study_instance_uid"] for row in drawn(ALL, share)} for share in (0.3, 0.7))
    assert few < many
    assert few != {row["study_instance_uid"] for row in drawn(ALL, 0.3, seed=4)}


def test_edges_miss_by_little_and_are_not_all_the_same():
    misses = []
    for row in drawn(ALL):
        x, y, w, h = (float(row[name]) for name in "xywh")
        misses += [x - 10, y - 20, x + w - 40, y + h - 60]
    assert max(map(abs, misses)) <= MISS_PX + 0.1
    assert max(misses) > 1
    assert min(misses) < -1
    assert len(set(misses)) > 20


def test_no_box_leaves_its_image_or_vanishes():
    edge = [truth(s, 79.0, 0.0, 1.0, 100.0) for s in PATIENTS] + [
        truth(s, 0.0, 99.0, 80.0, 1.0) for s in PATIENTS
    ]
    for row in drawn(edge):
        x, y, w, h = (float(row[name]) for name in "xywh")
        assert min(x, y) >= 0
        assert min(w, h) >= 0.9
        assert x + w <= 80 + 1e-9
        assert y + h <= 100 + 1e-9


def test_a_patient_is_drawn_alike_whoever_else_is_there():
    one = [box for box in ALL if box["study_instance_uid"] == "1.2.6"]
    assert drawn(one) == [row for row in drawn(ALL) if row["study_instance_uid"] == "1.2.6"]


def test_nobody_draws_on_a_localizer():
    other = [truth("1.2.6", 10.0, 20.0, 30.0, 40.0, 7, contrast="localizer")]
    assert drawn(ALL + other) == drawn(ALL)


def test_no_file_is_written_for_nobody(tmp_path):
    path = tmp_path / "annotations/boxes.csv"
    assert not write_boxes(path, ALL, PATIENTS, annotated=0, seed=1)
    assert not path.parent.exists()
    assert write_boxes(path, ALL, PATIENTS, annotated=0.1, seed=1)
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
