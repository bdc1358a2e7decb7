"""A boosted tree ensemble as plain arrays: evaluated with numpy alone, stored as safetensors, never pickled.

Belongs here: the arrays, their evaluation and their file. Does not belong here: fitting (`training`), features.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

_BLOCK: Final = 256


@dataclass(frozen=True)
class Trees:
    """``T`` binary trees of at most ``M`` nodes, in boosting rounds of one tree a class.

    Attributes:
        feature: ``[T, M]`` int16, feature of a node; -1 at a leaf.
        threshold: ``[T, M]`` float32; a value not above it goes left.
        left: ``[T, M]`` int16, child when not above the threshold.
        right: ``[T, M]`` int16, child when above.
        missing_left: ``[T, M]`` uint8, whether NaN goes left.
        value: ``[T, M]`` float32, what a leaf adds to its class.
        baseline: ``[C]`` float32, scores before any tree; tree ``t`` belongs to class ``t % C``.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray
    baseline: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Scores before softmax ``[N, C]``, float64, of vectors ``[N, F]`` with NaN for what is absent."""
        n, classes = len(features), len(self.baseline)
        feature, threshold, missing_left, left, right, depth = self._flat
        roots = np.arange(len(self.feature), dtype=np.int32) * self.feature.shape[1]
        values = self.value.ravel()
        out = np.empty((n, classes))
        for start in range(0, n, _BLOCK):  # bounded memory however long the batch is
            block = features[start : start + _BLOCK]
            absent = np.isnan(block)
            filled = np.where(absent, np.float32(0), block).ravel()
            first = (np.arange(len(block), dtype=np.int32) * block.shape[1])[:, None]
            node = np.broadcast_to(roots, (len(block), len(roots)))
            for _ in range(depth):
                at = first + feature[node]
                goes_left = np.where(absent.ravel()[at], missing_left[node], filled[at] <= threshold[node])
                node = np.where(goes_left, left[node], right[node])
            leaves = values[node].astype(np.float64)
            out[start : start + _BLOCK] = leaves.reshape(len(block), -1, classes).sum(axis=1) + self.baseline
        return out

    @cached_property
    def _flat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
        """The arrays in one row, children by their place in it; a leaf is its own child, so all go equally deep."""
        trees, nodes = self.feature.shape
        leaf = self.feature < 0
        base = (np.arange(trees, dtype=np.int32) * nodes)[:, None]
        itself = base + np.arange(nodes, dtype=np.int32)[None, :]
        left = np.where(leaf, itself, base + self.left).astype(np.int32)
        right = np.where(leaf, itself, base + self.right).astype(np.int32)
        here, depth = base[:, 0], 0
        reached = np.zeros(trees * nodes, dtype=bool)
        reached[here] = True
        inner = ~leaf.ravel()
        while (open_nodes := np.flatnonzero(reached & inner)).size:
            reached[:] = False
            reached[left.ravel()[open_nodes]] = True
            reached[right.ravel()[open_nodes]] = True
            depth += 1
        feature = np.maximum(self.feature, 0).astype(np.int32).ravel()
        missing_left = self.missing_left.astype(bool).ravel()
        return feature, self.threshold.ravel(), missing_left, left.ravel(), right.ravel(), depth

    def save(self, path: Path) -> None:
        """Write one safetensors file."""
        from safetensors.numpy import save_file

        save_file({field.name: getattr(self, field.name) for field in fields(self)}, path)

    @classmethod
    def load(cls, path: Path) -> Trees:
        """Read what `save` wrote."""
        from safetensors.numpy import load_file

        return cls(**load_file(path))
