"""What the lake says of vectors that wait, on lakes with one thing changed, and of route other."""

from __future__ import annotations

import pytest

from sql.catalogue import checks
from sql.warehouse import broken_rows, open_lake
from tests.sql.tiny_lake import FIRST, SECOND, Lake, key

OTHER = {"encoder": "synthesizer-conditional", "model_version": "m-other", "preprocessing_version": "p1"}


def add_other(lake: Lake, *, embedded: tuple[str, ...] = (FIRST, SECOND)) -> None:
    """One slice of route other for every study, with a vector in the batches that are ``embedded``."""
    for n, row in enumerate(lake.rows["deid.studies"]):
        ids = {name: row[name] for name in ("batch_key", "patient_key", "study_key")}
        instance = key("localizer", n)
        series, slice_key = key("series", instance), f"{instance}-0000"
        lake.add(
            "shards.slices", **ids, series_key=series, instance_key=instance, frame=0, slice_key=slice_key,
            slice_index=0, contrast="localizer", route="other", plane="sagittal", region="lumbar", split="outside",
            shard="other/outside/shard-000000.tar", pixel_hash=key("pixels", instance), preprocessing_version="p1",
        )  # fmt: skip
        if row["batch_key"] not in embedded:
            continue
        vector = [float(n), 3.0]
        lake.add(
            "embeddings.slices", **ids, series_key=series, slice_key=slice_key, route="other", plane="sagittal",
            **OTHER, pixel_hash=key("pixels", instance), vector=vector,
        )  # fmt: skip
        lake.add(
            "embeddings.series", **ids, series_key=series, route="other", plane="sagittal", **OTHER, n_slices=1,
            vector=vector,
        )  # fmt: skip
        lake.add("embeddings.studies", **ids, route="other", **OTHER, n_series=1, n_slices=1, vector=vector)


def waiting(answer) -> list[tuple]:
    return [
        tuple(row[name] for name in ("batch_key", "route", "reason", "slices", "series", "studies"))
        for row in answer("stale_embeddings")
    ]


def moved(lake: Lake, batch: str, before: str, after: str, route: str = "t1") -> None:
    """The batch was refreshed from one model of a route to another."""
    for table in ("embeddings.slices", "embeddings.series", "embeddings.studies"):
        for row in lake.rows[table]:
            if row["batch_key"] == batch and row["route"] == route:
                row["model_version"] = after
    for row in lake.rows["embeddings.refreshed"]:
        if row["batch_key"] == batch and row["route"] == route:
            row.update(reason="new_model", model_version_before=before, model_version_after=after)


def test_nothing_waits_in_a_lake_that_is_up_to_date(answer, lake):
    assert answer("stale_embeddings") == []
    add_other(lake)
    assert answer("stale_embeddings") == []


def test_each_slice_waits_for_the_reason_it_has(answer, lake):
    first, second = (row["study_key"] for row in lake.rows["deid.studies"][:2])
    lake.drop("embeddings.slices", study_key=first, route="t1")
    lake.change("embeddings.slices", where={"study_key": first, "route": "t2"}, pixel_hash="old")
    lake.change("embeddings.slices", where={"study_key": second, "route": "t1"}, preprocessing_version="p0")
    lake.drop("shards.slices", study_key=second, route="t2")
    assert waiting(answer) == [
        (FIRST, "t1", "new_preprocessing", 1, 1, 1),
        (FIRST, "t1", "new_slice", 1, 1, 1),
        (FIRST, "t2", "new_pixels", 1, 1, 1),
        (FIRST, "t2", "vanished", 1, 1, 1),
    ]


def test_a_batch_that_was_never_embedded_waits_whole(answer, lake):
    for table in ("embeddings.slices", "embeddings.series", "embeddings.studies", "embeddings.refreshed"):
        lake.rows[table] = [row for row in lake.rows[table] if row["batch_key"] == FIRST]
    assert waiting(answer) == [(SECOND, route, "new_slice", 6, 3, 3) for route in ("t1", "t2")]


def test_route_other_waits_once_there_is_a_synthesizer(answer, lake):
    add_other(lake, embedded=())
    assert [(row[0], row[1], row[3]) for row in waiting(answer)] == [
        (FIRST, "other", 2),
        (SECOND, "other", 3),
    ]
    lake.rows["synthesizer.gates"] = []
    assert waiting(answer) == []


def test_a_batch_embedded_before_the_synthesizer_waits_and_breaks_no_rule(answer, lake, tmp_path):
    lake.rows["synthesizer.gates"] = []
    add_other(lake, embedded=(SECOND,))
    assert waiting(answer) == [(FIRST, "other", "new_slice", 2, 2, 2)]
    rule = checks()["embeddings__every_routed_slice_has_a_vector"]
    with open_lake(lake.write(tmp_path)) as connection:
        assert broken_rows(connection, rule)[0] == 0
    lake.drop("embeddings.slices", route="other")
    with open_lake(lake.write(tmp_path)) as connection:
        number, rows = broken_rows(connection, rule)
    assert (number, rows[0]["route"]) == (1, "other")


@pytest.mark.parametrize("route", ["t1", "other"])
def test_a_new_model_makes_the_other_batches_wait(answer, lake, route):
    add_other(lake)
    for batch in (FIRST, SECOND):
        lake.add("embeddings.refreshed", batch_key=batch, route="other", reason="new_slice", n_slices=3)
    # The new model has the fewer slices: what batches moved from and to decides.
    moved(lake, FIRST, f"m-{route}", "newer", route)
    (row,) = answer("stale_embeddings")
    assert (row["batch_key"], row["route"], row["reason"]) == (SECOND, route, "new_model")
    assert (row["model_version"], row["model_in_use"]) == (f"m-{route}", "newer")
    moved(lake, SECOND, f"m-{route}", "newer", route)
    assert answer("stale_embeddings") == []


def test_batches_that_moved_both_ways_follow_the_most_slices(answer, lake):
    moved(lake, FIRST, "m-t1", "newer")
    moved(lake, SECOND, "newer", "m-t1")
    assert waiting(answer) == [(FIRST, "t1", "new_model", 4, 2, 2)]


def test_what_is_stale_knows_route_other_once_it_is_embedded(answer, lake):
    add_other(lake, embedded=(SECOND,))
    found = [(r["stage"], r["batch_key"], r["reason"], r["subjects"]) for r in answer("what_is_stale")]
    assert found == [("embeddings", FIRST, "slices have no vector", 2)]


def test_a_patient_has_a_vector_of_route_other(lake, tmp_path):
    add_other(lake)
    with open_lake(lake.write(tmp_path)) as connection:
        rows = connection.execute(
            "SELECT n_studies, encoder, vector FROM embeddings.patients WHERE route = 'other' AND n_studies > 1"
        ).fetchall()
        patients = connection.execute(
            "SELECT COUNT(*) FROM embeddings.patients WHERE route = 'other'"
        ).fetchone()
    # The patient of the first and the fourth study.
    assert rows == [(2, "synthesizer-conditional", [1.5, 3.0])]
    assert patients == (4,)
