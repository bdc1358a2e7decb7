import csv

import numpy as np
import pytest

from spine_models.phantom import write_hospital
from spine_models.phantom.scanner.planning import Slice
from spine_models.phantom.truth import box_in_slice

SAGITTAL = Slice((0, 1, 0, 0, 0, -1), np.array([5.0, -80.0, 80.0]), 1.0, 160)


def test_a_box_lands_on_the_pixels_that_it_covers():
    # y from -70 to -60: columns 10 to 20 by their centres; z from 70 down to 50: rows 10 to 30.
    box = (np.array([0.0, -70.0, 50.0]), np.array([10.0, -60.0, 70.0]))
    assert box_in_slice(box, SAGITTAL, 4.0, (160, 160)) == (10.5, 10.5, 10.0, 20.0)


def test_a_box_beside_the_slice_is_not_in_it():
    box = (np.array([8.0, -70.0, 50.0]), np.array([12.0, -60.0, 70.0]))
    assert box_in_slice(box, SAGITTAL, 4.0, (160, 160)) is None
    assert box_in_slice(box, SAGITTAL, 6.5, (160, 160)) is not None


def test_a_box_is_cut_at_the_edge_and_dropped_outside():
    over = (np.array([0.0, -90.0, 50.0]), np.array([10.0, -70.0, 70.0]))
    assert box_in_slice(over, SAGITTAL, 4.0, (160, 160)) == (0.0, 10.5, 10.5, 20.0)
    outside = (np.array([0.0, 100.0, 50.0]), np.array([10.0, 120.0, 70.0]))
    assert box_in_slice(outside, SAGITTAL, 4.0, (160, 160)) is None


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    out = tmp_path_factory.mktemp("hospital")
    write_hospital(out, patients=2, seed=5, workers=1)
    found = {}
    for path in (out / "truth").glob("*.csv"):
        with path.open(encoding="utf-8") as file:
            found[path.stem] = list(csv.DictReader(file))
    return found


def test_every_planted_finding_is_boxed_on_some_slice(tables):
    boxed = {(b["study_instance_uid"], b["condition"], b["level"]) for b in tables["boxes"]}
    planted = {
        (f["study_instance_uid"], f["condition"], f["level"])
        for f in tables["findings"]
        if f["planted"] == "True"
    }
    assert planted
    assert planted == boxed


def test_boxes_lie_inside_images_that_exist(tables):
    series = {row["series_instance_uid"]: row for row in tables["series"]}
    assert len(tables["boxes"]) > 20
    for box in tables["boxes"]:
        x, y, w, h = (float(box[name]) for name in "xywh")
        assert x >= 0
        assert y >= 0
        assert w >= 1
        assert h >= 1
        assert x + w <= float(box["columns"]) + 0.1
        assert y + h <= float(box["rows"]) + 0.1
        assert series[box["series_instance_uid"]]["contrast"] == box["contrast"]
        assert box["sop_instance_uid"].startswith(box["study_instance_uid"])


def test_a_study_without_a_report_mentions_nothing(tables):
    by_study = {}
    for row in tables["findings"]:
        by_study.setdefault(row["accession_number"], []).append(row)
    for found in by_study.values():
        assert {row["condition"] for row in found} >= {"canal", "pars", "extramedullary"}
        assert all(row["contradicted"] == "False" for row in found if row["status"] == "not_mentioned")
