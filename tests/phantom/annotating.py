"""A reader who comes after the phantom was written: boxes from its truth, into its inbox."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pydicom

from spine_models.phantom.records.boxes import write_boxes

PLACE = "annotations/boxes.csv"
Row = dict[str, str]


def annotate(phantom: Path, *, share: float, seed: int) -> bool:
    """Write ``inbox/annotations/boxes.csv`` as `write_hospital` would have; the truth is only read.

    Boxes of a truth that does not say how large its images are get that from the first header of their series.

    Raises:
        FileExistsError: somebody has annotated already.
    """
    if (phantom / "inbox" / PLACE).exists():
        raise FileExistsError("the inbox has boxes already")
    boxes, files = _truth(phantom, "boxes"), defaultdict(list)
    for row in _truth(phantom, "files"):
        if row["series_instance_uid"]:
            files[row["series_instance_uid"]].append(row)
    damaged = {row["series_instance_uid"] for row in _truth(phantom, "series") if row["damage"]}
    kept = {
        uid
        for uid, rows in files.items()
        if uid not in damaged and all(row["expected"] == "released" for row in rows)
    }
    patients = {
        row["value"]: row["patient_id"] for row in _truth(phantom, "identifiers") if row["kind"] == "uid"
    }
    studies = {row["study_instance_uid"] for row in _truth(phantom, "series")}
    shown = [box for box in boxes if box["series_instance_uid"] in kept]
    sizes: dict[str, Row] = {}
    for box in shown:
        if "rows" not in box:
            series = box["series_instance_uid"]
            if series not in sizes:
                sizes[series] = _size(phantom / "inbox" / files[series][0]["relative_path"])
            box |= sizes[series]
        assert float(box["x"]) + float(box["w"]) <= float(box["columns"]) + 0.1
        assert float(box["y"]) + float(box["h"]) <= float(box["rows"]) + 0.1
    # Written beside the inbox first: whoever looks into the inbox meanwhile sees a whole table or none.
    beside = phantom / ".annotating.csv"
    if not write_boxes(beside, shown, {uid: patients[uid] for uid in studies}, annotated=share, seed=seed):
        return False
    (phantom / "inbox" / PLACE).parent.mkdir(exist_ok=True)
    beside.rename(phantom / "inbox" / PLACE)
    return True


def _truth(phantom: Path, name: str) -> list[Row]:
    with (phantom / "truth" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _size(path: Path) -> Row:
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
    return {"rows": str(header.Rows), "columns": str(header.Columns)}
