"""An annotation table makes due only those batches whose index takes rows of it, whatever order these stand in."""

import os
import random

import pytest

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import fingerprints, index_batch, scan_inbox, settled, table_rows
from spine_models.corpus.archive.table_rows import UNREADABLE

SETTINGS = ArchiveSettings(batch_studies=1, workers=1)
BOXES = "annotations/boxes.csv"
HEADER = "study_instance_uid,series_instance_uid,sop_instance_uid,frame,condition,x,y,w,h\n"
LABELS = "study_id,spinal_canal_stenosis_l1_l2,spinal_canal_stenosis_l2_l3\n"
POINTS = "study_id,series_id,instance_number,condition,level,x,y\n"
SERIES = "study_id,series_id,series_description\n"
STUDIES = "123"


def box(study, x=1):
    uid = f"1.2.826.0.1.{study}"
    return f"{uid},{uid}.1,{uid}.1.1,1,fracture,{x},2,3,4\n"


def point(study, x=1):
    return f"{study},7,1,Spinal Canal Stenosis,L1/L2,{x},2\n"


def described(study, what="Sagittal T1"):
    return f"{study},7,{what}\n"


def graded(study, grade="Severe"):
    return f"{study},{grade},Moderate\n"


TABLES = {
    BOXES: (HEADER, box, (1, 2)),
    "annotations/train_label_coordinates.csv": (POINTS, point, (1, 2)),
    "annotations/train_series_descriptions.csv": (SERIES, described, ("Sagittal T1", "Axial T2")),
    "annotations/train.csv": (LABELS, graded, ("Severe", "Moderate")),
}
every_table = pytest.mark.parametrize("name", TABLES)


def scan(inbox, ledger=None):
    return scan_inbox(inbox, cohort="internal", ledger=ledger, settings=SETTINGS)


def changed(before, after):
    one, two = fingerprints(before), fingerprints(after)
    return {batch[-1] for batch in two if one.get(batch) != two[batch]}


def holders(*ledgers, name):
    """Batches that have the file, which say its hash: one that changed moves to the batch that is the last one then."""
    return {batch[-1] for ledger in ledgers for batch in ledger.filter(relative_path=name)["batch_key"]}


def index_of(ledger):
    """What the index of each batch says of its files and annotations, but for their order."""
    found = {}
    for batch in ledger["batch_key"].unique().sort():
        tables = index_batch(ledger, batch, settings=SETTINGS)
        rows = sorted(map(repr, tables.annotations.drop("row").rows()))
        found[batch] = [tables.files.write_json(), rows]
    return found


@pytest.fixture
def place(put, inbox):
    """Write a table with a time of its own, so that no look overlooks it."""
    clock = iter(range(10**9, 10**12, 10**9))

    def write(name, content, **elements):
        put(name, content, **elements)
        at = next(clock)
        os.utime(inbox / name, ns=(at, at))

    return write


@pytest.fixture
def three(place, inbox):
    """Three studies in a batch each, and a fourth, that never has annotations, which holds the tables."""
    for study in (*STUDIES, "9"):
        place(f"dicom/{study}/7/1.dcm", None, study=study)
    return scan(inbox)


@every_table
def test_a_new_table_concerns_the_batches_of_its_studies(place, inbox, three, name):
    header, row, _ = TABLES[name]
    place(name, header + row("2"))
    second = scan(inbox, three)
    assert changed(three, second) == {"2", "4"}
    assert holders(second, name=name) == {"4"}


@every_table
def test_a_row_that_is_changed_added_or_removed_concerns_its_study_alone(place, inbox, three, name):
    header, row, (one, other) = TABLES[name]
    place(name, header + row("1", one) + row("2", one))
    first = scan(inbox, three)
    place(name, header + row("1", one) + row("2", other))
    second = scan(inbox, first)
    assert changed(first, second) == {"2", "4"}
    place(name, header + row("3", one) + row("1", one) + row("2", other))
    third = scan(inbox, second)
    assert changed(second, third) == {"3", "4"}
    place(name, header + row("3", one) + row("2", other))
    fourth = scan(inbox, third)
    assert changed(third, fourth) == {"1", "4"}
    (inbox / name).unlink()
    assert changed(fourth, scan(inbox, fourth)) == {"2", "3", "4"}


@every_table
def test_another_order_of_rows_and_columns_concerns_nobody_but_the_holder_of_the_file(
    place, inbox, three, name
):
    header, row, _ = TABLES[name]
    place(name, header + "".join(map(row, STUDIES)))
    first = scan(inbox, three)
    lines = [line.split(",") for line in (header + "".join(map(row, reversed(STUDIES)))).splitlines()]
    place(name, "\n".join(";".join(reversed(cells)) for cells in lines) + "\n")
    second = scan(inbox, first)
    assert changed(first, second) == {"4"}
    before, after = index_of(first), index_of(second)
    assert {batch: rows for batch, (_, rows) in before.items()} == {b: rows for b, (_, rows) in after.items()}


def test_a_row_of_nobody_known_concerns_its_holder_until_its_study_comes(place, inbox, three):
    place(BOXES, HEADER + box("1") + box("5"))
    first = scan(inbox, three)
    place("dicom/6/7/1.dcm", None, study="6")
    second = scan(inbox, first)
    assert changed(first, second) == {"5"}
    place("dicom/5/7/1.dcm", None, study="5")
    assert changed(second, scan(inbox, second)) == {"4", "6"}


