"""Means of the judged slices with intervals over patients, against chance and against the centre.

Belongs here: attribution.SCORES from attribution.MEASURED. Does not belong here: measuring (``judge``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import AttributionSettings
from spine_models.domain import condition_keys
from spine_models.findings.attribution.judge import CENTRE, MEASURES, OVERLAPS, RANDOM
from spine_models.findings.attribution.tables import SCORES
from spine_models.findings.probes.scores import INTERVAL, patient_draws

ALL: Final = "all"
"""The row over the slices of all conditions together."""

NO_SLICE: Final = "no slice of a test patient with the finding, in a sequence that a head judges"
NO_BOX: Final = "no box or point of the finding in a test patient"
NO_HEAD: Final = "the condition has no head"
ONE_PATIENT: Final = "one patient: no interval"


def saliency_scores(
    measured: pl.DataFrame, conditions: tuple[str, ...], *, settings: AttributionSettings
) -> pl.DataFrame:
    """One row per condition (and ``all``), method and measure; where there is no number it says why.

    Differences to chance and centre are paired: both are taken on the same slices, and the same patients are drawn.
    They are positive where the method is better (deletion: smaller).

    Args:
        measured: attribution.MEASURED.
        conditions: those with a head.
        settings: methods, bootstrap, seed.

    Returns:
        attribution.SCORES.
    """
    rows = []
    for number, condition in enumerate((*condition_keys(), ALL)):
        own = measured if condition == ALL else measured.filter(pl.col("condition") == condition)
        patients = own["patient_key"].unique().sort()
        draws = patient_draws(len(patients), settings.bootstrap, (settings.seed, number)).astype(np.float64)
        for measure in MEASURES:
            values = _side_by_side(own.filter(pl.col("measure") == measure), patients)
            for method in settings.methods:
                row = {"condition": condition, "method": method, "measure": measure}
                if condition != ALL and condition not in conditions:
                    rows.append(row | _none(NO_HEAD))
                elif values.is_empty() or method not in values.columns:
                    rows.append(row | _none(NO_BOX if measure in OVERLAPS and own.height else NO_SLICE))
                else:
                    rows.append(row | _scored(values.drop_nulls(method), method, measure, draws))
    return pl.DataFrame(rows, schema=SCORES)


def _side_by_side(own: pl.DataFrame, patients: pl.Series) -> pl.DataFrame:
    """One row per slice and condition, its patient's number, a column per method."""
    if own.is_empty():
        return own
    wide = own.pivot(on="method", index=["slice_key", "condition", "patient_key"], values="value")
    numbers = patients.to_frame().with_row_index("_patient")
    return wide.join(numbers, on="patient_key", how="left").sort("slice_key", "condition")


def _scored(values: pl.DataFrame, method: str, measure: str, draws: np.ndarray) -> dict[str, object]:
    patient = values["_patient"].to_numpy()
    n_patients = len(np.unique(patient))
    sign = -1.0 if measure == "deletion" else 1.0
    found = _mean(values[method].to_numpy(), patient, draws)
    row: dict[str, object] = {
        "status": "evaluated",
        "reason": None if n_patients > 1 else ONE_PATIENT,
        "n": values.height,
        "n_patients": n_patients,
        "value": found["value"],
        "low": found["low"] if n_patients > 1 else None,
        "high": found["high"] if n_patients > 1 else None,
    }
    for name, other in (("chance", RANDOM), ("centre", CENTRE)):
        if other not in values.columns:
            continue
        both = values.drop_nulls(other)
        if both.is_empty():
            continue
        row[name] = float(both[other].mean())
        better = sign * (both[method] - both[other]).to_numpy()
        gain = _mean(better, both["_patient"].to_numpy(), draws)
        row[f"over_{name}"] = gain["value"]
        if n_patients > 1:
            row |= {f"over_{name}_low": gain["low"], f"over_{name}_high": gain["high"]}
    return {name: row.get(name) for name in SCORES if name not in ("condition", "method", "measure")}


def _mean(values: np.ndarray, patient: np.ndarray, draws: np.ndarray) -> Mapping[str, float]:
    """Mean over slices, and its percentile interval when a drawn patient brings all its slices."""
    sums = np.bincount(patient, weights=values, minlength=draws.shape[1])
    counts = np.bincount(patient, minlength=draws.shape[1]).astype(np.float64)
    weight = draws @ counts
    replicates = (draws @ sums)[weight > 0] / weight[weight > 0]
    low, high = np.percentile(replicates, INTERVAL)
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


def _none(reason: str) -> dict[str, object]:
    return {"status": "not_evaluable", "reason": reason, "n": 0, "n_patients": 0}
