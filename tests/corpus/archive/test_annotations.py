"""The RSNA layout: three csv files and a tree of study_id/series_id/instance.dcm."""

import polars as pl
import pytest

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.archive.annotations import CONDITIONS, LEVELS
from spine_models.corpus.archive.tables import ANNOTATIONS

SETTINGS = ArchiveSettings(batch_studies=2, workers=1)
COLUMNS = [f"{c}_{lv.lower().replace('-', '_')}" for c in CONDITIONS for lv in LEVELS]
POINTS = "study_id,series_id,instance_number,condition,level,x,y\n"
SERIES = "study_id,series_id,series_description\n"


def train(*rows):
    return "\n".join([",".join(["study_id", *COLUMNS]), *rows]) + "\n"


def graded(study, first="Normal/Mild", rest="Moderate"):
    return ",".join([str(study), first, *[rest] * (len(COLUMNS) - 1)])


@pytest.fixture
def tree(put):
    """Studies 101, 102, 103, each a series 7 of two images, beside the csv files or below a folder."""

    def write(root=""):
        for study in (101, 102, 103):
            for index in (1, 2):
                put(f"{root}train_images/{study}/7/{index}.dcm", study=str(study), index=index)

    return write


def indexed(inbox):
    ledger = scan_inbox(inbox, cohort="rsna", ledger=None, settings=SETTINGS)
    return [index_batch(ledger, batch, settings=SETTINGS) for batch in ledger["batch_key"].unique().sort()]


def reasons(inbox):
    files = pl.concat([batch.files for batch in indexed(inbox)]).filter(kind="annotation")
    return dict(files.select("relative_path", "reason").iter_rows())


@pytest.mark.parametrize(("root", "place"), [("", ""), ("dicom/", "annotations/")])
def test_rows_find_their_study_series_and_image_in_every_batch(put, inbox, tree, root, place):
    tree(root)
    put(f"{place}train.csv", train(graded(101), graded(102, first=""), graded(103, first="Severe")))
    put(f"{place}train_label_coordinates.csv", POINTS + "103,7,2,Left Subarticular Stenosis,L4/L5,12.5,30\n")
    put(f"{place}train_series_descriptions.csv", SERIES + "101,7,Sagittal T2/STIR\n")
    batches = indexed(inbox)
    assert len(batches) == 2
    assert all(batch.annotations.schema == ANNOTATIONS for batch in batches)
    assert [len(b.annotations.filter(kind="label")) for b in batches] == [50, 25]
    everything = pl.concat([b.annotations for b in batches])
    assert everything["study_uid"].null_count() == 0
    point = everything.filter(kind="point").row(0, named=True)
    assert point["sop_uid"] == "1.2.826.0.1.103.1.2"
    assert (point["series_uid"], point["batch_key"]) == ("1.2.826.0.1.103.1", "rsna-0002")
    assert (point["condition"], point["side"], point["level"]) == ("subarticular", "left", "L4-L5")
    assert (point["x"], point["y"], point["instance_number"]) == (12.5, 30.0, 2)
    first = everything.filter(pl.col("kind") == "label", condition="canal", level="L1-L2").sort("study_id")
    assert first["severity"].to_list() == ["normal_mild", None, "severe"]
    assert first["grade"].to_list() == [0, None, 2]
    described = everything.filter(kind="series").row(0, named=True)
    assert (described["description"], described["series_uid"]) == ("sagittal_t2_stir", "1.2.826.0.1.101.1")
    assert set(reasons(inbox).values()) == {None}


def test_a_row_of_no_study_stays_with_its_file(put, inbox, tree):
    tree()
    put("train.csv", train(graded(999)))
    rows = pl.concat([b.annotations for b in indexed(inbox)])
    assert rows.height == 25
    assert rows["study_uid"].null_count() == 25


def test_a_point_of_a_missing_image_keeps_its_study_only(put, inbox, tree):
    tree()
    put("train_label_coordinates.csv", POINTS + "101,7,9,Spinal Canal Stenosis,L1/L2,1,2\n")
    (row,) = pl.concat([b.annotations for b in indexed(inbox)]).to_dicts()
    assert (row["study_uid"], row["series_uid"], row["sop_uid"]) == (
        "1.2.826.0.1.101", "1.2.826.0.1.101.1", None,
    )  # fmt: skip


def test_a_folder_name_of_two_studies_means_neither(put, inbox, tree):
    tree()
    put("more/101/7/3.dcm", study="55", index=3)
    put("train.csv", train(graded(101)))
    rows = pl.concat([b.annotations for b in indexed(inbox)])
    assert rows["study_uid"].null_count() == rows.height


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("train.csv", "study_id,what_l1_l2\n1,Severe\n", "annotation_columns"),
        ("train.csv", "a\n1\n", "annotation_columns"),
        ("train.csv", "study_id\n1\n", "annotation_columns"),
        ("train.csv", train(graded(1, first="Terrible")), "annotation_values"),
        ("train.csv", train(graded("J. Doe")), "annotation_values"),
        ("train.csv", "study_id,spinal_canal_stenosis_l1_l3\n1,Severe\n", "annotation_values"),
        ("train.csv", train("1,Severe"), "annotation_unreadable"),
        ("train.csv", "\0\1\2", "annotation_unreadable"),
        ("train.csv", "", "empty_file"),
        ("train_label_coordinates.csv", "study_id,x,y\n1,2,3\n", "annotation_columns"),
        ("train_label_coordinates.csv", POINTS + "1,7,1,Spinal Canal Stenosis,L9/L8,1,2\n", "annotation_values"),
        ("train_label_coordinates.csv", POINTS + "1,7,1,Scoliosis,L1/L2,1,2\n", "annotation_values"),
        ("train_label_coordinates.csv", POINTS + "1,7,1,Spinal Canal Stenosis,L1/L2,nan,2\n", "annotation_values"),
        ("train_label_coordinates.csv", POINTS + "1,7,,Spinal Canal Stenosis,L1/L2,1,2\n", "annotation_values"),
        ("train_series_descriptions.csv", SERIES + "1,7,Coronal T1 of J. Doe\n", "annotation_values"),
        ("notes.csv", "a,b\n1,2\n", "annotation_unknown_table"),
    ],
)  # fmt: skip
def test_a_malformed_table_is_refused_whole_with_its_reason(put, inbox, tree, name, text, reason):
    tree("dicom/")
    put(f"annotations/{name}", text)
    assert reasons(inbox) == {f"annotations/{name}": reason}
    assert pl.concat([b.annotations for b in indexed(inbox)]).is_empty()


def test_a_copy_of_a_table_counts_once(put, inbox, tree):
    tree("dicom/")
    put("annotations/a/train.csv", train(graded(101)))
    put("annotations/b/train.csv", train(graded(101)))
    assert pl.concat([b.annotations for b in indexed(inbox)]).height == 25
    assert reasons(inbox) == {"annotations/a/train.csv": None, "annotations/b/train.csv": "duplicate_content"}


def test_tables_at_the_top_count_only_beside_train_images(put, inbox):
    put("images/101/7/1.dcm", study="101")
    put("train.csv", train(graded(101)))
    files = pl.concat([b.files for b in indexed(inbox)])
    assert dict(files.select("relative_path", "kind").iter_rows())["train.csv"] == "other"
