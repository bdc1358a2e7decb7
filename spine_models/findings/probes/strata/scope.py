"""Out of scope: is this study like those that the heads were fitted on?

Per route a Mahalanobis distance of the study vector under probabilistic PCA (Tipping, Bishop 1999): squared scores over
their variances, and what lies outside the components over its own mean variance, so that a direction the training never
used counts. The distance becomes a conformal p-value against the distances of calibration patients, one study each,
under models fitted without their fold. A study with several routes has the Bonferroni combination,
min(1, m * smallest), which holds whatever their dependence.

Belongs here: the distance, the p-value, their measurement. Does not belong here: saving (``guards``), wording
(``reporting.agents``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import StratumSettings
from spine_models.domain import Region, Split, cohort_of
from spine_models.findings.embeddings.pooling import stack
from spine_models.findings.probes.draws import Bootstrap
from spine_models.findings.probes.strata.conformal import one_a_patient
from spine_models.findings.probes.strata.resampling import too_few, wilson
from spine_models.findings.probes.strata.tables import SCOPE

STUDY: Final = "study"
MIN_PATIENTS: Final = 10
"""Fewer calibration patients than this say nothing of what is ordinary."""

TEST: Final = "test"
OUTSIDE: Final = "outside"
FLAGGED: Final = "flagged"
FOREIGN: Final = "other_cohort"


@dataclass(frozen=True)
class Ellipsoid:
    """A Gaussian with K full directions and one variance for all others.

    Attributes:
        mean: [D]; scale: [D], standard deviations, 1 where a number is constant.
        directions: [K, D] orthonormal; variances: [K].
        residual: mean variance outside the directions; 0 where they span all.
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    residual: float

    @classmethod
    def of(cls, values: np.ndarray, components: int) -> Ellipsoid:
        """Fit to values [N, D], N >= 2; at most a tenth as many directions as there are rows."""
        data = np.asarray(values, dtype=np.float64)
        mean, deviation = data.mean(axis=0), data.std(axis=0)
        varies = deviation > 1e-12 * (1.0 + np.abs(mean))
        scale = np.where(varies, deviation, 1.0)
        standard = (data - mean) / scale
        # Numbers that are constant in the training have no variance to share out.
        n, width = len(data), int(varies.sum())
        kept = max(1, min(components, n // 10, width))
        wide = standard.shape[1] > n
        # The smaller Gram matrix has the same spectrum.
        spectrum, vectors = np.linalg.eigh(standard @ standard.T if wide else standard.T @ standard)
        spectrum, vectors = spectrum[::-1][:kept].clip(min=0), vectors[:, ::-1][:, :kept]
        held = spectrum > 1e-11 * max(float(spectrum[0]), 1e-300)
        spectrum, vectors = spectrum[held], vectors[:, held]
        directions = (standard.T @ (vectors / np.sqrt(spectrum)) if wide else vectors).T
        rest = float((standard**2).sum() - spectrum.sum()) / (n - 1)
        free = min(width, n - 1) - len(spectrum)
        residual = rest / free if free > 0 and rest > 1e-9 * width else 0.0
        return cls(mean, scale, directions, spectrum / (n - 1), residual)

    def distances(self, values: np.ndarray) -> np.ndarray:
        """Squared distances [N] of values [N, D]; infinite where a value is not finite."""
        standard = (np.asarray(values, dtype=np.float64) - self.mean) / self.scale
        finite = np.isfinite(standard).all(axis=1)
        standard = np.where(finite[:, None], standard, 0.0)
        scores = standard @ self.directions.T
        found = (scores**2 / self.variances).sum(axis=1)
        if self.residual > 0:
            outside = (standard**2).sum(axis=1) - (scores**2).sum(axis=1)
            found = found + outside.clip(min=0) / self.residual
        return np.where(finite, found, np.inf)


@dataclass(frozen=True)
class RouteScope:
    """One route: its Gaussian and the ascending distances of the calibration patients [n]."""

    shape: Ellipsoid
    calibration: np.ndarray

    def p_values(self, values: np.ndarray) -> np.ndarray:
        """(1 + calibration distances at least as large) / (n + 1) of values [N, D], each in (0, 1]."""
        below = np.searchsorted(self.calibration, self.shape.distances(values), side="left")
        return (1 + len(self.calibration) - below) / (len(self.calibration) + 1)


def fit_route(
    rows: pl.DataFrame, folds: Mapping[str, int], settings: StratumSettings
) -> tuple[RouteScope, pl.DataFrame] | str:
    """Fit one route, or say why not.

    Args:
        rows: patient_key, study_key, vector of the train studies that have the route.
        folds: of each patient; all its studies share one.
        settings: components and seed.

    Returns:
        The scope and its calibration rows (patient_key, study_key), or the reason why there is none.
    """
    ordered = rows.sort("study_key")
    values = stack(ordered["vector"]) if ordered.height else np.zeros((0, 0), dtype=np.float32)
    finite = np.isfinite(values).all(axis=1)
    ordered, values = ordered.filter(pl.Series(finite, dtype=pl.Boolean)), values[finite]
    member = np.array([folds[key] for key in ordered["patient_key"]], dtype=np.int64)
    if ordered["patient_key"].n_unique() < MIN_PATIENTS or len(np.unique(member)) < 2:
        return f"{ordered['patient_key'].n_unique()} train patients, at least {MIN_PATIENTS} are needed"
    held_out = np.zeros(len(values))
    for fold in np.unique(member):
        here = member == fold
        if (~here).sum() < 2:
            return "one fold holds all train studies but one: too few patients"
        held_out[here] = Ellipsoid.of(values[~here], settings.scope_components).distances(values[here])
    drawn = one_a_patient(
        ordered.select("patient_key", "study_key").with_columns(_distance=pl.Series(held_out)),
        (settings.seed, 2),
    )
    calibration = np.sort(drawn["_distance"].to_numpy())
    return RouteScope(Ellipsoid.of(values, settings.scope_components), calibration), drawn.drop("_distance")


def attainable(scopes: Mapping[str, RouteScope], routes: list[str], level: float) -> bool:
    """Whether a study of these routes can at all get a score below ``level``."""
    held = [route for route in routes if route in scopes]
    least = [len(held) / (len(scopes[route].calibration) + 1) for route in held]
    return bool(least) and min(least) <= level + 1e-12


def scores(vectors: pl.DataFrame, scopes: Mapping[str, RouteScope]) -> pl.DataFrame:
    """p-value of every study and route with a scope, and of the study as a whole (route ``study``).

    Args:
        vectors: patient_key, study_key, route, vector.
        scopes: by route; other routes are not read.

    Returns:
        patient_key, study_key, route, score; no row for a study without any such route.
    """
    schema = {"patient_key": pl.String, "study_key": pl.String, "route": pl.String, "score": pl.Float64}
    frames = [pl.DataFrame(schema=schema)]
    for route, scope in scopes.items():
        part = vectors.filter(pl.col("route") == route).sort("study_key")
        if part.is_empty():
            continue
        found = scope.p_values(stack(part["vector"]))
        frames.append(part.select("patient_key", "study_key", "route").with_columns(score=pl.Series(found)))
    single = pl.concat(frames)
    whole = single.group_by("patient_key", "study_key").agg(
        score=(pl.col("score").min() * pl.len()).clip(upper_bound=1.0)
    )
    whole = whole.with_columns(route=pl.lit(STUDY)).select(*schema)
    return pl.concat([single, whole]).sort("route", "study_key")


def measure_scope(
    found: pl.DataFrame,
    groups: Mapping[str, set[str]],
    scopes: Mapping[str, RouteScope],
    settings: StratumSettings,
) -> pl.DataFrame:
    """probes.SCOPE: false alarms on ordinary test studies, detection of the others; one study a patient.

    Args:
        found: of ``scores``, for all studies in the groups.
        groups: study keys by kind, of ``splits_of_studies``.
        scopes: by route.
        settings: level, bootstrap, seed.
    """
    rows: list[dict[str, object]] = []
    routes = [*scopes, STUDY]
    for number, route in enumerate(routes):
        own = found.filter(pl.col("route") == route)
        parts = {
            name: one_a_patient(
                own.filter(pl.col("study_key").is_in(list(keys))), (settings.seed, 3, number, i)
            )
            for i, (name, keys) in enumerate(groups.items())
        }
        for name, part in parts.items():
            row: dict[str, object] = {"route": route, "studies": name, "level": settings.scope_level}
            row |= {"n_studies": part.height, "n_patients": part["patient_key"].n_unique()}
            row |= {"status": "not_evaluable", "reason": _reason(part, route, scopes, settings)}
            if row["reason"] is None:
                flagged = int((part["score"] <= settings.scope_level + 1e-12).sum())
                share = wilson(flagged, part.height)
                row |= {"status": "evaluated", "n_flagged": flagged, "share": share.value}
                row |= {"share_low": share.low, "share_high": share.high}
            if name != TEST and TEST in parts:
                row |= _ranking(parts[TEST], part, settings)
            rows.append(row)
    return pl.DataFrame(rows, schema=SCOPE)


def splits_of_studies(quality: pl.DataFrame, calibrated: Collection[str]) -> dict[str, set[str]]:
    """Study keys of the groups that the lake can tell.

    ``outside``: every series of the study is of another body part (an unknown part may well be a spine); ``test``: a
    test patient's study without a flagged series, of a cohort that the score was fitted on; ``flagged``: the same with
    a series whose image quality was flagged; ``other_cohort``: a test patient's study of any other cohort, unlike the
    training by its origin.

    Args:
        quality: shards.QUALITY, one row a series.
        calibrated: patient keys that the score was fitted on; with none of them every cohort is a known one.
    """
    studies = quality.group_by("study_key").agg(
        cohort=pl.col("batch_key").min().map_elements(cohort_of, return_dtype=pl.String),
        fitted=pl.col("patient_key").is_in(list(calibrated)).any(),
        outside=(pl.col("region") == Region.OTHER).all(),
        test=(pl.col("split") == Split.TEST).any(),
        flagged=((pl.col("flags").list.len() > 0) & (pl.col("split") == Split.TEST)).any(),
    )
    homes = studies.filter(pl.col("fitted"))["cohort"].unique().to_list()
    home = pl.col("cohort").is_in(homes) if homes else pl.lit(True)
    masks = {
        TEST: pl.col("test") & ~pl.col("flagged") & home,
        OUTSIDE: pl.col("outside"),
        FLAGGED: pl.col("test") & pl.col("flagged") & home,
        FOREIGN: pl.col("test") & ~home,
    }
    return {name: set(studies.filter(mask)["study_key"].to_list()) for name, mask in masks.items()}


def _reason(
    part: pl.DataFrame, route: str, scopes: Mapping[str, RouteScope], settings: StratumSettings
) -> str | None:
    if not scopes:
        return "no route has enough train patients for a scope"
    if part.is_empty():
        return "no study of this kind has a vector of this route"
    routes = list(scopes) if route == STUDY else [route]
    if not any(attainable(scopes, [one], settings.scope_level) for one in routes):
        n = max(len(scopes[one].calibration) for one in routes)
        return (
            f"{n} calibration patients cannot show a score below {settings.scope_level:g}: never out of scope"
        )
    return None


def _ranking(ordinary: pl.DataFrame, odd: pl.DataFrame, settings: StratumSettings) -> dict[str, float | None]:
    """AUROC of the score for telling the odd studies from the ordinary ones, with interval over patients."""
    both = pl.concat([ordinary, odd])
    labels = np.repeat([0, 1], [ordinary.height, odd.height])
    keys = both["patient_key"].to_numpy()
    if too_few(labels, keys, 2) is not None:
        return {}
    bootstrap = Bootstrap.of(keys, settings.bootstrap, (settings.seed, 4))
    return dict(bootstrap.auroc(labels, -both["score"].to_numpy(), keys).columns("auroc"))
