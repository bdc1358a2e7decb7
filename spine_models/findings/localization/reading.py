"""Slices of studies judged and boxes read, the same way for validation, for scores and for findings.

Belongs here: logits of slices by supervision, the best of a study, boxes of slices from their tokens. Does not belong
here: fitting, which studies are searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.findings.localization.cohort import Pool
from spine_models.findings.localization.models import Models, Pair
from spine_models.findings.localization.slices import position_features, relative_positions
from spine_models.findings.localization.weak import WeakHead, evidence_box

SUPERVISED: Final = "supervised"
WEAK: Final = "weak"
MODEL, PRIOR, CENTRE = "model", "position_prior", "image_centre"
MIDDLE_BOX: Final = np.array([0.5, 0.5, 0.25, 0.25])
"""Where no train box is known."""

CANDIDATES: Final = pl.Schema(
    {
        "study_key": pl.String,
        "slice_key": pl.String,
        "route": pl.String,
        "plane": pl.String,
        "slice_score": pl.Float64,
    }
)


@dataclass(frozen=True)
class Reader:
    """Fitted heads in use.

    Attributes:
        models: of annotations.
        weak: the probes' heads by (condition, route).
        share: of the evidence that a weak box holds.
    """

    models: Models
    weak: Mapping[Pair, WeakHead]
    share: float

    def slice_logits(self, pair: Pair, pool: Pool, supervision: str, method: str) -> np.ndarray | None:
        """Logits [N] of the pool's slices; None where there is no such head."""
        if method == CENTRE:
            return -np.abs(relative_positions(pool.rows))
        if supervision == WEAK:
            head = self.weak.get(pair)
            return None if head is None or method == PRIOR else head.slice_logits(pool.vectors)
        if method == PRIOR:
            prior = self.models.position_heads.get(pair)
            return None if prior is None else prior(position_features(pool.rows))[:, 0]
        own = self.models.slice_heads.get(pair)
        return None if own is None else own(pool.features)[:, 0]

    def routes(self, condition: str, supervision: str) -> list[str]:
        """Routes whose heads find the condition, slice and box, sorted."""
        pairs = self.models.slice_heads.keys() & self.models.box_heads.keys()
        held = self.weak.keys() if supervision == WEAK else pairs
        return sorted(route for own, route in held if own == condition)

    def candidates(self, condition: str, pools: Iterable[tuple[str, Pool]], supervision: str) -> pl.DataFrame:
        """Slices of any route, in the planes that the heads know, with what they say of the condition.

        Args:
            condition: that is looked for.
            pools: slices of ``routes``, one route at a time.
            supervision: whose heads.

        Returns:
            study_key, slice_key, route, plane and slice_score (logit).
        """
        parts = [pl.DataFrame(schema=CANDIDATES)]
        for route, pool in pools:
            if pool.rows.is_empty():
                continue
            logits = self.slice_logits((condition, route), pool, supervision, MODEL)
            scored = pool.rows.with_columns(slice_score=pl.Series(logits, dtype=pl.Float64))
            planes = self.models.planes.get((condition, route)) if supervision == SUPERVISED else None
            if planes is not None:
                scored = scored.filter(pl.col("plane").is_in(planes))
            parts.append(scored.select(*CANDIDATES))
        return pl.concat(parts)

    def box(
        self, pair: Pair, plane: str, tokens: np.ndarray | None, supervision: str, method: str
    ) -> tuple[np.ndarray, float] | None:
        """Box [4] and logit of its place (0 where the method has none); None where there is no such head."""
        mean = self.models.mean_boxes.get((pair[0], plane), self.models.mean_boxes.get((pair[0], "any")))
        if method == CENTRE:
            size = MIDDLE_BOX[2:] if mean is None else mean[2:]
            return np.concatenate([MIDDLE_BOX[:2], size]), 0.0
        if method == PRIOR:
            return None if mean is None else (mean, 0.0)
        if tokens is None:
            return None
        if supervision == WEAK:
            head = self.weak.get(pair)
            return None if head is None else (evidence_box(head.patch_logits(tokens), self.share), 0.0)
        own = self.models.box_heads.get(pair)
        return None if own is None else own.read(tokens, plane)


def best_slices(candidates: pl.DataFrame, count: int) -> pl.DataFrame:
    """The ``count`` slices of every study that show a condition best, of ``Reader.candidates``, with their ``rank``."""
    return (
        candidates.sort("study_key", "slice_score", "slice_key", descending=[False, True, False])
        .with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("study_key"))
        .filter(pl.col("rank") <= count)
    )
