"""What a report needs of a claim: its status, its places, and the units that its sentences must say.

Belongs here: one row of ``agents.CLAIMS`` as an object, and which of its places a unit is about. Does not belong here:
choosing what is said (``graph``), words (``phrasing``).

A report says sides only of what has one: a box right of the midline does not make a canal stenosis a right-sided one.
What a region's readers name by vertebra and an agent placed at a disc is said of that disc, and read as both bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from spine_models.corpus.labels.rules.lexicon import lexicon
from spine_models.corpus.statements import Unit, merged
from spine_models.reporting.agents import ClaimStatus

UNCERTAIN: Final = "possible"
"""Certainty of an affirmed claim that tells none."""


@dataclass(frozen=True)
class Place:
    """One place of an affirmed claim; the box is in pixels of the source frame, null where there is none."""

    level: str | None
    side: str | None
    severity: str | None
    confidence: float | None
    supervision: str | None
    series_key: str | None
    slice_key: str | None
    instance_key: str | None
    frame: int | None
    box: tuple[float, float, float, float] | None
    centre_mm: tuple[float, ...] | None

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Place:
        """From one entry of ``places``."""
        box = (entry["x"], entry["y"], entry["w"], entry["h"])
        return cls(
            **{
                name: entry[name]
                for name in (
                    "level", "side", "severity", "confidence", "supervision", "series_key", "slice_key",
                    "instance_key", "frame",
                )
            },
            box=None if None in box else box,
            centre_mm=None if entry["centre_mm"] is None else tuple(entry["centre_mm"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """One condition of one study, as its agent speaks of it."""

    key: str
    agent: str
    agent_version: str
    condition: str
    status: ClaimStatus
    affirmed: bool
    certainty: str
    reason: str | None
    probability: float | None
    places: tuple[Place, ...]
    source_series: tuple[str, ...]
    model_versions: tuple[str, ...]

    @classmethod
    def of(cls, row: dict[str, Any]) -> Claim:
        """From one row of ``agents.CLAIMS``."""
        return cls(
            key=row["claim_key"],
            agent=row["agent"],
            agent_version=row["agent_version"],
            condition=row["condition"],
            status=ClaimStatus(row["status"]),
            affirmed=bool(row["affirmed"]),
            certainty=row["certainty"] or UNCERTAIN,
            reason=row["reason"],
            probability=row["probability"],
            places=tuple(Place.of(place) for place in row["places"] or ()),
            source_series=tuple(row["source_series"] or ()),
            model_versions=tuple(row["model_versions"] or ()),
        )

    @property
    def absent(self) -> bool:
        """Whether its agent says that the condition is not there."""
        return self.status == ClaimStatus.ABSENT and not self.affirmed

    @property
    def undetermined(self) -> bool:
        """Whether its agent looked and could not tell."""
        return self.status == ClaimStatus.INDETERMINATE and not self.affirmed

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """What a text must say of it, folded and from head to tail; empty where nothing is affirmed."""
        if not self.affirmed:
            return ()
        places = self.places or (None,)
        return tuple(merged(unit for place in places for unit in self._units(place)))

    def places_of(self, units: Sequence[Unit]) -> tuple[Place, ...]:
        """The places behind some of its units, best first."""
        wanted = {(unit.level, unit.side) for unit in units}
        return tuple(
            place
            for place in self.places
            if any(
                (level in (part.level, None) and side in (part.side, None))
                or (part.level in (level, None) and part.side in (side, None))
                for part in merged(self._units(place))
                for level, side in wanted
            )
        )  # fmt: skip

    def _units(self, place: Place | None) -> list[Unit]:
        if place is None:
            return [Unit(self.condition, certainty=self.certainty)]
        phrases = lexicon().of(self.condition)
        side = place.side if phrases.lateral else None
        levels: Sequence[str | None] = (place.level,)
        if place.level is not None and phrases.level_kind == "vertebra":
            levels = place.level.split("-")
        return [Unit(self.condition, level, side, place.severity, self.certainty) for level in levels]
