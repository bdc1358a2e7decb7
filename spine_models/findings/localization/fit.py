"""Fitting of every head of localization.

Penalties are chosen by the patients of validation and, as those are few, by a third of the train patients whom a first
fit leaves out; the heads that are kept are fitted on all train patients. Test patients are never read here.

Belongs here: the order of passes over the slices, the choice among strengths and ridges, calibration. Does not belong
here: the heads (``slices``, ``boxes``, ``weak``, ``level_fit``), scores of test patients (``evaluate``).
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.domain import Split, condition_keys
from spine_models.findings.localization import boxes, slices
from spine_models.findings.localization.cohort import Cohort
from spine_models.findings.localization.models import Models, Pair
from spine_models.findings.localization.reading import MODEL, SUPERVISED, WEAK, Reader, best_slices
from spine_models.findings.localization.rectangles import contains, iou, nearest, normalised_error
from spine_models.findings.localization.targets import boxes_of
from spine_models.findings.localization.tokens import Sources
from spine_models.findings.localization.weak import WeakHead
from spine_models.findings.probes.calibration import fit_platt

TRAIN, VAL = Split.TRAIN.value, Split.VAL.value


def fit_models(
    cohort: Cohort,
    sources: Sources,
    weak: Mapping[Pair, WeakHead],
    *,
    settings: LocalizationSettings,
) -> Models:
    """Slice, box and prior heads of every condition and route with enough annotated train patients.

    Levels are left to ``level_fit``; ``models.card`` lists what was fitted, what was not and why.

    Raises:
        LocalizationError: an encoder of another version than the vectors.
    """
    models = Models(
        model_versions={r: e.version for r, e in sorted(sources.encoders.items())},
        preprocessing_versions=cohort.preprocessing_versions,
    )
    models.check_encoders(cohort.model_versions)
    heads: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    pairs: list[Pair] = []
    for pair in itertools.product(condition_keys(), sorted(sources.encoders)):
        pool = cohort.pool(*pair, TRAIN)
        entry = {"condition": pair[0], "route": pair[1], "n_patients": pool.n_patients}
        if pool.n_patients < settings.min_patients:
            reason = f"{pool.n_patients} train patients with an annotated slice, {settings.min_patients} are needed"
            missing.append(entry | {"reason": reason})
        elif pool.labels.all():
            missing.append(entry | {"reason": "every slice of the annotated series is annotated"})
        else:
            number = _fit_slices(models, cohort, pair, settings)
            pairs.append(pair)
            heads.append(entry | {"n_slices": int(pool.labels.sum()), "strength": settings.strengths[number]})
    for condition in condition_keys():
        _mean_boxes(models, cohort.targets.filter(pl.col("positive"), condition=condition, split=TRAIN))
    chosen = _fit_boxes(models, cohort, sources, pairs, settings)
    for head in heads:
        head |= chosen.get((head["condition"], head["route"]), {"box": "none: no patch without the finding"})
    models.card = {"heads": heads, "missing": missing, "settings": settings.model_dump(mode="json")}
    _calibrate(models, cohort, sources, weak, settings)
    return models


def middle(count: int) -> int:
    """The candidate that is taken where no validation patient chooses."""
    return (count - 1) // 2


def chooses(patients: pl.Series, settings: LocalizationSettings) -> np.ndarray:
    """Which patients of split train choose, bool [N]: a share by their keys' digest, the same everywhere."""
    digests = [hashlib.sha256(f"{settings.seed}:{patient}".encode()).digest()[:4] for patient in patients]
    return np.array([int.from_bytes(d, "big") < settings.choosing * 2**32 for d in digests], dtype=bool)


