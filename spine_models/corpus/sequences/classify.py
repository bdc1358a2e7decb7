"""The per-series table: contrast, route, plane and region of every series of a batch.

Belongs here: one judgement per series from the headers of its instances, abstention, geometry.
Does not belong here: rules on names and times (`contrast`), pixels, identifiers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import polars as pl

from spine_models.config import SequenceSettings
from spine_models.corpus.geometry import FrameGeometry, series_geometry
from spine_models.corpus.sequences.contrast import judge
from spine_models.corpus.sequences.region import region_of
from spine_models.corpus.sequences.tables import SERIES
from spine_models.corpus.sequences.verdict import Facts, Verdict
from spine_models.domain import ROUTE_OF_CONTRAST, Contrast, Route

CLASSIFIER_VERSION: Final = "1"
"""Changes with every change of a rule, so that tables made by another version are stale."""

_FACTS: Final = tuple(field.name for field in fields(Facts))
_PLACE: Final = ("batch_key", "patient_key", "study_key", "series_key")
_SCANNER: Final = ("vendor", "scanner_model", "field_strength_t", "tr_ms", "te_ms", "ti_ms")
_MAJORITY: Final = 0.8

Row = dict[str, Any]


def classify_series(instances: pl.DataFrame, *, settings: SequenceSettings) -> pl.DataFrame:
    """`SERIES` from the released instances (``deid.INSTANCES``): one row per series, sorted by key.

    Every kind of header in a series is judged; a series holds what at least four fifths of its instances are,
    and one that mixes kinds (all parts of a Dixon, both echoes of a PD/T2) is abstained on. Below
    ``settings.min_confidence`` the contrast is null and the route is other.
    """
    rows = [
        _series_row(group.to_dicts(), settings)
        for _, group in instances.sort(*_PLACE, "instance_number", "instance_key").group_by(
            _PLACE, maintain_order=True
        )
    ]
    return pl.DataFrame(rows, schema=SERIES).sort(_PLACE)


def _series_row(rows: Sequence[Row], settings: SequenceSettings) -> Row:
    verdict = _series_verdict(rows)
    abstained = verdict.contrast is None or verdict.confidence < settings.min_confidence
    contrast = None if abstained else verdict.contrast
    region = region_of(
        *(_commonest(rows, name) for name in ("series_description", "protocol_name", "body_part"))
    )
    return {
        **{name: rows[0][name] for name in _PLACE},
        "contrast": contrast.value if contrast is not None else None,
        "route": (ROUTE_OF_CONTRAST[contrast] if contrast is not None else Route.OTHER).value,
        "region": region.value,
        "confidence": round(verdict.confidence, 4),
        "abstained": abstained,
        "rule": verdict.rule,
        "disagreement": verdict.disagreement,
        "n_instances": len(rows),
        **_lies(rows),
        **{name: _commonest(rows, name) for name in _SCANNER},
    }


def _series_verdict(rows: Sequence[Row]) -> Verdict:
    kinds = Counter(Facts(**{name: row[name] for name in _FACTS}) for row in rows)
    verdicts = [(judge(facts), count) for facts, count in kinds.items()]
    votes: Counter[Contrast | None] = Counter()
    for verdict, count in verdicts:
        votes[verdict.contrast] += count
    contrast, count = votes.most_common(1)[0]
    share = count / len(rows)
    members = [(verdict, n) for verdict, n in verdicts if verdict.contrast is contrast]
    if share < _MAJORITY:
        names = ", ".join(sorted(c.value if c is not None else "unknown" for c in votes))
        return Verdict(None, min(v.confidence for v, _ in verdicts) * share, f"mixed_series: {names}")
    confidence = share * sum(v.confidence * n for v, n in members) / count
    best = max(members, key=lambda member: member[1])[0]
    disagreement = next((v.disagreement for v, _ in members if v.disagreement is not None), None)
    return Verdict(contrast, confidence, best.rule, disagreement)


def _lies(rows: Sequence[Row]) -> Row:
    """Plane, number of slices and their spacing; of objects with many frames, as far as the first frame tells."""
    geometry = series_geometry([FrameGeometry(_tuple(row["iop"]), _tuple(row["ipp_mm"])) for row in rows])
    spacing = _commonest(rows, "spacing_between_mm") or _commonest(rows, "slice_thickness_mm")
    frames = max(row["frames"] or 1 for row in rows)
    if any("MOSAIC" in (row["image_type"] or "").upper() for row in rows):
        slices: int | None = None  # the number of tiles is in a private element, which is not released
    elif frames > 1:
        slices = frames
    else:
        return {
            "plane": geometry.plane.value,
            "n_slices": geometry.n_slices,
            "slice_spacing_mm": geometry.slice_spacing_mm,
        }
    return {"plane": geometry.plane.value, "n_slices": slices, "slice_spacing_mm": spacing}


def _commonest(rows: Sequence[Row], name: str) -> Any:
    values = Counter(row[name] for row in rows if row[name] is not None)
    return values.most_common(1)[0][0] if values else None


def _tuple(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return tuple(values) if values is not None else None
