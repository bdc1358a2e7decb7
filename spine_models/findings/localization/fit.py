"""Fitting of every head of localization: train patients fit, validation patients choose.

Belongs here: the order of passes over the slices, the choice among strengths and ridges, calibration. Does not belong
here: the heads (``slices``, ``boxes``, ``weak``, ``level_fit``), scores of test patients (``evaluate``).
"""

from __future__ import annotations

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
from spine_models.findings.localization.reading import MODEL, SUPERVISED, WEAK, Reader, top_rows
from spine_models.findings.localization.rectangles import contains, nearest, normalised_error
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
    models = Models(model_versions={r: e.version for r, e in sorted(sources.encoders.items())})
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


def _fit_slices(models: Models, cohort: Cohort, pair: Pair, settings: LocalizationSettings) -> int:
    """Fit the pair's slice head and its position prior; returns the chosen strength's number."""
    train, val = cohort.pool(*pair, TRAIN), cohort.pool(*pair, VAL)
    models.planes[pair] = sorted(train.annotated["plane"].unique().to_list())
    numbers = []
    for store, of in (
        (models.slice_heads, lambda pool: pool.features),
        (models.position_heads, lambda pool: slices.position_features(pool.rows)),
    ):
        maps = slices.fit_maps(of(train), train.labels, settings.strengths)
        number = slices.choose(val.labels, maps(of(val)), val.studies) if len(val.labels) else None
        number = middle(len(settings.strengths)) if number is None else number
        store[pair] = maps.column(number)
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
    """One pass over the annotated train slices, one over those of validation, which choose; fills ``box_heads``."""
    truth = {condition: cohort.boxes(condition) for condition in {pair[0] for pair in pairs}}
    samples: dict[Pair, list[boxes.Samples]] = defaultdict(list)
    needed = wanted_rows(cohort, pairs, TRAIN)
    for key, tokens in sources.tokens(rows_of(cohort, needed)):
        for number, (pair, plane) in enumerate(needed[key]):
            rng = np.random.default_rng([settings.seed, number, *key.encode()])
            samples[pair].append(
                boxes.sample_patches(
                    tokens, plane, truth[pair[0]][key], negatives=settings.negatives, rng=rng
                )
            )
    fitted: dict[Pair, boxes.BoxHead] = {}
    for pair in pairs:
        head = boxes.fit_box_head(
            samples.pop(pair), strengths=settings.strengths, ridges=settings.ridges
        )
        if head is not None:
            fitted[pair] = head
    errors: dict[Pair, list[np.ndarray]] = defaultdict(list)
    grid = list(itertools.product(range(len(settings.strengths)), range(len(settings.ridges))))
    needed = wanted_rows(cohort, list(fitted), VAL)
    for key, tokens in sources.tokens(rows_of(cohort, needed)):
        for pair, plane in needed[key]:
            there = truth[pair[0]][key]
            found = [fitted[pair].read(tokens, plane, strength=s, ridge=r)[0] for s, r in grid]
            errors[pair].append(
                np.array([normalised_error(box, there[nearest(box, there)]) for box in found])
            )
    chosen = {}
    for pair, head in fitted.items():
        default = (middle(len(settings.strengths)), middle(len(settings.ridges)))
        s, r = grid[int(np.argmin(np.mean(errors[pair], axis=0)))] if errors[pair] else default
        models.box_heads[pair] = boxes.BoxHead(head.heat.column(s), (head.shapes[r],))
        chosen[pair] = {
            "box": "fitted",
            "chosen_by": "val" if errors[pair] else "default",
            "heat_strength": settings.strengths[s],
            "ridge": settings.ridges[r],
        }
    return chosen


def _calibrate(
    models: Models,
    cohort: Cohort,
    sources: Sources,
    weak: Mapping[Pair, WeakHead],
    settings: LocalizationSettings,
) -> None:
    """Platt scaling of (slice logit + place logit) on validation patients' best slices, over all conditions.

    A hit is a slice that is annotated with the condition and a box whose centre lies in one of its boxes.
    """
    reader = Reader(models, weak, settings.weak_share)
    needed: dict[str, list[tuple[Pair, str, str, float]]] = defaultdict(list)
    for supervision, held in ((SUPERVISED, models.box_heads), (WEAK, weak)):
        for pair in sorted(held):
            pool = cohort.pool(*pair, VAL)
            logits = reader.slice_logits(pair, pool, supervision, MODEL) if pool.rows.height else None
            if logits is None:
                continue
            for row in top_rows(pool, logits):
                key, plane = pool.rows["slice_key"][int(row)], pool.rows["plane"][int(row)]
                needed[key].append((pair, plane, supervision, float(logits[row])))
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
