"""A phantom inbox through archive, deid and the gate: every file ends as the truth says, and nobody is named."""

import csv
import re
import warnings
from dataclasses import fields

import polars as pl
import pytest

from spine_models.config import ArchiveSettings, DeidSettings, SequenceSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.deid import Pseudonymizer, deidentify_batch, gate_batch
from spine_models.corpus.sequences import classify_batch
from spine_models.phantom import write_hospital

KEY = b"a key of thirty-two bytes, or so"
ARCHIVE, DEID = ArchiveSettings(batch_studies=6, workers=1), DeidSettings(workers=1)


def through_the_door(source, out):
    """(outcome and reason by path, leaving frames, violations) of all batches of an inbox."""
    names = Pseudonymizer(KEY)
    ledger = scan_inbox(source / "inbox", cohort="internal", ledger=None, settings=ARCHIVE)
    outcomes, frames, violations = {}, [], []
    for batch in ledger["batch_key"].unique().sort():
        archive = index_batch(ledger, batch, settings=ARCHIVE)
        with warnings.catch_warnings():
            # A gate that reads strange originals is no test of their makers.
            warnings.simplefilter("ignore")
            done = deidentify_batch(archive, key=KEY, out=out / batch, settings=DEID)
            leaving = {
                f.name: getattr(done, f.name)
                for f in fields(done)
                if f.name not in ("quarantine", "crosswalk")
            }
            violations.append(gate_batch(archive, folder=out / batch, tables=leaving, key=KEY, settings=DEID))
        said = {row["file_key"]: (row["outcome"], row["reason"]) for row in done.files.to_dicts()}
        for row in archive.files.to_dicts():
            place = f"{row['inbox']}\x00{row['relative_path']}\x00{row['sha256'] or ''}"
            outcomes[row["relative_path"]] = said[names.digest("file", place)]
        frames.append(leaving)
    return outcomes, frames, pl.concat(violations)


def expected(source):
    with (source / "truth/files.csv").open(encoding="utf-8") as file:
        return {row["relative_path"]: row["expected"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    source = tmp_path_factory.mktemp("hospital")
    write_hospital(source, patients=6, seed=29, workers=1)
    out = tmp_path_factory.mktemp("out")
    return source, out, *through_the_door(source, out)


def test_every_file_ends_as_the_truth_says(hospital):
    source, _, outcomes, _, _ = hospital
    wanted = expected(source)
    assert set(outcomes) == set(wanted)
    wrong = {
        path.rsplit("/", 1)[-1] if "misc" in path else "a file of a study": (wanted[path], outcome)
        for path, outcome in outcomes.items()
        if outcome[0] != wanted[path]
    }
    assert wrong == {}
    assert {"released", "rejected", "quarantined", "duplicate"} == set(wanted.values())


def test_the_gate_finds_nothing(hospital):
    *_, violations = hospital
    assert violations.rows() == []


def test_no_planted_identifier_leaves(hospital):
    source, out, _, frames, _ = hospital
    # Pixels are numbers, and thousands of them: what stands in front of them is text.
    blob = b"\n".join(
        path.read_bytes().split(b"\xe0\x7f\x10\x00", 1)[0] for path in sorted(out.rglob("*.dcm"))
    )
    blob += "\n".join(f.write_ndjson() for leaving in frames for f in leaving.values()).encode()
    with (source / "truth/identifiers.csv").open(encoding="utf-8") as file:
        planted = [
            row for row in csv.DictReader(file) if row["kind"] != "study_date" and len(row["value"]) > 4
        ]
    assert len(planted) > 150
    found = []
    for row in planted:
        text = re.escape(row["value"].encode())
        if row["value"].isdigit() and len(row["value"]) < 12:
            text = rb"(?<![0-9a-f.])" + text + rb"(?![0-9a-f])"
        if re.search(text, blob):
            found.append(row["kind"])
    assert found == []


def test_the_reader_s_boxes_leave_on_their_images(hospital):
    source, _, outcomes, frames, _ = hospital
    names = Pseudonymizer(KEY)
    with (source / "inbox/annotations/boxes.csv").open(encoding="utf-8") as file:
        drawn = list(csv.DictReader(file))
    with (source / "truth/boxes.csv").open(encoding="utf-8") as file:
        sizes = {row["sop_instance_uid"]: (row["rows"], row["columns"]) for row in csv.DictReader(file)}
    assert len(drawn) > 50
    assert outcomes["annotations/boxes.csv"] == ("released", None)
    said = [
        (
            *(names.key_of_uid(row[f"{uid}_instance_uid"]) for uid in ("study", "series", "sop")),
            int(row["frame"]) - 1,
            *(row[name] or None for name in ("condition", "level", "side", "severity")),
            *(float(row[name]) for name in "xywh"),
        )
        for row in drawn
    ]
    boxes = pl.concat([leaving["annotations"].filter(kind="box") for leaving in frames])
    columns = [
        "study_key", "series_key", "instance_key", "frame", "condition", "level", "side", "severity", *"xywh",
    ]  # fmt: skip
    assert sorted(map(repr, boxes.select(columns).rows())) == sorted(map(repr, said))
    instances = pl.concat([leaving["instances"] for leaving in frames])
    placed = boxes.join(instances, on=["patient_key", "study_key", "series_key", "instance_key"], how="left")
    true_sizes = {names.key_of_uid(uid): size for uid, size in sizes.items()}
    for row in placed.to_dicts():
        assert (str(row["rows"]), str(row["columns"])) == true_sizes[row["instance_key"]]
        assert row["x"] + row["w"] <= row["columns"] + 1e-9
        assert row["y"] + row["h"] <= row["rows"] + 1e-9
        assert 0 <= row["frame"] < (row["frames"] or 1)


def test_the_rsna_cohort_leaves_with_all_its_annotations(tmp_path):
    write_hospital(tmp_path / "source", patients=3, seed=4, workers=1, layout="rsna")
    outcomes, frames, violations = through_the_door(tmp_path / "source", tmp_path / "out")
    wanted = expected(tmp_path / "source")
    assert {path: outcome for path, (outcome, _) in outcomes.items()} == wanted
    assert violations.is_empty()
    annotations = pl.concat([leaving["annotations"] for leaving in frames])
    assert annotations.filter(kind="label").height == 3 * 25
    points = len((tmp_path / "source/inbox/train_label_coordinates.csv").read_text().splitlines()) - 1
    assert annotations.filter(kind="point").height == points
    # No header of such a cohort names a region: without the graded levels all of it would stay outside the shards.
    instances = pl.concat([leaving["instances"] for leaving in frames])
    for known, region in ((None, "unknown"), (annotations, "lumbar")):
        found = classify_batch(instances, settings=SequenceSettings(), annotations=known).series
        assert set(found["region"]) == {region}
