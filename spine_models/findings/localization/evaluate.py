"""Localization on the test patients, beside two priors that look at no pixel.

Every method is judged on the same slices. ``position_prior`` ranks slices by a head on the position in the series and
answers every slice with the mean box of the train patients; ``image_centre`` takes the middle slice and its middle.

Belongs here: values per study, their means and bootstrap intervals over patients, reasons where there is none. Does
not belong here: heads, levels' scores (``level_scores``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.domain import Split, condition_keys
from spine_models.findings.localization.cohort import Cohort, Pool
from spine_models.findings.localization.fit import rows_of
from spine_models.findings.localization.models import Models, Pair
from spine_models.findings.localization.reading import (
    CENTRE,
    MODEL,
    PRIOR,
    SUPERVISED,
    WEAK,
    Reader,
)
from spine_models.findings.localization.rectangles import centres_mm, iou, nearest, normalised_error
from spine_models.findings.localization.slices import mean_auroc
from spine_models.findings.localization.tables import SCORE_NAMES, SCORES
from spine_models.findings.localization.tokens import Sources
from spine_models.findings.localization.weak import WeakHead
from spine_models.findings.probes.scores import INTERVAL, patient_draws

TEST: Final = Split.TEST.value
METHODS: Final = {SUPERVISED: (MODEL, PRIOR, CENTRE), WEAK: (MODEL, CENTRE)}

Place = tuple[str, str]  # supervision, method
Values = dict[Place, dict[str, dict[str, list[float]]]]  # by study and figure


def evaluate(
    models: Models,
    cohort: Cohort,
    sources: Sources,
    weak: Mapping[Pair, WeakHead],
    *,
    settings: LocalizationSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scores of every condition, supervision and method, and the boxes that they rest on.

    Returns:
        tables.SCORES, and one row per condition, supervision, method and annotated test slice: slice_key, the box
        and the annotated box nearest to it (cx .. bh, true_cx .. true_bh), for figures.
    """
    reader = Reader(models, weak, settings.weak_share)
    judged = [_Condition(name, reader, cohort) for name in condition_keys()]
    needed: dict[str, list[_Condition]] = defaultdict(list)
    for one in judged:
        for key in one.keys:
            needed[key].append(one)
    for key, tokens in sources.tokens(rows_of(cohort, needed)):
        for one in needed[key]:
            one.see(key, tokens)
    frames = [one.rows(settings) for one in judged]
    shown = [row for one in judged for row in one.boxes]
    return pl.concat(frames), pl.DataFrame(shown, infer_schema_length=None)


