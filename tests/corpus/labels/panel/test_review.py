from __future__ import annotations

from math import log

import polars as pl
import pytest

from spine_models.corpus.labels import consensus, review_queue
from spine_models.corpus.labels.panel.review import Conflict, conflict_of, rarity, urgency_of
from spine_models.corpus.labels.tables import ADJUDICATIONS, REVIEW_QUEUE
from spine_models.domain import Status, condition_keys


def two(study: str, condition: str, first: str, second: str, **more):
    return [("a", study, condition, first, more), ("b", study, condition, second, more)]


def queued(frame: pl.DataFrame, decided: pl.DataFrame | None = None, **settings) -> pl.DataFrame:
    return review_queue(frame, consensus([frame], decided, **settings))


def places(queue: pl.DataFrame) -> list[tuple[str, str]]:
    return queue.select("study_key", "condition").rows()


@pytest.mark.parametrize(
    ("statuses", "conflict"),
    [
        ({"present", "absent", "ambiguous"}, Conflict.AFFIRMED_AND_DENIED),
        ({"present", "not_mentioned"}, Conflict.AFFIRMED_AND_SILENT),
        ({"present", "ambiguous"}, Conflict.AFFIRMED_AND_DOUBTED),
        ({"absent", "ambiguous"}, Conflict.NEGATIVE_AND_DOUBTED),
        ({"not_mentioned", "ambiguous"}, Conflict.NEGATIVE_AND_DOUBTED),
        ({"ambiguous"}, Conflict.DOUBTED),
    ],
)
def test_conflicts(statuses, conflict):
    assert conflict_of(set(map(Status, statuses))) is conflict


def test_further_apart_comes_first(labels):
    rows = [
        *two("s1", "canal", "ambiguous", "ambiguous"),
        *two("s2", "canal", "absent", "ambiguous"),
        *two("s3", "canal", "ambiguous", "present"),
        *two("s4", "canal", "not_mentioned", "present"),
        *two("s5", "canal", "present", "absent"),
        *two("s6", "canal", "present", "present"),
    ]
    queue = queued(labels(rows))
    assert queue.schema == REVIEW_QUEUE
    assert queue["study_key"].to_list() == ["s5", "s4", "s3", "s2", "s1"]
    assert queue["rank"].to_list() == [1, 2, 3, 4, 5]
    assert queue["statuses"][0] == "a: present, b: absent"
    assert queue["report_key"][0] == "r-s5"
    assert queue["reason"].to_list()[:4] == ["disagreement"] * 4


def test_urgent_comes_first_and_every_condition_has_an_urgency(labels):
    rows = [row for key in ("cyst", "canal", "compression") for row in two("s1", key, "present", "absent")]
    assert queued(labels(rows))["condition"].to_list() == ["compression", "canal", "cyst"]
    urgencies = {key: urgency_of(key) for key in condition_keys()}
    assert all(0 < weight <= 1 for weight in urgencies.values())
    highest = sorted(urgencies, key=urgencies.__getitem__)[-5:]
    assert set(highest) == {"compression", "fracture", "intramedullary", "extramedullary", "inflammation"}
    assert urgencies["cyst"] == urgencies["hemangioma"] == min(urgencies.values())
    assert urgency_of("gout") == 0.5


def test_rare_comes_first(labels):
    settled = [row for i in range(8) for row in two(f"t{i}", "fracture", "present", "present")]
    settled += [row for i in range(8) for row in two(f"t{i}", "inflammation", "absent", "absent")]
    open_rows = [*two("s1", "fracture", "present", "absent"), *two("s1", "inflammation", "present", "absent")]
    assert queued(labels(settled + open_rows))["condition"].to_list() == ["inflammation", "fracture"]


def test_the_sure_come_first(labels):
    rows = [
        *two("s1", "canal", "present", "absent", confidence=0.2),
        *two("s2", "canal", "present", "absent", confidence=0.9),
        *two("s3", "canal", "present", "absent"),
    ]
    assert queued(labels(rows))["study_key"].to_list() == ["s2", "s3", "s1"]


def test_the_weight_by_hand(labels):
    rows = [
        *two("s1", "canal", "present", "absent", confidence=0.5),
        *two("s2", "canal", "present", "present"),
        *two("s3", "canal", "absent", "absent"),
    ]
    expected = 1.0 * 0.7 * (1 + log(2) / log(4)) * 0.75
    assert queued(labels(rows))["weight"][0] == pytest.approx(expected, abs=1e-6)
    assert (rarity(0, 0), rarity(0, 98), rarity(98, 98)) == pytest.approx((2, 2, 1), abs=0.01)


def test_equal_weights_stand_in_the_order_of_keys_and_conditions(labels):
    rows = [
        row
        for study in ("s2", "s1")
        for key in ("subarticular", "neuroforaminal")
        for row in two(study, key, "present", "absent")
    ]
    frame = labels(rows)
    queue = queued(frame)
    expected = [(s, c) for s in ("s1", "s2") for c in ("neuroforaminal", "subarticular")]
    assert places(queue) == expected
    assert queued(frame.sort("labeller", "study_key", "condition")).equals(queue)


def test_what_a_person_decided_does_not_wait(labels):
    frame = labels([*two("s1", "canal", "present", "absent"), *two("s2", "canal", "present", "absent")])
    decided = pl.DataFrame([("s1", "canal", "ambiguous")], schema=ADJUDICATIONS, orient="row")
    assert places(queued(frame, decided)) == [("s2", "canal")]


def test_silence_does_not_wait_even_where_it_is_unknown(labels):
    frame = labels(
        [*two("s1", "canal", "not_mentioned", "not_mentioned"), *two("s2", "canal", "absent", "absent")]
    )
    assert queued(frame, not_mentioned=-1).is_empty()
    apart = labels(two("s1", "canal", "absent", "not_mentioned"))
    assert queued(apart).is_empty()
    assert places(queued(apart, not_mentioned=-1)) == [("s1", "canal")]


def test_quotes_are_those_that_there_are(labels):
    frame = labels(
        [
            ("a", "s1", "canal", "present", {"evidence": "Stenosis."}),
            ("b", "s1", "canal", "absent", {"evidence": "No stenosis."}),
            ("c", "s1", "canal", "not_mentioned"),
        ]
    )
    assert queued(frame)["quotes"].to_list() == [["Stenosis.", "No stenosis."]]


def test_a_row_without_witnesses_still_waits(labels):
    frame = labels(two("s1", "canal", "present", "absent"))
    row = review_queue(frame.clear(), consensus([frame])).row(0, named=True)
    assert (row["report_key"], row["statuses"], row["quotes"]) == (None, "", [])


def test_nothing_waits_and_the_schema_stays(labels):
    assert queued(labels([])).schema == REVIEW_QUEUE
    queue = queued(labels(two("s1", "canal", "present", "present")))
    assert queue.schema == REVIEW_QUEUE
    assert queue.is_empty()
