"""Every row of PS3.15 table E.1-1 under the options in force, at the top level and two levels down."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from spine_models.corpus.deid import policy
from spine_models.corpus.deid.policy import Action, action_for
from tests.corpus.deid.objects import NAMES, SHIFT, annex_e, cleaned, mr

SKIPPED_GROUPS = {0x0000, 0x0002, 0xFFFA, 0xFFFC}  # not in a dataset, or after the pixel data
VALUES = {
    "PN": "Zorvaquil^Mordrake",
    "UI": "1.2.826.0.1.987654321.5",
    "DA": "19870605",
    "DT": "19870605101112",
    "TM": "101112.5",
    "AS": "044Y",
    "DS": "7654321.5",
    "IS": "87654321",
    "AE": "ZORVAQUIL",
    "CS": "ZORVAQUIL",
    "UR": "http://zorvaquil.example",
}
BINARY = {"OB": b"zorvaquil!", "OW": b"zorvaquil!", "UN": b"zorvaquil!"}
NUMBERS = {"US", "SS", "UL", "SL", "FL", "FD"}


def rows() -> list[tuple[int, str, dict[str, str]]]:
    found = []
    for row in annex_e():
        if re.fullmatch(r"[0-9a-f]{8}", row["id"]):
            tag = int(row["id"], 16)
            if tag >> 16 not in SKIPPED_GROUPS:
                found.append((tag, dictionary_VR(tag), row))
    return found


def plant(ds: Dataset, *, own_uids: bool) -> None:
    for tag, vr, _ in rows():
        if tag in (0x0020000D, 0x0020000E, 0x00080018) and not own_uids:
            continue
        if vr == "SQ":
            item = Dataset()
            item.TextValue, item.PersonName = "Zorvaquil text", "Zorvaquil"
            ds.add_new(tag, vr, Sequence([item]))
        elif vr in BINARY:
            ds.add_new(tag, vr, BINARY[vr])
        elif vr in NUMBERS:
            ds.add_new(tag, vr, 3)
        else:
            ds.add_new(tag, vr, VALUES.get(vr, "Zorvaquil"))


@pytest.fixture(scope="module")
def released() -> Dataset:
    with config.disable_value_validation():
        ds = mr()
        plant(ds, own_uids=False)
        del ds[0x00420011]  # an encapsulated document is held back whole
        deep = Dataset()
        plant(deep, own_uids=True)
        outer = Dataset()
        outer.ReferencedSOPInstanceUID = "1.2.826.0.1.987654321.6"
        outer.RelatedSeriesSequence = [deep]
        ds.ReferencedImageSequence = [outer]
        out = cleaned(ds)
        return pydicom.dcmread(BytesIO(out.payload))


@pytest.mark.parametrize("depth", ["top", "nested"])
def test_every_row_of_the_table_is_carried_out(released, depth):
    with config.disable_value_validation():
        ds = released if depth == "top" else released.ReferencedImageSequence[0].RelatedSeriesSequence[0]
        wrong = [
            f"{tag:08x} {row['basicProfile']}" for tag, vr, row in rows() if not carried_out(ds, tag, vr, row)
        ]
    assert wrong == []


def carried_out(ds: Dataset, tag: int, vr: str, row: dict[str, str]) -> bool:
    element = ds.get(tag)
    value = None if element is None else element.value
    if tag == 0x00420011 and element is None:
        return True
    if tag in (0x00081140, 0x0020000D, 0x0020000E, 0x00080018):
        return value not in (None, VALUES["UI"])
    if tag in (0x00100010, 0x00100020):
        return str(value) == NAMES.patient_key("12345678")
    if row.get("rtnPatCharsOpt") == "K":
        return kept_characteristic(tag, vr, value)
    if row.get("rtnLongModifDatesOpt") == "C":
        if vr in ("DA", "DT"):
            return str(value).startswith("19870716") and SHIFT == 41
        if vr == "TM":
            return str(value) == VALUES["TM"]
    if row.get("cleanDescOpt") == "C" or row.get("rtnPatCharsOpt") == "C":
        return "orvaquil" not in str(element).lower()
    return basic(row["basicProfile"], vr, value, element)


def kept_characteristic(tag: int, vr: str, value: object) -> bool:
    if vr == "AS":
        return value == "044Y"
    if vr in ("DS", "US"):
        return value is not None
    return value in (None, "")  # a text that says nothing of a characteristic


def basic(profile: str, vr: str, value: object, element: object) -> bool:
    if "orvaquil" in str(element).lower():
        return False
    if profile == "X":
        return element is None
    if profile == "U":
        return str(value).startswith("2.25.")
    if profile == "D":
        return value not in (None, "", VALUES.get(vr)) and (vr != "SQ" or len(value) == 1)
    if profile == "Z":
        return element is None or not value
    if profile == "X/Z/U*":
        return value is not None
    allowed = profile.split("/")
    return (
        element is None if not value and element is None else ("Z" in allowed and not value) or "D" in allowed
    )


def test_groups_that_never_leave():
    for tag in (0x50002500, 0x60003000, 0x60004000, 0x00091001, 0xFFFCFFFC, 0x00189FF0, 0x00000010):
        assert action_for(tag) == "remove"


def test_attributes_that_only_a_later_edition_names_do_not_pass_either():
    path = Path(policy.__file__).with_name("annex_e_additions.json")
    added = json.loads(path.read_text(encoding="utf-8"))
    assert len(added) > 30
    assert not {row["id"] for row in added} & {row["id"] for row in annex_e()}
    actions = {action_for(int(row["id"], 16)) for row in added}
    assert actions <= {Action.REMOVE, Action.DUMMY, Action.UID}
