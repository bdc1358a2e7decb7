"""What ``shard_sizes`` and ``data_quality`` answer, on the tiny lake and with one thing changed."""

from __future__ import annotations

import pytest


def test_shard_sizes_add_up(answer, lake):
    for n, row in enumerate(lake.rows["shards.slices"]):
        row.update(member_bytes=1000 + n, size_px=32)
    rows = answer("shard_sizes")
    total = rows[-1]
    count = len(lake.rows["shards.slices"])
    assert (total["batch_key"], total["route"], total["slices"]) == ("all", "all", count)
    assert total["bytes"] == sum(range(1000, 1000 + count))
    assert total["share"] == 1.0
    assert total["bits_per_pixel"] == pytest.approx(8 * total["bytes"] / count / 32**2)
    finest = [row for row in rows if row["route"] != "all"]
    batches = [row for row in rows[:-1] if row["route"] == "all"]
    for parts in (finest, batches):
        assert sum(row["bytes"] for row in parts) == total["bytes"]
        assert sum(row["share"] for row in parts) == pytest.approx(1)
        assert sum(row["slices"] for row in parts) == count
    assert {(row["route"], row["contrast"]) for row in finest} == {("t1", "T1"), ("t2", "STIR")}
    assert len({(row["batch_key"], row["route"], row["split"], row["contrast"]) for row in rows}) == len(rows)


def test_shard_sizes_of_series_that_nobody_could_name(answer, lake):
    for row in lake.rows["shards.slices"]:
        row.update(member_bytes=10, size_px=8, contrast=None)
    assert {row["contrast"] for row in answer("shard_sizes")} == {"abstained", "all"}


def test_shard_sizes_of_nothing(answer, lake):
    lake.rows["shards.slices"].clear()
    assert answer("shard_sizes") == []


def test_data_quality_counts_by_vendor_and_lists_flagged_series(answer, lake):
    count = len(lake.rows["shards.quality"])
    rows = answer("data_quality")
    assert [(row["scope"], row["vendor"], row["series"], row["flagged"]) for row in rows] == [
        ("vendor", "Siemens", count, 0)
    ]
    assert rows[0]["snr"] == 20.0
    bad = lake.rows["shards.quality"][2]
    bad.update(flags=["low_snr", "missing_slices"], snr=3.0, missing_slices=2)
    lake.rows["shards.quality"][3].update(flags=["clipped"])
    rows = answer("data_quality")
    assert (rows[0]["flagged"], rows[0]["missing_slices"]) == (2, 2)
    assert [(row["scope"], row["flags"]) for row in rows[1:]] == [
        ("series", "low_snr, missing_slices"),
        ("series", "clipped"),
    ]
    assert rows[1]["series_key"] == bad["series_key"]


def test_data_quality_finds_a_series_far_from_its_like(answer, lake):
    alike = [row for row in lake.rows["shards.quality"] if row["contrast"] == "T1"]
    for n, row in enumerate(alike):
        row.update(snr=20.0 + n, motion_score=0.001 * n)
    alike[-1].update(snr=1.0, motion_score=0.04)
    found = [row for row in answer("data_quality") if row["scope"] == "series"]
    assert [row["series_key"] for row in found] == [alike[-1]["series_key"]]
    assert found[0]["snr_deviation"] < -4
    assert found[0]["motion_deviation"] > 4


def test_a_series_without_a_vendor_counts_as_unknown(answer, lake):
    for row in lake.rows["sequences.series"]:
        row["vendor"] = None
    assert {row["vendor"] for row in answer("data_quality")} == {"unknown"}
