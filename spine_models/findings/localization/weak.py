"""Slices and boxes of a condition that nobody annotated, from the study's own linear head.

A study vector is the mean over series of the mean over slices, and the head of one route is linear: its logit of the
study is therefore exactly the mean over series of the mean over slices of its logit of the slice's own vector, which
ranks the slices. A slice vector is (class token, mean of patches, maximum of patches): its logit splits exactly into
the class token's part and one part per patch, which draws the box. Nothing here was told where anything is: rows are
marked ``weak``.

Belongs here: these two sums, the box around patches, whether vectors are the heads'. Does not belong here: fitting
heads (``probes``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from spine_models.findings.localization.rectangles import from_corners
from spine_models.findings.localization.versions import check_versions
from spine_models.findings.probes.heads import Heads


@dataclass(frozen=True)
class WeakHead:
    """Logit of one condition and route: (vector - mean) . weights + bias; mean and weights [3 * D]."""

    mean: np.ndarray
    weights: np.ndarray
    bias: float

    def slice_logits(self, vectors: np.ndarray) -> np.ndarray:
        """What the head says of single slices, [N], of vectors [N, 3 * D]."""
        return (vectors.astype(np.float64) - self.mean) @ self.weights + self.bias

    def patch_logits(self, tokens: np.ndarray) -> np.ndarray:
        """Each patch's part of its slice's logit, [h, w], of tokens [h, w, D].

        A feature's maximum belongs to the patch that has it (to the first of equals). The parts, the class token's
        and the bias add up to ``slice_logits``.
        """
        flat = tokens.reshape(-1, tokens.shape[-1]).astype(np.float64)
        _, mean, top = np.split(self.mean, 3)
        _, of_mean, of_top = np.split(self.weights, 3)
        parts = (flat - mean) @ of_mean / len(flat)
        highest = flat.argmax(axis=0)
        np.add.at(parts, highest, (flat[highest, np.arange(flat.shape[1])] - top) * of_top)
        return parts.reshape(tokens.shape[:2])


def weak_heads(heads: Heads) -> dict[tuple[str, str], WeakHead]:
    """The linear heads of single routes by (condition, route); a set of several routes is none."""
    found = {}
    names = list(heads.card["conditions"])
    for route in heads.model_versions:
        linear = heads.sets.get(route)
        if linear is None:
            continue
        for column in np.flatnonzero(linear.fitted):
            slope = float(linear.slope[column])
            found[names[column], route] = WeakHead(
                linear.mean,
                slope * linear.weights[:, column] / linear.scale,
                slope * float(linear.bias[column]) + float(linear.intercept[column]),
            )
    return found


def check_heads(heads: Heads, rows: pl.DataFrame) -> None:
    """Refuse slice vectors of another encoder or preprocessing than the probes' heads were fitted on.

    ``Heads.predict`` looks at study vectors; the slices' may have been made again since.

    Args:
        heads: whose card may say nothing of preprocessing (of before it was kept): then it is not compared.
        rows: route, model_version and preprocessing_version.

    Raises:
        LocalizationError: names the route and both versions.
    """
    check_versions(
        rows,
        heads.model_versions,
        heads.preprocessing_versions,
        by="the probes' heads were",
        remedy="materialise embeddings and probes again",
    )


def evidence_box(parts: np.ndarray, share: float) -> np.ndarray:
    """The box [4] around the patches that speak for the condition.

    Patches are taken from the strongest on until they hold ``share`` of all that speaks for it; the box is drawn around
    those that hang together with the strongest by their sides. Where nothing speaks for it the strongest patch is it.
    """
    height, width = parts.shape
    order = np.argsort(-parts.ravel(), kind="stable")
    gains = parts.ravel()[order].clip(min=0.0)
    wanted = share * gains.sum()
    taken = int(np.searchsorted(np.cumsum(gains), wanted)) + 1 if wanted > 0 else 1
    chosen = np.zeros(parts.size, dtype=bool)
    chosen[order[:taken]] = True
    chosen = chosen.reshape(height, width)
    start = divmod(int(order[0]), width)
    component, queue = {start}, [start]
    while queue:
        y, x = queue.pop()
        for at in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if at not in component and 0 <= at[0] < height and 0 <= at[1] < width and chosen[at]:
                component.add(at)
                queue.append(at)
    rows, columns = np.array(sorted(component)).T
    edges = [
        columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height
    ]  # fmt: skip
    return from_corners(np.array(edges))
