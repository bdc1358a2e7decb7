"""Slices of studies judged and boxes read, the same way for validation, for scores and for findings.

Belongs here: logits of slices by supervision, boxes of slices from their tokens. Does not belong here: fitting, which
rows are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from spine_models.findings.localization.cohort import Pool
from spine_models.findings.localization.models import Models, Pair
from spine_models.findings.localization.slices import position_features, relative_positions
from spine_models.findings.localization.weak import WeakHead, evidence_box

SUPERVISED: Final = "supervised"
WEAK: Final = "weak"
MODEL, PRIOR, CENTRE = "model", "position_prior", "image_centre"
MIDDLE_BOX: Final = np.array([0.5, 0.5, 0.25, 0.25])
"""Where no train box is known."""


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


def top_rows(pool: Pool, logits: np.ndarray, count: int = 1) -> np.ndarray:
    """Rows of the ``count`` highest logits of every study, highest first within a study; ties by row."""
    order = np.lexsort((np.arange(len(logits)), -logits, pool.studies))
    studies = pool.studies[order]
    starts = np.flatnonzero(np.concatenate([[True], studies[1:] != studies[:-1]])) if len(order) else order
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return order[rank < count]
