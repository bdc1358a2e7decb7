"""Who was trained on is proved from what a training read, and anybody else is found."""

from __future__ import annotations

import polars as pl
import pytest

from spine_models.encoder.backbone.tables import SEEN
from spine_models.encoder.seen import (
    PATIENTS,
    UnknownSlices,
    not_allowed,
    patients_of_slices,
    patients_of_studies,
)

SLICES = pl.DataFrame({"slice_key": ["a", "b", "c", "d"], "patient_key": ["ann", "ann", "ben", "cem"]})
LEDGER = pl.DataFrame(
    {
        "patient_key": ["ann", "ben", "cem", "dot"],
        "split": ["train", "test", "val", "train"],
        "may_train": [True, False, False, False],
    }
)


def seen(*rows: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SEEN, orient="row")


def patients(*rows: tuple[str, str]) -> pl.DataFrame:
    wide = [("pretrain", "t1", patient, role, 1) for patient, role in rows]
    return pl.DataFrame(wide, schema=PATIENTS, orient="row")


def test_slices_are_counted_by_patient_and_role():
    found = patients_of_slices(
        seen(("a", "train"), ("b", "train"), ("d", "held_out")), SLICES, training="pretrain", route="t1"
    )
    assert found.schema == PATIENTS
    assert found.rows() == [("pretrain", "t1", "ann", "train", 2), ("pretrain", "t1", "cem", "held_out", 1)]


def test_a_slice_of_nobody_cannot_be_proved():
    with pytest.raises(UnknownSlices, match="1 slices of pretrain t1"):
        patients_of_slices(seen(("a", "train"), ("z", "train")), SLICES, training="pretrain", route="t1")


def test_nothing_seen_is_nobody():
    assert patients_of_slices(seen(), SLICES, training="pretrain", route="t1").is_empty()


def test_studies_are_counted_by_patient_and_role():
    studies = pl.DataFrame(
        {
            "patient_key": ["ann", "ann", "cem"],
            "study_key": ["1", "2", "3"],
            "role": ["train", "train", "held_out"],
        }
    )
    found = patients_of_studies(studies, training="align")
    assert found.rows() == [("align", "all", "ann", "train", 2), ("align", "all", "cem", "held_out", 1)]


@pytest.mark.parametrize(
    ("row", "allowed"),
    [
        (("ann", "train"), True),
        (("ann", "held_out"), True),  # a probe fills up with training slices
        (("cem", "held_out"), True),
        (("cem", "train"), False),
        (("ben", "train"), False),
        (("ben", "held_out"), False),
        (("dot", "train"), False),  # of the train split, but was told not to train
        (("nobody", "train"), False),
        (("ann", "looked at"), False),
    ],
)
def test_a_role_asks_for_its_split(row, allowed):
    assert not_allowed(patients(row), LEDGER).is_empty() == allowed
