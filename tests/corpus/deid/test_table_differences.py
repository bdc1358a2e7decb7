"""The action of every attribute against the table of another library, written from a later edition of PS3.15.

That table knows the basic profile alone; what an option in force allows beyond it stands in
``table_differences.yaml``, attribute by attribute, with the option. Nothing else may be weaker, at any depth.
"""

from __future__ import annotations

import importlib
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import yaml
from pydicom import config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from spine_models.corpus.deid.policy import Action, action_for
from tests.corpus.deid.objects import annex_e, cleaned, mr

TABLE = "dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c"
STRICT = {
    "X_TAGS": {"remove"},
    "Z_TAGS": {"remove", "empty"},
    "X_Z_TAGS": {"remove", "empty"},
    "D_TAGS": {"remove", "empty", "dummy"},
    "Z_D_TAGS": {"remove", "empty", "dummy"},
    "X_D_TAGS": {"remove", "empty", "dummy"},
    "X_Z_D_TAGS": {"remove", "empty", "dummy"},
    "U_TAGS": {"remove", "empty", "dummy", "uid"},
    "X_Z_U_STAR_TAGS": {"remove", "empty", "uid"},
}
"""What is at least as strict as each list of the other table."""
OPTION = {
    "113105": "cleanDescOpt",
    "113107": "rtnLongModifDatesOpt",
    "113108": "rtnPatCharsOpt",
}


def theirs() -> dict[int, str]:
    pytest.importorskip(
        "dicomanonymizer", reason="dicom-anonymizer is a development dependency: install .[dev]"
    )
    table = importlib.import_module(TABLE)
    found: dict[int, str] = {}
    for kind in STRICT:
        # Rows of four numbers are masks of repeating groups: curves and overlays, tested as groups.
        found |= {t[0] << 16 | t[1]: kind for t in getattr(table, kind) if len(t) == 2}
    return found


def listed() -> dict[int, tuple[str, str]]:
    groups = yaml.safe_load(Path(__file__).with_name("table_differences.yaml").read_text(encoding="utf-8"))
    return {int(tag, 16): (g["action"], g["reason"]) for g in groups for tag in g["tags"]}


def test_no_attribute_is_treated_less_strictly_than_there_but_for_the_listed_ones():
    weaker = {
        tag: str(action)
        for tag, kind in theirs().items()
        for action in {action_for(tag), action_for(tag, enhanced=True)}
        if str(action) not in STRICT[kind]
    }
    assert len(theirs()) > 640
    assert weaker == {tag: action for tag, (action, _) in listed().items()}


def test_each_listed_difference_is_one_that_the_standard_allows_under_its_option():
    rows = {row["id"]: row for row in annex_e()}
    for tag, (_, reason) in listed().items():
        code = next((c for c in OPTION if c in reason), None)
        if code:
            assert rows[f"{tag:08x}"].get(OPTION[code]) in ("C", "K"), f"{tag:08x}"
        else:
            assert tag in (0x00100010, 0x00100020) or rows[f"{tag:08x}"]["basicProfile"] == "X/Z/U*"


def test_masks_of_repeating_groups_go_here_too():
    for tag in (0x50000010, 0x501E3000, 0x60003000, 0x60024000, 0x601E3000):
        assert action_for(tag) is Action.REMOVE


def test_what_they_delete_is_deleted_nested_too():
    gone = [t for t, kind in theirs().items() if kind == "X_TAGS" and t not in listed()]
    with config.disable_value_validation():
        ds, item, deep = mr(), Dataset(), Dataset()
        for tag in gone:
            vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "LO"
            if vr == "SQ":
                inner = Dataset()
                inner.TextValue = "Zorvaquil"
                deep.add_new(tag, vr, Sequence([inner]))
            else:
                number = vr in ("US", "SS", "UL", "SL", "FL", "FD")
                deep.add_new(tag, vr, 3 if number else b"zorvaquil!" if vr in ("OB", "OW", "UN") else "3")
        deep.ReferencedSOPInstanceUID = "1.2.826.0.1.5"
        item.RelatedSeriesSequence = [deep]
        item.ReferencedSOPInstanceUID = "1.2.826.0.1.6"
        ds.ReferencedImageSequence = [item]
        out = pydicom.dcmread(BytesIO(cleaned(ds).payload))
        left = out.ReferencedImageSequence[0].RelatedSeriesSequence[0]
        assert len(gone) > 200
        assert [f"{t:08x}" for t in gone if t in left] == []
        assert left.ReferencedSOPInstanceUID.startswith("2.25.")
