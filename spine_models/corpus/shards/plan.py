"""Which series of a batch become slices, in the order of their tars, and which do not for what their headers say.

Belongs here: reasons that need no pixel, split and route of a series, its instances. Does not belong here: work on
pixels (``series``), tars (``write``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from spine_models.config import ShardSettings
from spine_models.corpus.header import MOSAIC
from spine_models.corpus.shards.mosaic import Sheet
from spine_models.corpus.shards.series import SeriesTask, SkipReason, Source
from spine_models.domain import Contrast, Region, Route, Split

_WHO: Final = ("batch_key", "patient_key", "study_key", "series_key")

_IS_MOSAIC: Final = pl.col("image_type").str.contains(r"(?i)MOSAIC").fill_null(False) | (
    pl.col("mosaic_tiles") > 1
).fill_null(False)
"""As ``geometry.is_mosaic`` has it of the source file."""

_UNUSABLE: Final = {
    Contrast.LOCALIZER.value: SkipReason.LOCALIZER,
    Contrast.DERIVED.value: SkipReason.DERIVED,
}
_OUTSIDE: Final = {
    Region.OTHER.value: SkipReason.REGION_OTHER,
    Region.UNKNOWN.value: SkipReason.REGION_UNKNOWN,
}


@dataclass(frozen=True)
class Plan:
    """Series in the order of their tars; a series' task is made when its turn comes, for its list of files is long.

    Attributes:
        instances: ``deid.INSTANCES``, in any order.
        series: (facts that all instances of the series share, rows of its instances), in order.
        skipped: rows of ``SKIPPED``.
        dicom: the folder that ``dicom_path`` is relative to.
    """

    instances: pl.DataFrame
    series: list[tuple[dict[str, Any], pl.Series]]
    skipped: list[dict[str, Any]]
    dicom: Path

    def __len__(self) -> int:
        return len(self.series)

    def tasks(self) -> Iterator[SeriesTask]:
        """One task a series, in order."""
        needed = self.instances.select("instance_key", "instance_number", "dicom_path", _IS_MOSAIC, *MOSAIC)
        for shared, members in self.series:
            rows = needed[members].iter_rows()
            sources = (
                Source(key, number, str(self.dicom / path), Sheet(tiles, order) if mosaic else None)
                for key, number, path, mosaic, tiles, order in rows
            )
            yield SeriesTask(**shared, instances=tuple(sources))


def plan_series(
    instances: pl.DataFrame,
    series: pl.DataFrame,
    splits: dict[str, Split],
    dicom: Path,
    settings: ShardSettings,
) -> Plan:
    """The series that pixels have to be read for, and those that they need not.

    Args:
        instances: ``deid.INSTANCES``.
        series: ``sequences.SERIES``.
        splits: of every patient.
        dicom: the folder that ``dicom_path`` is relative to.
        settings: whether other regions are kept.
    """
    facts = {row["series_key"]: row for row in series.iter_rows(named=True)}
    # Rows are numbered, not moved: a sorted copy of the batch would stay in memory to the end.
    members = (
        instances.lazy()
        .select("series_key", "instance_key")
        .with_row_index("row")
        .group_by("series_key")
        .agg(pl.col("row").sort_by("instance_key"))
        .sort("series_key")
        .collect()["row"]
    )
    planned: list[tuple[dict[str, Any], pl.Series]] = []
    skipped: list[dict[str, Any]] = []
    named = instances.select(_WHO)
    for rows in members:
        who = named.row(rows[0], named=True)
        fact = facts.get(who["series_key"])
        reason = _reason_by_header(fact, settings)
        if reason is not None or fact is None:
            reason = reason or SkipReason.UNCLASSIFIED
            skipped.append(who | {"reason": reason.value, "n": len(rows)})
            continue
        region = fact["region"] or Region.UNKNOWN.value
        split = Split.OUTSIDE if region in _OUTSIDE else splits[who["patient_key"]]
        shared = {
            "contrast": fact["contrast"],
            "route": fact["route"] or Route.OTHER.value,
            "plane": fact["plane"],
            "region": region,
            "split": split.value,
        }
        planned.append((who | shared, rows))
    planned.sort(
        key=lambda one: tuple(one[0][name] for name in ("route", "split", "study_key", "series_key"))
    )
    return Plan(instances, planned, skipped, dicom)


def _reason_by_header(fact: dict[str, Any] | None, settings: ShardSettings) -> SkipReason | None:
    if fact is None:
        return SkipReason.UNCLASSIFIED
    if fact["contrast"] in _UNUSABLE:
        return _UNUSABLE[fact["contrast"]]
    region = fact["region"] or Region.UNKNOWN.value
    if settings.other_regions == "drop" and region in _OUTSIDE:
        return _OUTSIDE[region]
    return None
