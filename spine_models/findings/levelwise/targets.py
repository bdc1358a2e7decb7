"""What reports say of every level: places, and the label of each condition at them.

A place is a level of a study, or of conditions that have a side one side of it. A report that calls a condition present
without naming a level (or, of sided ones, a side at that level) says nothing of its places; nor does one in doubt.
Where it is named by a disc though its places are vertebrae, or the other way round, the two places beside are unknown.

Belongs here: places and labels. Does not belong here: how reports are read (``corpus.statements``), vectors
(``views``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.corpus.statements import Reference, units_of_labels
from spine_models.domain import Side, condition_keys
from spine_models.findings.localization.targets import LEVELS

SIDED: Final = frozenset(
    {"neuroforaminal", "subarticular", "herniation", "pars", "cyst", "synovial", "extramedullary"}
)
"""Conditions that reports give a side to; of the others the side of a place is chance."""
SIDES: Final = (Side.LEFT.value, Side.RIGHT.value)
UNKNOWN: Final = -1


@dataclass(frozen=True)
class Kind:
    """A kind of place: a condition's places are all of one.

    Attributes:
        vertebra: vertebrae, else discs.
        sided: either side is a place of its own.
    """

    vertebra: bool
    sided: bool

    def holds(self, level: str) -> bool:
        """Whether a level is one of these."""
        return ("-" not in level) == self.vertebra


KINDS: Final = tuple(Kind(vertebra, sided) for vertebra in (False, True) for sided in (False, True))


def references(consensus: pl.DataFrame, mentions: pl.DataFrame) -> dict[str, Reference]:
    """What each study's own report says, by study key; of studies with labels alone.

    Args:
        consensus: labels.CONSENSUS.
        mentions: labels.MENTIONS.
    """
    told = {
        str(key): rows.to_dicts() for (key,), rows in mentions.partition_by("study_key", as_dict=True).items()
    }
    return {
        str(key): units_of_labels(rows.to_dicts(), told.get(str(key), ()))
        for (key,), rows in consensus.partition_by("study_key", as_dict=True).items()
    }


def kinds_of(reports: Iterable[Reference]) -> dict[str, Kind]:
    """Kind of place by condition: what reports name it by, discs where they name none more often."""
    named = Counter(
        (unit.condition, "-" not in unit.level)
        for one in reports
        for unit in one.units
        if unit.level is not None
    )
    return {
        condition: Kind(named[condition, True] > named[condition, False], condition in SIDED)
        for condition in condition_keys()
    }


def places_of(views: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """Places of a kind in the order of ``views``, left before right: study_key, level, side and ``view``, the row.

    Args:
        views: study_key and level.
        kind: of place.
    """
    own = (
        views.select("study_key", "level")
        .with_row_index("view")
        .filter(pl.col("level").str.contains("-") != kind.vertebra)
    )
    sides = list(SIDES) if kind.sided else [None]
    return own.with_columns(side=pl.lit(sides, dtype=pl.List(pl.String))).explode("side")


def labels_of(
    places: pl.DataFrame, reports: Mapping[str, Reference], conditions: Iterable[str]
) -> np.ndarray:
    """Labels int8 [N, C]: 1 where the report names the condition at the place, 0 where not, -1 where it is unknown.

    Args:
        places: ``places_of``.
        reports: by study key; of a study without one nothing is known.
        conditions: of the places' kind.
    """
    columns = list(conditions)
    where = list(places.select("study_key", "level", "side").iter_rows())
    labels = np.full((len(where), len(columns)), UNKNOWN, np.int8)
    for column, condition in enumerate(columns):
        known = {study: _said(report, condition) for study, report in reports.items()}
        for row, (study, level, side) in enumerate(where):
            said = known.get(study)
            if said is None:
                continue
            sides = said.get(level)
            if sides is None:
                labels[row, column] = UNKNOWN if _touched(level, said) else 0
            elif side is None or side in sides:
                labels[row, column] = 1
            elif None not in sides:
                labels[row, column] = 0
    return labels


def _touched(level: str, named: Iterable[str]) -> bool:
    """Whether a disc and a vertebra beside it are meant: reports name what lies between by either."""
    return any(abs(LEVELS[level] - LEVELS[other]) == 0.5 for other in named)


def _said(report: Reference, condition: str) -> dict[str, set[str | None]] | None:
    """Sides by level of a condition; None where its places are unknown."""
    if condition in report.excluded:
        return None
    found: dict[str, set[str | None]] = {}
    for unit in report.units:
        if unit.condition != condition:
            continue
        if unit.level is None:
            return None
        both = unit.side == Side.BILATERAL
        # A side that is neither says no more than none.
        named = SIDES if both else (unit.side if unit.side in SIDES else None,)
        found.setdefault(unit.level, set()).update(named)
    return found
