"""What refreshes did and why, kept as they happen and read back as one table.

Belongs here: writing a refresh's lines down, and showing them. Does not belong here: deciding what is due
(``refreshing``), the table as an asset (``assets.reporting.reports``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import polars as pl

from pipelines.runtime.resources import Hospital


@dataclass(frozen=True)
class Refreshed:
    """One line of a refresh.

    Args:
        batch: the partition; None for the whole lake.
        stage: stage word.
        job: that made it.
        reasons: why.
        seconds: of the job; None where it was only requested.
        outcome: refreshed, failed, requested, or waits.
    """

    batch: str | None
    stage: str
    job: str
    reasons: tuple[str, ...]
    seconds: float | None
    outcome: str


def note(hospital: Hospital, trigger: str, rows: Sequence[Refreshed], at: datetime | None = None) -> None:
    """Write the lines of one refresh down.

    Args:
        hospital: whose.
        trigger: ``command`` or ``schedule``.
        rows: its lines.
        at: when it began to say so; now where None.
    """
    from spine_models.reporting.reports.tables import NIGHTS

    when = at or datetime.now(UTC)
    began = when.replace(tzinfo=None)
    lines = [
        (when.strftime("%Y-%m-%d"), began, trigger, hospital.lake.generation, r.batch, r.stage, r.job,
         list(r.reasons), r.seconds, r.outcome)
        for r in rows
    ]  # fmt: skip
    hospital.note_refresh(
        pl.DataFrame(lines, schema=NIGHTS, orient="row"), f"{when:%Y%m%dT%H%M%S%f}-{trigger}"
    )


def told(rows: Sequence[Refreshed]) -> list[str]:
    """A refresh in lines for a terminal: by stage, how many batches, why, how long."""
    lines = []
    for outcome in ("refreshed", "failed", "waits"):
        mine = [row for row in rows if row.outcome == outcome]
        for stage in dict.fromkeys(row.stage for row in mine):
            of_stage = [row for row in mine if row.stage == stage]
            why: dict[str, int] = {}
            for reason in (reason for row in of_stage for reason in row.reasons):
                why[reason] = why.get(reason, 0) + 1
            batches = {row.batch for row in of_stage if row.batch is not None}
            where = f"{len(batches)} batches" if batches else "the whole lake"
            because = ", ".join(f"{reason} ({n})" if n > 1 else reason for reason, n in why.items())
            lines.append(f"{outcome} {stage}: {where}; {because}")
    return lines


class Noted(list[Refreshed]):
    """Lines of a refresh, on the disk as they come, so that one that is killed has told what it did."""

    def __init__(self, hospital: Hospital) -> None:
        super().__init__()
        self._hospital, self._began = hospital, datetime.now(UTC)

    def __iadd__(self, rows: Iterable[Refreshed]) -> Self:
        """Keep more lines."""
        self.extend(rows)
        note(self._hospital, "command", self, self._began)
        return self
