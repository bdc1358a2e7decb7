"""What was examined: the body region of a study and the sequences in it, read from its series.

Belongs here: the one rule that turns per-series regions into a study's region, used by agents and reports.
Does not belong here: classifying a series (``corpus.sequences``) or wording (``reporting.reports``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from spine_models.domain import Contrast, Plane, Region, Route

SPINE_PARTS: Final[tuple[Region, ...]] = (Region.CERVICAL, Region.THORACIC, Region.LUMBAR)
READ_ROUTES: Final[tuple[Route, ...]] = (Route.T1, Route.T2)
"""Routes that have an encoder, and so can be read by a diagnosis agent."""

SCOUTS: Final = frozenset({Contrast.LOCALIZER, Contrast.DERIVED})
"""Series made to plan or to summarise others; they say little of a study."""


@dataclass(frozen=True)
class SeriesFacts:
    """One series as a reader would name it; ``contrast`` is None where the classifier abstained."""

    series_key: str
    contrast: Contrast | None
    plane: Plane
    region: Region
    route: Route
    field_strength_t: float | None


@dataclass(frozen=True)
class Examination:
    """Region and series of one study; ``parts`` lists the spine parts found, several under Region.SPINE."""

    region: Region
    parts: tuple[Region, ...]
    series: tuple[SeriesFacts, ...]

    @property
    def is_spine(self) -> bool:
        """Whether any part of the spine was found in it."""
        return self.region in (*SPINE_PARTS, Region.SPINE)

    @property
    def readable(self) -> bool:
        """Whether it has a series that an encoder takes."""
        return any(series.route in READ_ROUTES for series in self.series)


def examinations(series: pl.DataFrame) -> dict[str, Examination]:
    """The examination of every study in ``series`` (``sequences.SERIES``), by study_key.

    A study has the region of its series when they name one part of the spine; SPINE when they name several or
    none in particular; OTHER when every series is of another body part; UNKNOWN otherwise. Localizers and
    derived series vote only where there is nothing else.
    """
    columns = ("study_key", "series_key", "contrast", "plane", "region", "route", "field_strength_t")
    found: dict[str, list[SeriesFacts]] = {}
    for row in series.select(columns).sort("study_key", "series_key").iter_rows(named=True):
        found.setdefault(row["study_key"], []).append(
            SeriesFacts(
                series_key=row["series_key"],
                contrast=Contrast(row["contrast"]) if row["contrast"] is not None else None,
                plane=Plane(row["plane"] or Plane.UNKNOWN),
                region=Region(row["region"] or Region.UNKNOWN),
                route=Route(row["route"] or Route.OTHER),
                field_strength_t=row["field_strength_t"],
            )
        )
    return {study: examination_of(tuple(members)) for study, members in found.items()}


def examination_of(series: tuple[SeriesFacts, ...]) -> Examination:
    """The examination that ``series`` (of one study; may be empty) make up."""
    voters = [s for s in series if s.contrast not in SCOUTS] or list(series)
    regions = {s.region for s in voters}
    parts = tuple(part for part in SPINE_PARTS if part in regions)
    if len(parts) == 1:
        region = parts[0]
    elif parts or Region.SPINE in regions:
        region = Region.SPINE
    elif regions == {Region.OTHER}:
        region = Region.OTHER
    else:
        region = Region.UNKNOWN
    return Examination(region=region, parts=parts, series=series)
