"""What reports say of places: sides, doubts, kinds."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.corpus.labels.tables import CONSENSUS, MENTIONS
from spine_models.corpus.statements import Reference, Unit
from spine_models.domain import condition_keys
from spine_models.findings.levelwise.targets import KINDS, Kind, kinds_of, labels_of, places_of, references

VIEWS = pl.DataFrame(
    [(study, level) for study in ("b", "a") for level in ("L4", "L4-L5", "L5", "L5-S1")],
    schema=["study_key", "level"],
    orient="row",
)
DISC, DISC_SIDES = Kind(False, False), Kind(False, True)


def report(*units: Unit, excluded=()) -> Reference:
    return Reference(units, frozenset(excluded))


def labels(kind: Kind, reference: Reference | None, condition: str) -> dict[tuple[str, str | None], int]:
    """Labels of study a by level and side."""
    places = places_of(VIEWS, kind)
    found = labels_of(places, {} if reference is None else {"a": reference}, [condition])
    assert found.dtype == np.int8
    return {
        (level, side): int(label)
        for (study, level, side), label in zip(
            places.select("study_key", "level", "side").iter_rows(), found[:, 0], strict=True
        )
        if study == "a"
    }


def test_places_keep_the_order_of_the_views_and_name_their_rows():
    places = places_of(VIEWS, DISC_SIDES)
    assert places.rows() == [
        (row, study, level, side)
        for row, (study, level) in enumerate(VIEWS.iter_rows())
        if "-" in level
        for side in ("left", "right")
    ]
    bones = places_of(VIEWS, Kind(True, False))
    assert bones.rows() == [
        (0, "b", "L4", None),
        (2, "b", "L5", None),
        (4, "a", "L4", None),
        (6, "a", "L5", None),
    ]
    for kind in KINDS:
        empty = places_of(VIEWS.clear(), kind)
        assert (empty.height, empty.schema) == (0, places.schema)
        assert labels_of(empty, {}, ["canal", "pars"]).shape == (0, 2)


def test_what_is_named_is_one_and_what_is_not_is_none():
    assert labels(DISC, report(Unit("canal", "L4-L5")), "canal") == {("L4-L5", None): 1, ("L5-S1", None): 0}
    assert labels(DISC, report(), "canal") == {("L4-L5", None): 0, ("L5-S1", None): 0}
    # Sides of what has none count as the level.
    said = report(Unit("canal", "L4-L5", "left"))
    assert labels(DISC, said, "canal")["L4-L5", None] == 1


@pytest.mark.parametrize(
    ("units", "left", "right"),
    [
        ((Unit("herniation", "L4-L5", "left"),), 1, 0),
        ((Unit("herniation", "L4-L5", "bilateral"),), 1, 1),
        ((Unit("herniation", "L4-L5", "left"), Unit("herniation", "L4-L5", "right")), 1, 1),
        ((Unit("herniation", "L4-L5"),), -1, -1),
        ((Unit("herniation", "L4-L5", "central"),), -1, -1),
        # One side is known, of the other the report says nothing certain.
        ((Unit("herniation", "L4-L5", "left"), Unit("herniation", "L4-L5")), 1, -1),
    ],
)
def test_sides_of_a_level(units, left, right):
    found = labels(DISC_SIDES, report(*units), "herniation")
    assert (found["L4-L5", "left"], found["L4-L5", "right"]) == (left, right)
    # A side in doubt at one level is no doubt at another.
    assert (found["L5-S1", "left"], found["L5-S1", "right"]) == (0, 0)


def test_a_condition_without_a_level_or_in_doubt_says_nothing_of_any_place():
    known = {("L4-L5", None): 1, ("L5-S1", None): 0}
    unknown = dict.fromkeys(known, -1)
    both = report(Unit("canal"), Unit("canal", "L4-L5"), Unit("edema", "L4-L5"))
    assert labels(DISC, both, "canal") == unknown
    assert labels(DISC, both, "edema") == known
    doubted = report(Unit("canal", "L4-L5"), Unit("edema", "L4-L5"), excluded=["canal"])
    assert labels(DISC, doubted, "canal") == unknown
    assert labels(DISC, doubted, "edema") == known
    assert labels(DISC, None, "canal") == unknown


def test_columns_are_the_conditions_that_are_asked_for():
    places = places_of(VIEWS, DISC)
    reports = {"a": report(Unit("canal", "L4-L5")), "b": report(Unit("edema", "L5-S1"))}
    found = labels_of(places, reports, ["edema", "canal"])
    assert places["study_key"].to_list() == ["b", "b", "a", "a"]
    assert found.tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]


def test_the_kind_of_a_condition_is_what_most_reports_name_it_by():
    kinds = kinds_of(
        [
            report(Unit("fracture", "L1"), Unit("edema", "L4"), Unit("edema", "L4-L5")),
            report(Unit("fracture", "L1-L2"), Unit("fracture", "L2"), Unit("pars", "L5"), Unit("canal")),
        ]
    )
    assert list(kinds) == list(condition_keys())
    assert kinds["fracture"] == Kind(True, False)
    assert kinds["pars"] == Kind(True, True)
    # As often by either: discs. Never with a level: discs.
    assert kinds["edema"] == kinds["canal"] == Kind(False, False)
    assert kinds["herniation"] == Kind(False, True)
    assert [kind.holds("L4") for kind in KINDS] == [False, False, True, True]
    assert [kind.holds("L4-L5") for kind in KINDS] == [True, True, False, False]


def test_references_are_of_studies_with_labels_alone():
    def table(schema, *rows):
        return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)

    label = {"patient_key": "p", "report_key": "r"}
    consensus = table(
        CONSENSUS,
        label | {"study_key": "a", "condition": "canal", "status": "present", "levels": []},
        label | {"study_key": "a", "condition": "edema", "status": "ambiguous", "levels": []},
        label | {"study_key": "b", "condition": "canal", "status": "absent", "levels": []},
    )
    mention = label | {"study_key": "a", "condition": "canal", "status": "present", "evidence_start": 0}
    mentions = table(
        MENTIONS,
        mention | {"level": "L4-L5", "evidence": "x"},
        mention | {"study_key": "z", "level": "L1-L2"},
    )
    found = references(consensus, mentions)
    assert set(found) == {"a", "b"}
    assert found["a"] == report(Unit("canal", "L4-L5"), excluded=["edema"])
    assert found["b"] == report()
    assert references(consensus.clear(), mentions) == {}


def test_a_place_beside_one_that_is_named_by_the_other_kind_of_level_is_unknown():
    report = Reference((Unit("edema", "L4-L5"), Unit("edema", "L1")))
    views = pl.DataFrame({"study_key": ["s"] * 4, "level": ["L1", "L3", "L4", "L5"]})
    places = places_of(views, Kind(vertebra=True, sided=False))
    labels = labels_of(places, {"s": report}, ["edema"])
    assert dict(zip(places["level"], labels[:, 0].tolist(), strict=True)) == {
        "L1": 1,
        "L3": 0,
        "L4": -1,
        "L5": -1,
    }