def test_a_folder_name_of_two_batches_means_neither_study(place, inbox, three):
    name = "annotations/train.csv"
    place(name, LABELS + graded("1"))
    first = scan(inbox, three)
    place("dicom/more/1/7/2.dcm", None, study="8")
    second = scan(inbox, first)
    # The first loses its row to the holder of the table.
    assert changed(first, second) == {"1", "4", "5"}
    place(name, LABELS + graded("1") + "\n")
    third = scan(inbox, second)
    assert holders(third, name=name) == {"5"}  # the batch that has a study of that name too
    rows = index_batch(third, "internal-0005", settings=SETTINGS).annotations
    assert rows["study_id"].to_list() == ["1", "1"]
    assert rows["study_uid"].to_list() == [None, None]


def test_a_table_that_is_refused_concerns_everybody(place, inbox, three):
    place(BOXES, HEADER + box("1") + box("2", x="two"))
    second = scan(inbox, three)
    (packed,) = second.filter(relative_path=BOXES)["table_rows"]
    assert packed[32:] == UNREADABLE
    assert changed(three, second) == {*STUDIES, "4"}


def test_a_copy_counts_once_within_an_inbox_and_the_first_of_two_equal_boxes_does(place, inbox, three):
    place("annotations/a/boxes.csv", HEADER + box("1"))
    place("annotations/b/boxes.csv", HEADER + box("1") + box("2"))
    first = scan(inbox, three)
    place("annotations/c/boxes.csv", HEADER + box("1") + box("2"))
    second = scan(inbox, first)
    assert changed(first, second) == {"4"}
    (inbox / "annotations/a/boxes.csv").unlink()
    assert changed(second, scan(inbox, second)) == {"1", "4"}


def test_which_of_two_equal_boxes_is_the_first_is_told(place, inbox, three):
    one, two = "annotations/a/boxes.csv", "annotations/b/boxes.csv"
    place(one, HEADER + box("1"))
    place(two, HEADER + box("1") + box("2"))
    place("dicom/5/7/1.dcm", None, study="5")
    first = scan(inbox, scan(inbox, three))
    assert (holders(first, name=one), holders(first, name=two)) == ({"5"}, {"5"})
    place("dicom/6/7/1.dcm", None, study="6")
    place(one, HEADER + box("1") + "\n")
    second = scan(inbox, first)
    assert holders(second, name=one) == {"6"}
    taken = [index_of(ledger)["internal-0001"][1] for ledger in (first, second)]
    assert taken[0] != taken[1]
    assert changed(first, second) == {"1", "5", "6"}


def test_a_look_with_nothing_new_opens_no_annotation_table(place, inbox, three, monkeypatch):
    place(BOXES, HEADER + box("1"))
    second = scan(inbox, three)
    monkeypatch.setattr(table_rows, "packed", lambda *_: pytest.fail("a table was opened"))
    assert scan(inbox, second).equals(second)
    assert set(fingerprints(second)) == set(fingerprints(three))


def test_a_ledger_of_the_version_before_counts_whole_annotation_tables(place, inbox, three):
    place(BOXES, HEADER + box("1"))
    old = scan(inbox, three).drop("table_rows")
    place(BOXES, HEADER + box("2"))
    new = scan(inbox, old)
    assert changed(old, new) == {*STUDIES, "4"}
    assert new["table_rows"].null_count() == new.filter(kind="dicom").height


def test_an_annotation_table_that_is_written_meanwhile_is_not_settled(place, inbox, three):
    place(BOXES, HEADER + box("1"))
    second = scan(inbox, three)
    assert settled(second, "internal-0001")
    (inbox / BOXES).write_text(HEADER)
    assert not settled(second, "internal-0001")


def step(place, inbox, draw):
    """One thing that happens to an inbox: a table comes, changes, is copied or goes; an image comes or goes."""
    names = [f"annotations/{folder}{name.split('/')[1]}" for name in TABLES for folder in ("", "z/")]
    there = [name for name in names if (inbox / name).exists()]
    what = draw.random()
    if what < 0.15 and there:
        (inbox / draw.choice(there)).unlink()
        return
    if what < 0.35:
        study, folder = draw.choice("1234"), draw.choice(["", "", "more/"])
        path = inbox / f"dicom/{folder}{study}/7/1.dcm"
        if path.exists() and draw.random() < 0.5:
            path.unlink()
        else:
            # Now and then two studies lie in folders of one name.
            other = "8" if folder else study
            place(str(path.relative_to(inbox)), None, study=other)
        return
    name = draw.choice(names)
    if what < 0.5 and there:
        place(name, (inbox / draw.choice(there)).read_text())
    elif what < 0.55:
        place(name, draw.choice(["", 'a,b\n"', "study_id\n1\n"]))
    else:
        header, row, values = TABLES[f"annotations/{name.split('/')[-1]}"]
        # A box at 15 lies outside its image of 16 pixels.
        values = (*values, 15) if name.endswith("boxes.csv") and draw.random() < 0.2 else values
        rows = [row(draw.choice("12345"), draw.choice(values)) for _ in range(draw.randint(1, 4))]
        place(name, header + "".join(rows))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_changes_an_index_changes_its_fingerprint(place, inbox, seed):
    draw = random.Random(seed)
    for study in "12":
        place(f"dicom/{study}/7/1.dcm", None, study=study)
    ledger = scan(inbox)
    index, prints = index_of(ledger), fingerprints(ledger)
    spared = remade = 0
    for number in range(30):
        step(place, inbox, draw)
        ledger = scan(inbox, ledger)
        now_index, now_prints = index_of(ledger), fingerprints(ledger)
        for batch, content in now_index.items():
            same = now_prints[batch] == prints.get(batch)
            assert not same or content == index[batch], f"step {number}"
            spared, remade = spared + same, remade + (not same)
        index, prints = now_index, now_prints
    assert min(spared, remade) > 0
