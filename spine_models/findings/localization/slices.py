"""Which slices of a study show a condition: a linear head on frozen slice vectors and the place in the series.

One head per condition and route. It sees how a slice's vector differs from the mean of its series, which takes what a
patient and a scanner have in common out of the comparison, and where in the series the slice lies. It is fitted on the
annotated slices of train patients against the other slices of the same series.

Belongs here: these features, their fit, logits. Does not belong here: which series are annotated (``targets``), boxes
(``boxes``), heads without annotations (``weak``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from spine_models.domain import Plane
from spine_models.findings.probes.logistic import NEGLIGIBLE, Basis, fit
from spine_models.findings.probes.scores import auroc

PLANES: Final = (Plane.SAGITTAL.value, Plane.AXIAL.value)
"""Planes with an own dependence on position; all others share a third."""

POSITIONS: Final = 12
"""Number of position features of a slice."""

FREEDOM: Final = 10.0

SMALL: Final = 2000
"""Below so many rows one BLAS thread is faster."""


@dataclass(frozen=True)
class LinearMap:
    """Logits of raw features: features @ weights + bias; weights [F, K], bias [K]."""

    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Values [N, K] of features [N, F]."""
        return np.asarray(features, dtype=np.float64) @ self.weights + self.bias

    def column(self, number: int) -> LinearMap:
        """The map of one column alone."""
        return LinearMap(self.weights[:, [number]], self.bias[[number]])


def fit_maps(
    features: np.ndarray, labels: np.ndarray, strengths: tuple[float, ...], *, free: int = 0
) -> LinearMap:
    """One L2-penalised logistic map per strength, all solved to their optimum.

    Args:
        features: [N, F].
        labels: [N] of 1, 0 and -1 (left out); both classes occur.
        strengths: inverse penalties, K of them.
        free: the last so many features are penalised a hundredth as much. They say where a slice or a patch lies; a
            head that finds nothing in the vectors then still knows what the position alone tells.
    """
    with threadpool_limits(1 if len(labels) < SMALL else None, user_api="blas"):
        basis = basis_of(features, free)
        weights, bias = fit(
            basis, np.repeat(labels[:, None], len(strengths), axis=1), np.array(strengths, dtype=np.float64)
        )
        raw = (basis.directions @ weights) / basis.scale[:, None]
    return LinearMap(raw, bias - basis.mean @ raw)


def basis_of(features: np.ndarray, free: int) -> Basis:
    """``Basis.of`` with the last ``free`` standardised features ten times as large."""
    data = np.asarray(features, dtype=np.float64)
    mean, deviation = data.mean(axis=0), data.std(axis=0)
    scale = np.where(deviation > 1e-9 * (1.0 + np.abs(mean)), deviation, 1.0)
    scale[len(scale) - free :] /= FREEDOM
    standard = (data - mean) / scale
    wide = standard.shape[1] > standard.shape[0]
    spectrum, vectors = np.linalg.eigh(standard @ standard.T if wide else standard.T @ standard)
    held = spectrum > NEGLIGIBLE * max(spectrum.max(initial=0.0), 1e-300)
    spectrum, vectors = spectrum[held], vectors[:, held]
    directions = standard.T @ (vectors / np.sqrt(spectrum)) if wide else vectors
    return Basis(mean, scale, directions, standard @ directions, spectrum)


def by_plane(planes: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """``terms`` [N, T] in one block of columns per plane, zeros in the others: [N, 3 * T]."""
    place = np.full(len(planes), len(PLANES))
    for number, plane in enumerate(PLANES):
        place[planes == plane] = number
    out = np.zeros((len(planes), len(PLANES) + 1, terms.shape[1]))
    out[np.arange(len(planes)), place] = terms
    return out.reshape(len(planes), -1)


def position_features(rows: pl.DataFrame) -> np.ndarray:
    """Place in the series by plane: 1, r, |r| and r squared, r from -1 (first slice) to 1; [N, 12]."""
    r = relative_positions(rows)
    return by_plane(rows["plane"].to_numpy(), np.stack([np.ones_like(r), r, np.abs(r), r * r], axis=1))


def relative_positions(rows: pl.DataFrame) -> np.ndarray:
    """Place of each slice between the first (-1) and the last (1) of its series; 0 in a series of one.

    Args:
        rows: slice_key, slice_index, series_first, series_last (``with_extent``).
    """
    first, last = (rows[name].to_numpy().astype(np.float64) for name in ("series_first", "series_last"))
    middle, half = (first + last) / 2, (last - first) / 2
    away = rows["slice_index"].to_numpy().astype(np.float64) - middle
    return np.divide(away, half, out=np.zeros_like(away), where=half > 0)


def with_extent(slices: pl.DataFrame) -> pl.DataFrame:
    """``slices`` with the first and the last slice index of their series; give all slices of a series at once."""
    return slices.with_columns(
        series_first=pl.col("slice_index").min().over("series_key"),
        series_last=pl.col("slice_index").max().over("series_key"),
    )


def slice_features(rows: pl.DataFrame, vectors: np.ndarray) -> np.ndarray:
    """Features [N, D + 12] of whole series: the vector less its series' mean, then the position.

    Args:
        rows: series_key, plane and the columns of ``relative_positions``; all slices of every series.
        vectors: [N, D] of the same rows.
    """
    _, member = np.unique(rows["series_key"].to_numpy(), return_inverse=True)
    sums = np.zeros((int(member.max(initial=-1)) + 1, vectors.shape[1]))
    np.add.at(sums, member, vectors.astype(np.float64))
    means = sums / np.bincount(member, minlength=len(sums))[:, None]
    return np.hstack([vectors - means[member], position_features(rows)])


def mean_auroc(labels: np.ndarray, scores: np.ndarray, studies: np.ndarray) -> np.ndarray:
    """Per study the AUROC of annotated slices against its others; NaN where it has one kind only.

    Args:
        labels: 1 or 0 [N].
        scores: [N].
        studies: number of the study of each slice, 0 .. S - 1 [N].

    Returns:
        [S].
    """
    out = np.full(int(studies.max(initial=-1)) + 1, np.nan)
    for study in range(len(out)):
        held = studies == study
        if 0 < labels[held].sum() < held.sum():
            out[study] = auroc(labels[held], scores[held])[0]
    return out


def choose(labels: np.ndarray, logits: np.ndarray, studies: np.ndarray) -> int | None:
    """Column of ``logits`` [N, K] with the greatest mean AUROC over studies; the first of equals, None without any."""
    if len(labels) == 0:
        return None
    means = [mean_auroc(labels, column, studies) for column in logits.T]
    if not np.isfinite(means[0]).any():
        return None
    return int(np.argmax([round(float(np.nanmean(m)), 9) for m in means]))
