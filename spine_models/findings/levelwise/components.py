"""The directions in which levels differ most: what heads see of a view.

Components are found without any label, on standardised vectors of train patients' levels, by subspace iteration from a
seeded start (Halko, Martinsson, Tropp, SIAM Review 2011). They are scaled by one number, the deviation of the first, so
that a penalty means the same at any size of vector.

Belongs here: these directions. Does not belong here: vectors (``views``), heads (``fit``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.domain import Region
from spine_models.findings.levelwise.places import CENTRE, LEFT, RIGHT
from spine_models.findings.localization.targets import LEVELS

PASSES: Final = 4
BESIDE: Final = 20
"""Directions followed beside those that are kept."""
REGIONS: Final = (Region.CERVICAL.value, Region.THORACIC.value, Region.LUMBAR.value)
SPINE: Final = float(max(LEVELS.values()))


@dataclass(frozen=True)
class Components:
    """Directions of standardised vectors.

    Attributes:
        mean: [F].
        scale: [F].
        directions: [F, K], over the deviation of the first component.
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """float64 [N, K] of vectors [N, F]."""
        return ((vectors.astype(np.float32) - self.mean) / self.scale @ self.directions).astype(np.float64)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """By name, to be stored."""
        return {f"{name}.mean": self.mean, f"{name}.scale": self.scale, f"{name}.directions": self.directions}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], name: str) -> Components:
        """Again from ``arrays``."""
        return cls(*(arrays[f"{name}.{part}"] for part in ("mean", "scale", "directions")))


def find_components(vectors: np.ndarray, count: int, *, seed: int) -> Components:
    """The first ``count`` components, or as many as there are.

    Args:
        vectors: float32 [N, F], N > 1.
        count: K.
        seed: of the start.
    """
    mean = vectors.mean(axis=0)
    spread = vectors.std(axis=0)
    # What hardly moves must not be blown up to the size of the rest.
    scale = (spread + 1e-3 * max(float(vectors.std()), 1e-12)).astype(np.float32)
    standard = (vectors - mean) / scale
    kept = min(count, len(vectors) - 1, vectors.shape[1])
    width = min(kept + BESIDE, *standard.shape)
    start = np.random.default_rng(seed).standard_normal((standard.shape[1], width)).astype(np.float32)
    basis = np.linalg.qr(standard @ start)[0]
    for _ in range(PASSES):
        basis = np.linalg.qr(standard @ np.linalg.qr(standard.T @ basis)[0])[0]
    _, values, directions = np.linalg.svd(basis.T @ standard, full_matrices=False)
    deviation = float(values[0]) / np.sqrt(len(vectors))
    kept = min(kept, int((values > 1e-6 * values[0]).sum()))
    return Components(mean, scale, (directions[:kept].T / max(deviation, 1e-12)).astype(np.float32))


def vectors_of(views: pl.DataFrame, places: pl.DataFrame, *, sided: bool) -> np.ndarray:
    """Vectors float32 [N, 3 F] of places.

    Of places without a side: centre, mean of both sides, how far the sides differ. Of one side: centre, that side, how
    it differs from the other; so the same head serves both.

    Args:
        views: tables.VIEWS.
        places: ``targets.places_of``: ``view`` and ``side``.
        sided: of which kind they are.
    """
    rows = places["view"].to_list()
    width = len(views["centre"][0]) if views.height else 0
    # Rows are picked before they are unpacked: a place's vector is large, and few are asked for at a time.
    centre, left, right = (
        views[part].gather(rows).explode().to_numpy().reshape(len(rows), width)
        if rows
        else np.zeros((0, width), np.float32)
        for part in (CENTRE, LEFT, RIGHT)
    )
    if not sided:
        return np.hstack([centre, (left + right) / 2, np.abs(left - right)])
    of_left = (places["side"] == LEFT).to_numpy()[:, None]
    own, other = np.where(of_left, left, right), np.where(of_left, right, left)
    return np.hstack([centre, own, own - other])


def positions_of(views: pl.DataFrame, places: pl.DataFrame) -> np.ndarray:
    """Where along the spine places lie, float64 [N, 4]: one column a region, and the level's number of all levels."""
    own = views.select("region", "level")[places["view"].to_list()]
    region = np.array([[one == name for name in REGIONS] for one in own["region"]], dtype=np.float64)
    number = np.array([LEVELS[level] / SPINE for level in own["level"]], dtype=np.float64)
    return np.hstack([region.reshape(-1, len(REGIONS)), number[:, None]])
