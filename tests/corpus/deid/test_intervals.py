"""The second reading of dates: what the engine did passes, one date moved otherwise does not."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import polars as pl
import pytest

from spine_models.config import ArchiveSettings, DeidSettings
from spine_models.corpus.archive import ArchiveTables, index_batch, scan_inbox
from spine_models.corpus.deid import date_integrity, deidentify_batch
from spine_models.corpus.deid.tables import DATE_INTEGRITY
from tests.corpus.deid.objects import KEY, write_inbox

PROBLEMS = ("wrong_intervals", "wrong_dates", "beyond_bound")


@pytest.fixture(scope="module", params=["shift", "year_only"])
def released(request, tmp_path_factory) -> tuple[ArchiveTables, dict[str, pl.DataFrame], DeidSettings]:
    folder: Path = tmp_path_factory.mktemp("intervals")
    settings = ArchiveSettings(workers=1)
    ledger = scan_inbox(write_inbox(folder / "inbox"), cohort="site", ledger=None, settings=settings)
    archive = index_batch(ledger, "site-0001", settings=settings)
    chosen = DeidSettings(workers=1, dates=request.param)
    out = deidentify_batch(archive, key=KEY, out=folder / "out", settings=chosen)
    return archive, {f.name: getattr(out, f.name) for f in fields(out) if f.name != "crosswalk"}, chosen


def test_what_the_batch_released_has_no_problem(released):
    archive, tables, settings = released
    frame = date_integrity(archive, tables, key=KEY, settings=settings)
    assert frame.schema == DATE_INTEGRITY
    (row,) = frame.iter_rows(named=True)
    assert (row["n_studies"], row["n_encounters"], row["n_orders"]) == (1, 2, 1)
    assert {row[name] for name in PROBLEMS} == {0}
    if settings.dates == "shift":
        assert (row["n_intervals"], row["report_dates_unproved"]) == (3, 0)
        assert row["n_report_dates"] >= 1


@pytest.mark.parametrize(
    ("table", "column"),
    [("studies", "study_date"), ("ehr_encounters", "admit_date"), ("ehr_orders", "order_date")],
)
def test_a_date_that_moved_otherwise_is_found(released, table, column):
    archive, tables, settings = released
    for other, beyond in (("2031-01-01", 1), ("2024-03-06", 0), ("2024-03-05", 1)):
        changed = tables | {table: tables[table].with_columns(pl.lit(other).alias(column))}
        (row,) = date_integrity(archive, changed, key=KEY, settings=settings).iter_rows(named=True)
        if settings.dates == "year_only":
            assert row["wrong_dates"] == (other[:4] != "2024")
            continue
        assert row["wrong_dates"] == 1
        assert row["beyond_bound"] == beyond
        assert row["wrong_intervals"] >= 1
