"""The per-series table: contrast, route, plane and region of every series of a batch, and what contradicts it.

Belongs here: one judgement per series from the headers of its instances, abstention, geometry.
Does not belong here: rules on names and times (`contrast`), who decides (`decision`), decoding (`middle_slices`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.config import SequenceSettings
from spine_models.corpus.geometry import FrameGeometry, series_geometry
from spine_models.corpus.sequences.attributes import contrast_agent, diffusion_weightings, part_of_dixon
from spine_models.corpus.sequences.contrast import judge
from spine_models.corpus.sequences.decision import Decision, Opinion, by_header, is_open, with_pixels
from spine_models.corpus.sequences.disagreements import disagreement_rows, summary
from spine_models.corpus.sequences.header_model import CLASSES, header_model
from spine_models.corpus.sequences.region import region_with_evidence
from spine_models.corpus.sequences.study_context import regions_from_grades, regions_from_siblings
from spine_models.corpus.sequences.tables import DISAGREEMENTS, SERIES
from spine_models.corpus.sequences.verdict import Facts, Verdict, is_silent
from spine_models.domain import ROUTE_OF_CONTRAST, Contrast, Route

CLASSIFIER_VERSION: Final = "3"
"""Changes with every change of a rule or a model, so that tables made by another version are stale."""

_PLACE: Final = ("batch_key", "patient_key", "study_key", "series_key")
_ORDER: Final = ("instance_number", "instance_key")
_FACTS: Final = tuple(field.name for field in fields(Facts))
_OF_KIND: Final = (*_FACTS, "scanner_model", "body_part", "spacing_between_mm")
_SCANNER: Final = ("vendor", "scanner_model", "field_strength_t", "tr_ms", "te_ms", "ti_ms")
_MAJORITY: Final = 0.8

Row = dict[str, Any]
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class SequenceTables:
    """``series`` is `SERIES`, one row a series; ``disagreements`` is `DISAGREEMENTS`, one row a contradiction."""

    series: pl.DataFrame
    disagreements: pl.DataFrame


@dataclass(frozen=True)
class _Kind:
    """One kind of header within a series: how many instances have it, and what the two readers say of it."""

    row: Row
    count: int
    facts: Facts
    verdict: Verdict
    probabilities: np.ndarray


def classify_series(instances: pl.DataFrame, *, settings: SequenceSettings) -> pl.DataFrame:
    """The `SERIES` of `classify_batch`, by headers alone."""
    return classify_batch(instances, settings=settings).series


def classify_batch(
    instances: pl.DataFrame,
    *,
    settings: SequenceSettings,
    dicom: Path | None = None,
    annotations: pl.DataFrame | None = None,
) -> SequenceTables:
    """Both tables, sorted by key, from the released instances (``deid.INSTANCES``).

    Every kind of header is judged once, however many instances share it; a series holds what at least four fifths
    of its instances are, and one that mixes kinds (all parts of a Dixon, both echoes of a PD/T2) is abstained on.
    Without a decision the contrast is null and the route is other.

    Args:
        instances: rows of ``deid.INSTANCES``.
        settings: limits.
        dicom: folder of the batch's released files; with it, and ``settings.pixels``, the middle slices are read of
            those series that their headers leave open. None: headers alone.
        annotations: ``deid.ANNOTATIONS``; their graded levels tell the region of a study that names none.
    """
    if instances.is_empty():
        return SequenceTables(pl.DataFrame(schema=SERIES), pl.DataFrame(schema=DISAGREEMENTS))
    kinds = _kinds(instances.with_columns(pixel_mm=pl.col("pixel_spacing_mm").list.first()))
    lying = _lying(instances)
    heard = {key: _heard(members) for key, members in kinds.items()}
    decided = {key: by_header(*heard[key], settings) for key in heard}
    pixels: dict[Key, Opinion] = {}
    if dicom is not None and settings.pixels:
        open_ones = [key for key, decision in decided.items() if is_open(heard[key][0], decision)]
        pixels = _pixel_opinions(instances, open_ones, dicom)
        for key, opinion in pixels.items():
            silent = all(is_silent(kind.facts) for kind in kinds[key])
            decided[key] = with_pixels(*heard[key], opinion, settings, silent=silent)
    rows, disagreements = [], []
    for key in sorted(kinds):
        rows.append(_row(key, kinds[key], lying[key], heard[key], pixels.get(key), decided[key]))
        rules = heard[key][0]
        against = disagreement_rows([k.facts for k in kinds[key]], rules, decided[key])
        rows[-1]["disagreement"] = summary(against)
        disagreements += [dict(zip(_PLACE, key, strict=True)) | row for row in against]
    series = regions_from_siblings(pl.DataFrame(rows, schema=SERIES))
    if annotations is not None:
        series = regions_from_grades(series, annotations)
    contradictions = pl.DataFrame(disagreements, schema=DISAGREEMENTS)
    return SequenceTables(series.sort(_PLACE), contradictions.sort(*_PLACE, "about", "source_a", "source_b"))


def facts_of_row(row: Mapping[str, Any]) -> Facts:
    """The facts of one row with the columns of ``deid.INSTANCES``; a column that is absent is null."""
    spacing = row.get("pixel_spacing_mm")
    known = {name: row.get(name) for name in _FACTS}
    return Facts(**known | {"pixel_mm": row.get("pixel_mm", spacing[0] if spacing else None)})


def _kinds(instances: pl.DataFrame) -> dict[Key, list[_Kind]]:
    """Kinds of header by series, most frequent first, each judged once in the whole batch."""
    rows = (
        instances.select(*_PLACE, *_OF_KIND, *_ORDER)
        .group_by(*_PLACE, *_OF_KIND)
        .agg(pl.len().alias("count"), pl.col("instance_number").min(), pl.col("instance_key").min())
        .sort(*_PLACE, *_ORDER)
        .to_dicts()
    )
    facts = [Facts(**{name: row[name] for name in _FACTS}) for row in rows]
    distinct = list(dict.fromkeys(facts))
    verdicts = {fact: judge(fact) for fact in distinct}
    probabilities = dict(zip(distinct, header_model().probabilities(distinct), strict=True))
    found: dict[Key, list[_Kind]] = {}
    for row, fact in zip(rows, facts, strict=True):
        key = tuple(row[name] for name in _PLACE)
        kind = _Kind(row, row["count"], fact, verdicts[fact], probabilities[fact])
        found.setdefault(key, []).append(kind)
    return found


def _heard(kinds: Sequence[_Kind]) -> tuple[Verdict, Opinion]:
    """What the rules and what the model say of the series as a whole; of a mixture the model says nothing either."""
    total = sum(kind.count for kind in kinds)
    mean = sum(kind.probabilities * kind.count for kind in kinds) / total
    best = int(mean.argmax())
    for_best = sum(kind.count for kind in kinds if int(kind.probabilities.argmax()) == best)
    if for_best < _MAJORITY * total:
        return _majority(kinds, total), Opinion(None, 0.0)
    return _majority(kinds, total), Opinion(CLASSES[best], header_model().confidence(float(mean[best])), mean)


def _majority(kinds: Sequence[_Kind], total: int) -> Verdict:
    votes: Counter[Contrast | None] = Counter()
    for kind in kinds:
        votes[kind.verdict.contrast] += kind.count
    contrast, count = votes.most_common(1)[0]
    share = count / total
    if share < _MAJORITY:
        names = ", ".join(sorted(c.value if c is not None else "unknown" for c in votes))
        return Verdict(None, min(k.verdict.confidence for k in kinds) * share, f"mixed_series: {names}")
    members = [kind for kind in kinds if kind.verdict.contrast is contrast]
    confidence = share * sum(k.verdict.confidence * k.count for k in members) / count
    best = max(members, key=lambda kind: kind.count).verdict
    disagreement = next((k.verdict.disagreement for k in members if k.verdict.disagreement is not None), None)
    return Verdict(contrast, confidence, best.rule, disagreement)


def _pixel_opinions(instances: pl.DataFrame, keys: Sequence[Key], dicom: Path) -> dict[Key, Opinion]:
    from spine_models.corpus.sequences.pixel_model import pixel_opinion

    wanted = instances.filter(pl.col("series_key").is_in([key[-1] for key in keys])).sort(*_PLACE, *_ORDER)
    opinions = {}
    for key, group in wanted.group_by(_PLACE, maintain_order=True):
        opinion = pixel_opinion([dicom / path for path in group["dicom_path"]])
        if opinion is not None:
            opinions[key] = opinion
    return opinions


def _row(
    key: Key,
    kinds: Sequence[_Kind],
    lying: Row,
    heard: tuple[Verdict, Opinion],
    pixels: Opinion | None,
    decision: Decision,
) -> Row:
    rules, model = heard
    contrast, facts = decision.contrast, [kind.facts for kind in kinds]
    region, evidence = region_with_evidence(
        *(_commonest(kinds, name) for name in ("series_description", "protocol_name", "body_part"))
    )
    return {
        **dict(zip(_PLACE, key, strict=True)),
        "contrast": _name(contrast),
        "route": (ROUTE_OF_CONTRAST[contrast] if contrast is not None else Route.OTHER).value,
        "region": region.value,
        "region_evidence": evidence,
        "confidence": round(decision.confidence, 4),
        "abstained": contrast is None,
        "decided_by": decision.by,
        "rule": rules.rule,
        "rule_contrast": _name(rules.contrast),
        "rule_confidence": round(rules.confidence, 4),
        "header_contrast": _name(model.contrast),
        "header_confidence": round(model.confidence, 4),
        "pixel_contrast": _name(pixels.contrast) if pixels is not None else None,
        "pixel_confidence": round(pixels.confidence, 4) if pixels is not None else None,
        "contrast_agent": contrast_agent(facts, contrast),
        "dixon_part": part_of_dixon(facts, contrast),
        "b_values": diffusion_weightings(facts),
        "n_instances": sum(kind.count for kind in kinds),
        **_lies(kinds, lying),
        **{name: _commonest(kinds, name) for name in _SCANNER},
    }


def _lying(instances: pl.DataFrame) -> dict[Key, Row]:
    """Where the instances of each series lie, as lists, without a Python object for each of them."""
    mosaic = pl.col("image_type").str.to_uppercase().str.contains("MOSAIC", literal=True).fill_null(False)
    grouped = (
        instances.sort(*_PLACE, *_ORDER)
        .group_by(_PLACE, maintain_order=True)
        .agg(
            pl.col("iop"),
            pl.col("ipp_mm"),
            pl.col("frames", "mosaic_tiles").max(),
            mosaic.any().alias("mosaic"),
        )
    )
    return {tuple(row[name] for name in _PLACE): row for row in grouped.iter_rows(named=True)}


def _lies(kinds: Sequence[_Kind], lying: Row) -> Row:
    """Plane, number of slices and their spacing; of objects with many frames, as far as the first frame tells."""
    pairs = zip(lying["iop"], lying["ipp_mm"], strict=True)
    geometry = series_geometry([FrameGeometry(_tuple(iop), _tuple(ipp)) for iop, ipp in pairs])
    frames = lying["frames"] or 1
    plane = geometry.plane
    if not lying["mosaic"] and frames <= 1:
        return {
            "plane": plane.value,
            "n_slices": geometry.n_slices,
            "slice_spacing_mm": geometry.slice_spacing_mm,
        }
    spacing = _commonest(kinds, "spacing_between_mm") or _commonest(kinds, "slice_thickness_mm")
    # Every mosaic of a series shows the same slices, at another b-value or time point.
    slices = lying["mosaic_tiles"] if lying["mosaic"] else frames
    return {"plane": plane.value, "n_slices": slices, "slice_spacing_mm": spacing}


def _commonest(kinds: Sequence[_Kind], name: str) -> Any:
    values: Counter[Any] = Counter()
    for kind in kinds:
        if kind.row[name] is not None:
            values[kind.row[name]] += kind.count
    return values.most_common(1)[0][0] if values else None


def _name(contrast: Contrast | None) -> str | None:
    return contrast.value if contrast is not None else None


def _tuple(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return tuple(values) if values is not None else None
