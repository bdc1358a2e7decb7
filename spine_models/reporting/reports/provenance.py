"""Where a sentence comes from: claim, agent, slice and box, one row each.

Belongs here: rows of ``tables.PROVENANCE``. Does not belong here: deciding what a sentence rests on (``assembly``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spine_models.reporting.reports.assembly import Sentence


def provenance_rows(
    identity: Mapping[str, str], sentence_key: object, sentence: Sentence
) -> Iterator[dict[str, Any]]:
    """One row per claim and place that ``sentence`` says; one without a place for what it says of the whole study.

    Args:
        identity: batch_key and study_key of the sentence.
        sentence_key: of the sentence.
        sentence: with its claims and their units.
    """
    for said in sentence.said:
        claim = said.claim
        row: dict[str, Any] = {
            "batch_key": identity["batch_key"],
            "study_key": identity["study_key"],
            "sentence_key": sentence_key,
            "claim_key": claim.key,
            "agent": claim.agent,
            "agent_version": claim.agent_version,
            "condition": claim.condition,
            "model_versions": list(claim.model_versions),
        }
        if not said.places:
            yield row
        for place in said.places:
            box = None if place.box is None else dict(zip("xywh", place.box, strict=True))
            yield row | {
                "place": claim.places.index(place) + 1,
                "level": place.level,
                "side": place.side,
                "severity": place.severity,
                "supervision": place.supervision,
                "series_key": place.series_key,
                "slice_key": place.slice_key,
                "instance_key": place.instance_key,
                "frame": place.frame,
                "box": box,
                "centre_mm": None if place.centre_mm is None else list(place.centre_mm),
            }
