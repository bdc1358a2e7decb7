from __future__ import annotations

from concurrent.futures import Future

import polars as pl

from spine_models.corpus.shards import rows, write
from spine_models.corpus.shards.rows import Rows

SCHEMA = pl.Schema({"key": pl.String, "n": pl.Int32, "place": pl.List(pl.Float64)})


def test_rows_come_back_sorted_whatever_was_spilled(monkeypatch):
    made = [{"key": f"{n * 7 % 100:03d}", "n": n, "place": [float(n)] if n % 3 else None} for n in range(100)]
    expected = pl.DataFrame(made, schema=SCHEMA).sort("key")
    for chunk in (1, 9, 100, 1000):
        monkeypatch.setattr(rows, "_CHUNK", chunk)
        with Rows(SCHEMA) as table:
            table.extend(made[:33])
            table.extend(iter(made[33:]))
            assert table.sorted("key").equals(expected)


def test_no_rows_keep_their_schema():
    with Rows(SCHEMA) as table:
        assert table.sorted("key", "n").schema == SCHEMA


def test_results_keep_their_order_and_only_a_few_are_given_out():
    given: list[int] = []

    class Pool:
        def submit(self, work, task) -> Future:
            given.append(task)
            done: Future = Future()
            done.set_result(work(task))
            return done

    results = write._in_order(Pool(), lambda n: n * n, iter(range(10)), 3)
    assert next(results) == 0
    assert given == [0, 1, 2]
    assert list(results) == [n * n for n in range(1, 10)]
    assert given == list(range(10))
