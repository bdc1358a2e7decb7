"""Where an affirmed condition is seen: flagged levels and the localizers' boxes as the places of a claim.

Where heads of levels judged a study, its places are the levels that they flag, with the localizer's box where that lies
at the same level (and side), else with one that shows the level. What is present though no level is flagged is
shown by the first box, which then names none. In all other studies places are the boxes.

A box that annotations taught names a level, where its count is settled, and the side of what has sides. A box that was
found with the study's head alone (``weak``) shows where that head looked; it names neither, since nothing has shown
that it could. A further place is claimed only with a calibrated confidence, and only where it says something new.

Belongs here: from findings to places. Does not belong here: finding them (``findings.localization``), text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from spine_models.config import AgentSettings
from spine_models.findings.levelwise.targets import SIDED
from spine_models.findings.localization.reading import SUPERVISED
from spine_models.reporting.agents.status import Judged
from spine_models.reporting.agents.tables import PLACE
from spine_models.reporting.agents.versions import AgentsError

LEVEL: Final = "level"
"""Supervision of a place that a head of levels flags where no box was found: the box only shows where the level is."""

Place = dict[str, Any]
Places = dict[tuple[str, str], list[Place]]
"""Places by study and condition, best first."""


def places_of(findings: pl.DataFrame, slices: pl.DataFrame, settings: AgentSettings) -> Places:
    """The places of every study and condition that was localized; ``severity`` is still null.

    Args:
        findings: ``localization.FINDINGS``.
        slices: ``shards.SLICES`` of the same studies, for instance and frame.
        settings: least confidence of further places.

    Raises:
        AgentsError: a box on a slice that is not among ``slices``.
    """
    own = findings.join(
        slices.select("slice_key", "instance_key", "frame"), on="slice_key", how="left", maintain_order="left"
    )
    if own["instance_key"].null_count():
        raise AgentsError(
            "localization/findings names slices that shards/slices lacks: materialise localization/findings again"
        )
    found: Places = {}
    for row in own.sort("study_key", "condition", "rank").iter_rows(named=True):
        kept = found.setdefault((row["study_key"], row["condition"]), [])
        place = _place(row)
        if not kept or _adds(place, kept, settings):
            kept.append(place)
    return found


def judged_places(levels: pl.DataFrame, slices: pl.DataFrame, boxes: Places) -> Places:
    """The flagged places of every study and condition that heads of levels judged; empty where none is flagged.

    Args:
        levels: levelwise FINDINGS.
        slices: ``shards.SLICES`` of the same studies, for instance and frame.
        boxes: ``places_of`` the same studies.

    Raises:
        AgentsError: a place on a slice that is not among ``slices``.
    """
    own = levels.join(
        slices.select("slice_key", "instance_key", "frame"), on="slice_key", how="left", maintain_order="left"
    )
    if own["instance_key"].null_count():
        raise AgentsError(
            "localization/level_findings names slices that shards/slices lacks: materialise"
            " localization/level_findings again"
        )
    found: Places = {}
    for row in own.sort("study_key", "condition", "rank").iter_rows(named=True):
        where = (row["study_key"], row["condition"])
        kept = found.setdefault(where, [])
        if row["flagged"]:
            kept.append(_judged(row, boxes.get(where, [])))
    return found


def judged_by(flagged: list[Place] | None) -> Judged | None:
    """What flagged places say of the whole study; None where its levels were not judged."""
    if flagged is None:
        return None
    return Judged(max((place["confidence"] for place in flagged), default=None))


def unnamed(boxes: list[Place]) -> list[Place]:
    """The first box without level or side: heads of levels looked and flagged none, so none is named."""
    return [box | {"level": None, "side": None, "level_uncertain": True} for box in boxes[:1]]


def bare_place(level: str | None, side: str | None, confidence: float) -> Place:
    """A place that is known by level and side alone, without a box."""
    known = {
        "level": level, "side": side, "confidence": confidence, "level_uncertain": level is None, "supervision": LEVEL
    }  # fmt: skip
    return {field.name: known.get(field.name) for field in PLACE.fields}


def _judged(row: Mapping[str, Any], boxes: list[Place]) -> Place:
    level = None if row["level_uncertain"] else row["level"]
    said = {
        "level": level,
        "side": row["side"],
        "confidence": row["probability"],
        "level_uncertain": level is None,
    }
    for box in boxes:
        if (
            box["supervision"] == SUPERVISED
            and level is not None
            and (box["level"], box["side"]) == (level, row["side"])
        ):
            return box | said
    shown = {field.name: row[field.name] for field in PLACE.fields if field.name in row}
    return shown | said | {"severity": None, "supervision": LEVEL}


def graded(places: list[Place], severity: str | None) -> list[Place]:
    """The same places with the study's severity at the first; a grade is that of the worst place, and there is one."""
    return [place | {"severity": severity if n == 0 else None} for n, place in enumerate(places)]


def _place(row: Mapping[str, Any]) -> Place:
    taught = row["supervision"] == SUPERVISED
    level = row["level"] if taught and not row["level_uncertain"] else None
    named = {
        "level": level,
        "side": row["side"] if taught and row["condition"] in SIDED else None,
        "severity": None,
        "confidence": row["confidence_if_present"],
        "level_uncertain": level is None,
    }
    return named | {field.name: row[field.name] for field in PLACE.fields if field.name not in named}


def _adds(place: Place, kept: list[Place], settings: AgentSettings) -> bool:
    sure = place["confidence"] is not None and place["confidence"] >= settings.further_confidence
    known = {(one["level"], one["side"]) for one in kept}
    return sure and place["level"] is not None and (place["level"], place["side"]) not in known
