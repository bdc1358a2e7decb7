"""``annotations/boxes.csv``: boxes find their image by UIDs, and a table that cannot be right is refused whole."""

import polars as pl
import pytest

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.archive.tables import ANNOTATIONS

SETTINGS = ArchiveSettings(batch_studies=2, workers=1)
HEADER = (
    "study_instance_uid,series_instance_uid,sop_instance_uid,frame,condition,level,side,severity,x,y,w,h\n"
)
UIDS = "1.2.826.0.1.{0},1.2.826.0.1.{0}.1,1.2.826.0.1.{0}.1.{1}"
FILE = "annotations/boxes.csv"


def box(study=101, index=1, rest="1,fracture,L4,,mild", edges="2.5,3,4,5.25"):
    return f"{UIDS.format(study, index)},{rest},{edges}\n"


@pytest.fixture
def tree(put):
    """Studies 101, 102, 103 of two images of 16 x 16 pixels each, in two batches."""
    for study in (101, 102, 103):
        for index in (1, 2):
            put(f"dicom/{study}/{index}", study=str(study), index=index)


def indexed(inbox):
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    return [index_batch(ledger, batch, settings=SETTINGS) for batch in ledger["batch_key"].unique().sort()]


def rows_of(inbox):
    return pl.concat([batch.annotations for batch in indexed(inbox)])


def reasons(inbox):
    files = pl.concat([batch.files for batch in indexed(inbox)]).filter(kind="annotation")
    return dict(files.select("relative_path", "reason").iter_rows())


def test_a_box_finds_its_image_in_whichever_batch_it_is(put, inbox, tree):
    put(FILE, HEADER + box(103, 2, "1,canal,l4/l5,LEFT,Severe") + box(101, 1, ",fracture,T12,,"))
    batches = indexed(inbox)
    assert len(batches) == 2
    assert all(batch.annotations.schema == ANNOTATIONS for batch in batches)
    (first,), (second,) = (batch.annotations.to_dicts() for batch in batches)
    assert (first["study_uid"], first["sop_uid"]) == ("1.2.826.0.1.101", "1.2.826.0.1.101.1.1")
    assert (second["batch_key"], second["row"]) == ("internal-0002", 1)
    assert (second["series_uid"], second["sop_uid"]) == ("1.2.826.0.1.103.1", "1.2.826.0.1.103.1.2")
    said = [second[name] for name in ("kind", "condition", "level", "side", "severity", "grade")]
    assert said == ["box", "canal", "L4-L5", "left", "severe", None]
    said = [first[name] for name in ("condition", "level", "side", "severity")]
    assert said == ["fracture", "T12", None, None]
    for row in (first, second):
        assert [row[name] for name in ("frame", "x", "y", "w", "h")] == [0, 2.5, 3.0, 4.0, 5.25]
        assert (row["study_id"], row["series_id"], row["instance_number"]) == (None, None, None)
    assert reasons(inbox) == {FILE: None}


def test_columns_may_come_in_any_order_and_what_is_optional_may_be_missing(put, inbox, tree):
    header = "H;W;Y;X;Condition;SOP_Instance_UID;series_instance_uid;study_instance_uid\n"
    row = "5;4;3;2;pars;1.2.826.0.1.101.1.1;1.2.826.0.1.101.1;1.2.826.0.1.101\n"
    put(FILE, header + row)
    (found,) = rows_of(inbox).to_dicts()
    assert [found[name] for name in ("frame", "x", "y", "w", "h")] == [0, 2.0, 3.0, 4.0, 5.0]
    assert [found[name] for name in ("level", "side", "severity")] == [None, None, None]


def test_a_frame_of_an_enhanced_object_is_counted_from_one(put, inbox):
    put("dicom/1", study="101", NumberOfFrames=3, PixelData=bytes(3 * 512))
    put(FILE, HEADER + box(rest="3,edema,,,"))
    assert rows_of(inbox)["frame"].to_list() == [2]


@pytest.mark.parametrize("frame", ["4", ""])
def test_a_frame_that_is_not_there_or_not_said_refuses_the_table(put, inbox, frame):
    put("dicom/1", study="101", NumberOfFrames=3, PixelData=bytes(3 * 512))
    put(FILE, HEADER + box(rest="1,edema,,,") + box(rest=f"{frame},edema,,,"))
    assert reasons(inbox) == {FILE: "annotation_outside_image"}
    assert rows_of(inbox).is_empty()


@pytest.mark.parametrize(
    ("rest", "edges"),
    [
        ("2,fracture,L4,,", "1,1,2,2"),
        ("1,fracture,L4,,", "12,1,5,2"),
        ("1,fracture,L4,,", "1,12,2,4.6"),
        ("1,fracture,L4,,", "16,1,0.4,2"),
        ("1,fracture,L4,,", "65000,65000,10,10"),
    ],
)
def test_a_box_outside_its_image_refuses_the_table(put, inbox, tree, rest, edges):
    put(FILE, HEADER + box() + box(102, 1, rest, edges))
    assert reasons(inbox) == {FILE: "annotation_outside_image"}
    assert rows_of(inbox).is_empty()


def test_a_batch_that_does_not_own_the_table_uses_none_of_it_when_a_box_of_its_images_is_outside(
    put, inbox, tree
):
    put(FILE, HEADER + box(101) + box(103) + box(103, 2, edges="20,1,2,2"))
    first, second = (batch.annotations for batch in indexed(inbox))
    assert first["sop_uid"].to_list() == ["1.2.826.0.1.101.1.1"]
    assert second.height == 2
    assert second.select("study_uid", "series_uid", "sop_uid").null_count().row(0) == (2, 2, 2)


