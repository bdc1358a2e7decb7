"""The same heads by age, sex and field strength: do they serve everybody alike?

Out-of-fold and test predictions are cut into subgroups; heads are not fitted anew. Each subgroup is compared with
everybody else in the dimension, on the same bootstrap draws. The calibration error of few studies is mostly noise, so
the comparison of calibration uses the gap (mean probability less prevalence), which few studies do not bias.

Belongs here: subgroups of studies and their scores. Does not belong here: predictions (``evaluate``).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.domain import condition_keys
from spine_models.findings.probes.draws import Bootstrap, Replicated, difference, mean_of
from spine_models.findings.probes.evaluate import EVALUATIONS, SPINEFM
from spine_models.findings.probes.judgement import SEEN
from spine_models.findings.probes.scores import MAX_BINS, PER_BIN, calibration_error
from spine_models.findings.probes.strata.resampling import too_few
from spine_models.findings.probes.strata.tables import SUBGROUPS

MEAN: Final = "mean"
SAW: Final = "the vectors of train studies saw their reports: only test is evaluable"
DIMENSIONS: Final = {
    "age": ("<40", "40-64", ">=65"),
    "sex": ("F", "M"),
    "field_strength": ("<=1 T", "1.5 T", "3 T", "other T"),
}
"""Subgroups by dimension; whoever has no value is in none and is counted with nobody."""


def subgroups_of_studies(studies: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """study_key, age, sex, field_strength (names of ``DIMENSIONS``, null where unknown or contradictory).

    Args:
        studies: deid.STUDIES; 90 stands for 90 and over.
        series: sequences.SERIES; a study of several field strengths has none.
    """
    years = pl.col("age_years")
    age = pl.when(years < 40).then(pl.lit("<40")).when(years < 65).then(pl.lit("40-64")).when(years >= 65)
    tesla = pl.col("field_strength_t")
    field = (
        pl.when(tesla <= 1.05)
        .then(pl.lit("<=1 T"))
        .when((tesla >= 1.4) & (tesla <= 1.6))
        .then(pl.lit("1.5 T"))
        .when((tesla >= 2.8) & (tesla <= 3.1))
        .then(pl.lit("3 T"))
        .when(tesla.is_not_null())
        .then(pl.lit("other T"))
    )
    known = series.select("study_key", field=field).drop_nulls().unique()
    single = known.filter(pl.len().over("study_key") == 1).rename({"field": "field_strength"})
    who = studies.select(
        "study_key",
        age=age.then(pl.lit(">=65")),
        sex=pl.when(pl.col("sex").is_in(DIMENSIONS["sex"])).then("sex"),
    )
    return who.unique("study_key", keep="first", maintain_order=True).join(single, on="study_key", how="left")


def subgroup_scores(
    predictions: pl.DataFrame,
    studies: pl.DataFrame,
    series: pl.DataFrame,
    *,
    probes: ProbeSettings,
    settings: StratumSettings,
) -> pl.DataFrame:
    """probes.SUBGROUPS: sequence sets x evaluations x subgroups x (conditions and their mean).

    Args:
        predictions: probes.PREDICTIONS; linear heads of ``spinefm`` are used.
        studies: deid.STUDIES.
        series: sequences.SERIES.
        probes: least number of patients of either class.
        settings: sequence sets, bootstrap, seed.
    """
    held = predictions.filter(
        (pl.col("encoder") == SPINEFM) & pl.col("sequence_set").is_in(list(settings.sets))
    )
    held = held.filter(pl.col("head") == "linear") if "head" in held.columns else held
    known = held.join(subgroups_of_studies(studies, series), on="study_key", how="left").sort("study_key")
    rows: list[dict[str, object]] = []
    for sequence_set in settings.sets:
        for number, evaluation in enumerate(EVALUATIONS):
            part = known.filter(
                (pl.col("sequence_set") == sequence_set) & (pl.col("evaluation") == evaluation)
            )
            seen = known.filter((pl.col("sequence_set") == sequence_set) & (pl.col("evaluation") == SEEN))
            why = SAW if evaluation == "cv" and seen.height else "no head has been fitted"
            bootstrap = Bootstrap.of(
                part["patient_key"].to_numpy(), settings.bootstrap, (settings.seed, 14, number)
            )
            by_condition = part.partition_by("condition", as_dict=True)
            for dimension, names in DIMENSIONS.items():
                for name in names:
                    identity = {"dimension": dimension, "subgroup": name, "encoder": SPINEFM}
                    identity |= {"sequence_set": sequence_set, "evaluation": evaluation}
                    shown = _subgroup(by_condition, dimension, name, bootstrap, probes, part, why)
                    rows += [identity | one for one in shown]
    return pl.DataFrame(rows, schema=SUBGROUPS)


def _subgroup(
    by_condition: dict[tuple[object, ...], pl.DataFrame],
    dimension: str,
    name: str,
    bootstrap: Bootstrap,
    probes: ProbeSettings,
    everybody: pl.DataFrame,
    unjudged: str,
) -> list[dict[str, object]]:
    inside: dict[int, Replicated] = {}
    others: dict[int, Replicated] = {}
    rows: list[dict[str, object]] = []
    for column, condition in enumerate(condition_keys()):
        row: dict[str, object] = {"condition": condition, "status": "not_evaluable"}
        part = by_condition.get((condition,))
        if part is None:
            rows.append(row | {"reason": unjudged, "n_studies": 0})
            continue
        own, rest = part.filter(pl.col(dimension) == name), part.filter(pl.col(dimension) != name)
        row |= _counts(own) | {"n_positive": int((own["label"] == 1).sum())}
        if own.height:
            row |= _prevalence(own, bootstrap).columns("prevalence")
        reason = _few(own, probes)
        if reason is not None:
            rows.append(row | {"reason": reason})
            continue
        inside[column] = _auroc(own, bootstrap)
        row |= {"status": "evaluated"} | inside[column].columns("auroc")
        row |= _error(own, bootstrap).columns("ece") | _gap(own, bootstrap).columns("gap")
        if _few(rest, probes) is None:
            others[column] = _auroc(rest, bootstrap)
            row |= (inside[column] - others[column]).columns("difference")
            row |= (_gap(own, bootstrap) - _gap(rest, bootstrap)).columns("gap_difference")
        rows.append(row)
    row = {"condition": MEAN, "status": "not_evaluable", "reason": "no condition can be scored"}
    row |= _counts(everybody.filter(pl.col(dimension) == name))
    if inside:
        row |= {"status": "evaluated", "reason": None} | mean_of(list(inside.values())).columns("auroc")
        apart = difference(inside, others)
        row |= {} if apart is None else apart.columns("difference")
    return [*rows, row]


def _counts(part: pl.DataFrame) -> dict[str, object]:
    return {"n_studies": part["study_key"].n_unique(), "n_patients": part["patient_key"].n_unique()}


def _few(part: pl.DataFrame, probes: ProbeSettings) -> str | None:
    return too_few(part["label"].to_numpy(), part["patient_key"].to_numpy(), probes.min_positive)


def _auroc(part: pl.DataFrame, bootstrap: Bootstrap) -> Replicated:
    keys = part["patient_key"].to_numpy()
    return bootstrap.auroc(part["label"].to_numpy(), part["probability"].to_numpy(), keys)


def _weighted_mean(values: np.ndarray, part: pl.DataFrame, bootstrap: Bootstrap) -> Replicated:
    weights = bootstrap.weights(part["patient_key"].to_numpy()).astype(np.float64)
    totals = weights.sum(axis=1)
    found = np.divide(weights @ values, totals, out=np.full(len(totals), np.nan), where=totals > 0)
    return Replicated(float(values.mean()), found)


def _prevalence(part: pl.DataFrame, bootstrap: Bootstrap) -> Replicated:
    return _weighted_mean(part["label"].to_numpy().astype(np.float64), part, bootstrap)


def _gap(part: pl.DataFrame, bootstrap: Bootstrap) -> Replicated:
    """Mean probability less prevalence."""
    return _weighted_mean((part["probability"] - part["label"]).to_numpy(), part, bootstrap)


def _error(part: pl.DataFrame, bootstrap: Bootstrap) -> Replicated:
    """Expected calibration error; replicates keep the bins of all studies.

    A resample's error exceeds the sample's by sampling noise: replicates are moved down by that bias, not below zero,
    as in ``bootstrap.Replicates.interval``.
    """
    chances, labels = part["probability"].to_numpy(), part["label"].to_numpy().astype(np.float64)
    n = len(labels)
    bins = min(MAX_BINS, max(1, n // PER_BIN))
    inner_edges = np.sort(chances)[(np.arange(1, bins) * n) // bins]
    member = np.searchsorted(inner_edges, chances, side="right")
    gaps = np.zeros((n, bins))
    gaps[np.arange(n), member] = chances - labels
    weights = bootstrap.weights(part["patient_key"].to_numpy()).astype(np.float64)
    totals = weights.sum(axis=1)
    sums = np.abs(weights @ gaps).sum(axis=1)
    replicates = np.divide(sums, totals, out=np.full(len(totals), np.nan), where=totals > 0)
    value = calibration_error(labels, chances)
    known = replicates[np.isfinite(replicates)]
    bias = float(known.mean()) - value if len(known) else 0.0
    return Replicated(value, np.clip(replicates - bias, 0.0, 1.0))