def _fit_slices(models: Models, cohort: Cohort, pair: Pair, settings: LocalizationSettings) -> int:
    """Fit the pair's slice head and its position prior; returns the chosen strength's number."""
    train, val = cohort.pool(*pair, TRAIN), cohort.pool(*pair, VAL)
    models.planes[pair] = sorted(train.annotated["plane"].unique().to_list())
    out = chooses(train.rows["patient_key"], settings)
    numbers = []
    for store, of, free in (
        (models.slice_heads, lambda pool: pool.features, slices.POSITIONS),
        (models.position_heads, lambda pool: slices.position_features(pool.rows), 0),
    ):
        features, number = of(train), None
        if 0 < train.labels[~out].sum() < (~out).sum():
            first = slices.fit_maps(features[~out], train.labels[~out], settings.strengths, free=free)
            parts = [(train.labels[out], first(features[out]), train.studies[out])]
            if len(val.labels):
                parts.append((val.labels, first(of(val)), val.studies + 1 + train.studies.max()))
            number = slices.choose(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        number = middle(len(settings.strengths)) if number is None else number
        store[pair] = slices.fit_maps(features, train.labels, settings.strengths, free=free).column(number)
        numbers.append(number)
    return numbers[0]


def _mean_boxes(models: Models, own: pl.DataFrame) -> None:
    for (condition, plane), part in own.group_by("condition", "plane", maintain_order=True):
        models.mean_boxes[str(condition), str(plane)] = boxes_of(part).mean(axis=0)
    if own.height:
        models.mean_boxes[str(own["condition"][0]), "any"] = boxes_of(own).mean(axis=0)


def wanted_rows(cohort: Cohort, pairs: list[Pair], split: str) -> dict[str, list[tuple[Pair, str]]]:
    """Annotated slices whose tokens a split needs: (pair, plane) by slice key, at most ``max_slices`` a pair."""
    needed: dict[str, list[tuple[Pair, str]]] = defaultdict(list)
    for pair in pairs:
        rows = cohort.capped(cohort.pool(*pair, split).annotated)
        for key, plane in rows.select("slice_key", "plane").iter_rows():
            needed[key].append((pair, plane))
    return needed


def rows_of(cohort: Cohort, keys: Mapping[str, Any]) -> pl.DataFrame:
    """Rows of the slice table by key."""
    return cohort.slices.filter(pl.col("slice_key").is_in(list(keys)))


def _fit_boxes(
    models: Models, cohort: Cohort, sources: Sources, pairs: list[Pair], settings: LocalizationSettings
) -> dict[Pair, dict[str, Any]]:
    """A pass over the annotated train slices to learn from, one over those that choose; fills ``box_heads``."""
    truth = {condition: cohort.boxes(condition) for condition in {pair[0] for pair in pairs}}
    samples: dict[Pair, list[tuple[bool, boxes.Samples]]] = defaultdict(list)
    needed = wanted_rows(cohort, pairs, TRAIN)
    rows = rows_of(cohort, needed)
    choosers = set(
        rows["slice_key"].filter(pl.Series(chooses(rows["patient_key"], settings), dtype=pl.Boolean))
    )
    for key, tokens in sources.tokens(rows):
        for number, (pair, plane) in enumerate(needed[key]):
            rng = np.random.default_rng([settings.seed, number, *key.encode()])
            drawn = boxes.sample_patches(
                tokens, plane, truth[pair[0]][key], negatives=settings.negatives, rng=rng
            )
            samples[pair].append((key in choosers, drawn))
    grids = {"strengths": settings.strengths, "ridges": settings.ridges}
    first = {p: _head([one for out, one in samples[p] if not out], grids) for p in pairs}
    heads = {p: _head([one for _, one in samples.pop(p)], grids) for p in pairs}
    needed = {key: places for key, places in needed.items() if key in choosers}
    for key, places in wanted_rows(cohort, pairs, VAL).items():
        needed.setdefault(key, []).extend(places)
    errors: dict[Pair, list[np.ndarray]] = defaultdict(list)
    for key, tokens in sources.tokens(rows_of(cohort, needed)):
        for pair, plane in needed[key]:
            head, there = first[pair], truth[pair[0]][key]
            if head is not None:
                found = head.read_all(tokens, plane)
                flat = found.reshape(-1, 4)
                errors[pair].append(np.array([loss(box, there) for box in flat]).reshape(found.shape[:3]))
    chosen: dict[Pair, dict[str, Any]] = {}
    for pair in pairs:
        head = heads[pair]
        if head is None:
            continue
        s, r, n = middle(len(settings.strengths)), middle(len(settings.ridges)), 0
        if errors[pair]:
            means = np.mean(errors[pair], axis=0)
            s, r, n = (int(i) for i in np.unravel_index(int(np.argmin(means)), means.shape))
        reach = boxes.REACHES[n]
        models.box_heads[pair] = boxes.BoxHead(head.heat.column(s), (head.shapes[r],), reach)
        chosen[pair] = {
            "box": "fitted",
            "box_chosen_on": len(errors[pair]),
            "heat_strength": settings.strengths[s],
            "ridge": settings.ridges[r],
            "reach": reach,
        }
    return chosen


def loss(box: np.ndarray, there: np.ndarray) -> float:
    """What candidates are chosen by: normalised error less overlap, with the nearest of the boxes ``there`` [B, 4].

    The error alone prefers the middle of all findings to any guess between two discs.
    """
    other = there[nearest(box, there)]
    return float(normalised_error(box, other) - iou(box, other))


def _head(samples: list[boxes.Samples], grids: Mapping[str, tuple[float, ...]]) -> boxes.BoxHead | None:
    return boxes.fit_box_head(samples, **grids) if samples else None


def _calibrate(
    models: Models,
    cohort: Cohort,
    sources: Sources,
    weak: Mapping[Pair, WeakHead],
    settings: LocalizationSettings,
) -> None:
    """Platt scaling of (slice logit + place logit) on validation patients, over all conditions.

    Slices are chosen as ``find`` chooses them: as many of every study, of all routes together, in the planes that the
    heads know. A hit is a slice that is annotated with the condition and a box whose centre lies in one of its boxes.

    Studies are those in which the condition is annotated, and their slices those of annotated series: elsewhere nobody
    said what a box would have to hold. The confidence is therefore that of a box **given that the study has the
    condition**. The weak heads' is learned on conditions that are annotated and used for those that are not.
    """
    reader = Reader(models, weak, settings.weak_share)
    needed: dict[str, list[tuple[Pair, str, str, float]]] = defaultdict(list)
    for condition, supervision in itertools.product(condition_keys(), (SUPERVISED, WEAK)):
        known = reader.routes(condition, supervision)
        pools = ((route, cohort.pool(condition, route, VAL)) for route in known)
        best = best_slices(reader.candidates(condition, pools, supervision), settings.slices)
        for key, route, plane, logit in best.select("slice_key", "route", "plane", "slice_score").iter_rows():
            needed[key].append(((condition, route), plane, supervision, logit))
    outcomes: dict[str, list[tuple[float, int]]] = {SUPERVISED: [], WEAK: []}
    truth = {condition: cohort.boxes(condition) for condition in condition_keys()}
    for key, tokens in sources.tokens(rows_of(cohort, needed)):
        for pair, plane, supervision, logit in needed[key]:
            found = reader.box(pair, plane, tokens, supervision, MODEL)
            if found is None:
                continue
            there = truth[pair[0]].get(key, np.zeros((0, 4)))
            hit = bool(contains(there, found[0][None, :2]).any()) if len(there) else False
            outcomes[supervision].append((logit + found[1], int(hit)))
    for supervision, pairs in outcomes.items():
        hits = sum(hit for _, hit in pairs)
        models.card.setdefault("calibrated_on", {})[supervision] = {"n": len(pairs), "hits": hits}
        if min(hits, len(pairs) - hits) >= settings.min_hits:
            values, labels = (np.array(column)[:, None] for column in zip(*pairs, strict=True))
            slope, intercept = fit_platt(values.astype(np.float64), labels)
            models.calibration[supervision] = (float(slope[0]), float(intercept[0]))