def test_an_edge_that_was_rounded_over_the_border_is_moved_to_it(put, inbox, tree):
    put(FILE, HEADER + box(edges="-0.5,-0.1,3,16.5") + box(102, edges="12.123456,0,4.3,16"))
    first, second = rows_of(inbox).sort("study_uid").select("x", "y", "w", "h").rows()
    assert first == (0.0, 0.0, 2.5, 16.0)
    assert second == (12.12, 0.0, 3.88, 16.0)


@pytest.mark.parametrize(
    "row",
    [
        box(rest="1,scoliosis,L4,,"),
        box(rest="1,,L4,,"),
        box(rest="1,fracture,L9,,"),
        box(rest="1,fracture,Doe,,"),
        box(rest="1,fracture,L4-L6,,"),
        box(rest="1,fracture,L4,upper,"),
        box(rest="1,fracture,L4,,Normal/Mild"),
        box(rest="0,fracture,L4,,"),
        box(rest="-1,fracture,L4,,"),
        box(rest="1.5,fracture,L4,,"),
        box(rest="99999999999,fracture,L4,,"),
        *(box(edges=edges) for edges in (
            "nan,1,2,2", "1,inf,2,2", "1,1,-2,2", "1,1,2,0", "1,1,0.001,2", "-3,1,5,2", "1e300,1,2,2", "1,1,1e999,2",
            "1,1,2,70000", "1,1,two,2", "1,1,2,", "1_0,1,2,2", "0x1,1,2,2", "١,1,2,2",
        )),
        box().replace("1.2.826.0.1.101.1.1,", "J. Doe,"),
        box().replace("1.2.826.0.1.101,", ","),
        box().replace("1.2.826.0.1.101,", "1." * 40 + ","),
    ],
)  # fmt: skip
def test_one_wrong_cell_refuses_the_table(put, inbox, tree, row):
    put(FILE, HEADER + box() + row)
    assert reasons(inbox) == {FILE: "annotation_values"}
    assert rows_of(inbox).is_empty()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEADER.replace(",h", ",reader") + box(), "annotation_columns"),
        (HEADER.replace("\n", ",reader\n") + box().replace("\n", ",J. Doe\n"), "annotation_columns"),
        (HEADER.replace("study_instance_uid", "study") + box(), "annotation_columns"),
        (HEADER + box().replace("\n", ",7\n"), "annotation_unreadable"),
        ("", "empty_file"),
    ],
)
def test_other_columns_are_refused(put, inbox, tree, text, reason):
    put(FILE, text)
    assert reasons(inbox) == {FILE: reason}
    assert rows_of(inbox).is_empty()


@pytest.mark.parametrize(
    "uids",
    [
        "9.9.9,9.9.9.1,9.9.9.1.1",
        "1.2.826.0.1.101,1.2.826.0.1.101.1,1.2.826.0.1.101.1.9",
        "1.2.826.0.1.101,1.2.826.0.1.101.2,1.2.826.0.1.101.1.1",
        # the study of one patient, the image of another
        "1.2.826.0.1.101,1.2.826.0.1.102.1,1.2.826.0.1.102.1.1",
        "1.2.826.0.1.101,1.2.826.0.1.103.1,1.2.826.0.1.103.1.1",
    ],
)
def test_a_row_of_no_image_stays_with_its_file_and_the_others_do_not_suffer(put, inbox, tree, uids):
    put(FILE, HEADER + box(102) + f"{uids},1,pars,L5,,,1,1,2,2\n")
    found = rows_of(inbox).sort("row")
    assert found["row"].to_list() == [1, 2]
    assert found["sop_uid"].to_list() == ["1.2.826.0.1.102.1.1", None]
    assert (found["study_uid"][1], found["series_uid"][1]) == (None, None)
    assert reasons(inbox) == {FILE: None}


def test_the_sheet_of_a_mosaic_is_no_image(put, inbox, tree, monkeypatch):
    from spine_models.corpus.archive import annotations
    from spine_models.corpus.archive.boxes import BoxedImages

    of = BoxedImages.of

    def of_sheets(cohort, instances):
        return of(cohort, [row | {"mosaic_tiles": 4} for row in instances])

    monkeypatch.setattr(annotations.BoxedImages, "of", of_sheets)
    put(FILE, HEADER + box())
    assert rows_of(inbox)["sop_uid"].to_list() == [None]


def test_the_same_box_counts_once_in_one_table_and_in_two(put, inbox, tree):
    put("annotations/a/boxes.csv", HEADER + box() + box(edges="1,1,2,2") + box())
    put("annotations/b/BOXES.csv", HEADER + box(edges="1,1,2,2") + box(102))
    put("annotations/c/boxes.csv", HEADER + box(edges="1,1,2,2") + box(102))
    found = rows_of(inbox)
    assert found.select("relative_path", "row").rows() == [
        ("annotations/a/boxes.csv", 1),
        ("annotations/a/boxes.csv", 2),
        ("annotations/b/BOXES.csv", 2),
    ]
    assert reasons(inbox) == {
        "annotations/a/boxes.csv": None,
        "annotations/b/BOXES.csv": None,
        "annotations/c/boxes.csv": "duplicate_content",
    }


def test_boxes_stand_beside_the_rsna_tables(put, inbox):
    put("train_images/101/7/1.dcm", study="101")
    put("train_series_descriptions.csv", "study_id,series_id,series_description\n101,7,Sagittal T1\n")
    put(FILE, HEADER + box())
    found = rows_of(inbox)
    assert found.sort("kind").select("kind", "sop_uid").rows() == [
        ("box", "1.2.826.0.1.101.1.1"),
        ("series", None),
    ]
    assert found["study_uid"].null_count() == 0