class _Condition:
    """One condition's test slices under way: pools, what every method makes of them."""

    def __init__(self, name: str, reader: Reader, cohort: Cohort) -> None:
        self.name, self.reader, self.cohort = name, reader, cohort
        self.truth = cohort.boxes(name)
        self.pools: dict[str, Pool] = {}
        self.logits: dict[tuple[Place, str], np.ndarray] = {}
        for route in sorted(cohort.vectors):
            pool = cohort.pool(name, route, TEST)
            if pool.rows.height == 0:
                continue
            self.pools[route] = pool
            for supervision, methods in METHODS.items():
                held = reader.weak if supervision == WEAK else reader.models.slice_heads
                for method in methods if (name, route) in held else ():
                    logits = reader.slice_logits((name, route), pool, supervision, method)
                    if logits is not None:
                        self.logits[(supervision, method), route] = logits
        self.values: Values = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        self.boxes: list[dict[str, object]] = []
        self.tops: dict[Place, dict[str, str]] = {place: self._select(place) for place in self.places}
        annotated = {route: cohort.capped(pool.annotated) for route, pool in self.pools.items()}
        self.annotated = {key for rows in annotated.values() for key in rows["slice_key"]}
        tops = {key for chosen in self.tops.values() for key in chosen.values()}
        self.keys = (self.annotated | tops) if self.places else set()
        self.row_of = {
            key: (route, plane, study)
            for pool in self.pools.values()
            for key, route, plane, study in pool.rows.select(
                "slice_key", "route", "plane", "study_key"
            ).iter_rows()
        }
        self.frames = {
            key: frame
            for pool in self.pools.values()
            for key, frame in zip(pool.rows["slice_key"], place_maps(pool.rows), strict=True)
        }
        self.owner = {
            study: patient
            for pool in self.pools.values()
            for study, patient in pool.rows.select("study_key", "patient_key").unique().iter_rows()
        }
        own = cohort.targets.filter(pl.col("positive"), condition=name, split=TEST)
        self.places_mm = {
            key: part.select("x_mm", "y_mm", "z_mm").drop_nulls().to_numpy()
            for (key,), part in own.group_by("study_key")
        }

    @property
    def places(self) -> list[Place]:
        """Supervisions and methods that have something to say here."""
        return sorted({place for place, _ in self.logits})

    def _select(self, place: Place) -> dict[str, str]:
        """Slice figures of a method into ``values``; its best slice by study."""
        parts = []
        for route, pool in self.pools.items():
            if (place, route) in self.logits:
                parts.append(
                    pool.rows.with_columns(
                        label=pl.Series(pool.labels), logit=pl.Series(self.logits[place, route])
                    )
                )
        rows = pl.concat(parts).sort("study_key", "series_key", "slice_index", "slice_key")
        tops = {}
        for (study,), part in rows.group_by("study_key", maintain_order=True):
            held = self.values[place][str(study)]
            labels, logits = part["label"].to_numpy(), part["logit"].to_numpy()
            roc = mean_auroc(labels, logits, np.zeros(len(labels), np.int64))[0]
            held["slice_auroc"].append(float(roc))
            best = int(np.argmax(logits))
            top = part.row(best, named=True)
            tops[str(study)] = top["slice_key"]
            held["slice_top1"].append(float(top["label"]))
            same = part.filter((pl.col("label") == 1) & (pl.col("series_key") == top["series_key"]))
            held["slice_distance"].append(float((same["slice_index"] - top["slice_index"]).abs().min()))  # type: ignore[arg-type]
            middle, own = (centres_mm(these, np.full((these.height, 2), 0.5)) for these in (same, part[best]))
            held["slice_distance_mm"].append(float(np.linalg.norm(middle - own, axis=1).min()))
        return tops

    def see(self, key: str, tokens: np.ndarray) -> None:
        """Box figures of one slice under every method."""
        route, plane, study = self.row_of[key]
        for place in self.places:
            if (place, route) not in self.logits:
                continue
            found = self.reader.box((self.name, route), plane, tokens, *place)
            if found is None:
                continue
            box, held = found[0], self.values[place][study]
            if key in self.annotated:
                there = self.truth[key][nearest(box, self.truth[key])]
                overlap = float(iou(box, there))
                held["box_error"].append(float(normalised_error(box, there)))
                held["iou"].append(overlap)
                held["iou_over_25"].append(float(overlap > 0.25))
                held["iou_over_50"].append(float(overlap > 0.5))
                away = (box[:2] - there[:2]) @ self.frames[key][1:]
                held["centre_distance_mm"].append(float(np.linalg.norm(away)))
                self.boxes.append(
                    {"condition": self.name, "supervision": place[0], "method": place[1], "slice_key": key}
                    | dict(zip(("cx", "cy", "bw", "bh"), box.tolist(), strict=True))
                    | dict(zip(("true_cx", "true_cy", "true_bw", "true_bh"), there.tolist(), strict=True))
                )
            if self.tops[place].get(study) == key and len(self.places_mm.get(study, ())):
                at = self.frames[key][0] + box[:2] @ self.frames[key][1:]
                held["found_distance_mm"].append(
                    float(np.linalg.norm(self.places_mm[study] - at, axis=1).min())
                )

    def rows(self, settings: LocalizationSettings) -> pl.DataFrame:
        """tables.SCORES of the condition, every supervision and method."""
        return pl.DataFrame(
            [
                self._row((supervision, method), settings)
                for supervision, methods in METHODS.items()
                for method in methods
            ],
            schema=SCORES,
        )

    def _row(self, place: Place, settings: LocalizationSettings) -> dict[str, object]:
        row: dict[str, object] = {"condition": self.name, "supervision": place[0], "method": place[1]}
        studies = sorted(self.values[place]) if place in self.values else []
        patients = np.array([self.owner[study] for study in studies])
        n_slices = sum(len(self.values[place][study].get("iou", ())) for study in studies)
        counts = {"n_patients": len(set(patients)), "n_studies": len(studies), "n_slices": n_slices}
        if counts["n_patients"] < 2:
            return row | {"status": "not_evaluable", "reason": self._reason(place[0])} | counts
        names, member = np.unique(patients, return_inverse=True)
        draws = patient_draws(len(names), settings.bootstrap, [settings.seed, len(names)])[:, member]
        for name in SCORE_NAMES:
            per_study = np.array([_mean(self.values[place][study].get(name, [])) for study in studies])
            row |= dict(
                zip((name, f"{name}_low", f"{name}_high"), interval(per_study, draws, patients), strict=True)
            )
        return row | {"status": "evaluated", "reason": None} | counts

    def _reason(self, supervision: str) -> str:
        annotated = self.cohort.targets.filter(pl.col("positive"), condition=self.name)
        if annotated.is_empty():
            return "no slice is annotated with it"
        own = annotated.filter(split=TEST)["patient_key"].n_unique()
        if own < 2:
            return f"{own} test patients with an annotated slice, 2 are needed"
        if supervision == WEAK:
            return "the probes have no linear head of a single route for it"
        missing = [m for m in self.reader.models.card.get("missing", []) if m["condition"] == self.name]
        return "; ".join(f"{m['route']}: {m['reason']}" for m in missing) or "no route has heads for it"


def place_maps(rows: pl.DataFrame) -> np.ndarray:
    """[N, 3, 3] of N slices: the patient's place of (0, 0) in shares of the slice, and the steps along x and y, mm."""
    origin = centres_mm(rows, np.zeros((rows.height, 2)))
    steps = [centres_mm(rows, np.tile(axis, (rows.height, 1))) - origin for axis in np.eye(2)]
    return np.stack([origin, *steps], axis=1)


def interval(
    values: np.ndarray, draws: np.ndarray, patients: np.ndarray
) -> tuple[float | None, float | None, float | None]:
    """Mean of the finite ones of ``values`` [N] with its interval over ``draws`` [B, N].

    Nulls where fewer than two of ``patients`` [N] have a finite value: one patient tells nothing of the spread among
    patients, and would be given an interval of no width.
    """
    held = np.isfinite(values)
    if len(set(patients[held].tolist())) < 2:
        return None, None, None
    weight = draws[:, held].astype(np.float64)
    total = weight.sum(axis=1)
    means = (weight @ values[held])[total > 0] / total[total > 0]
    low, high = np.percentile(means, INTERVAL)
    return float(values[held].mean()), float(low), float(high)


def _mean(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
