"""A boosted tree ensemble as plain arrays: evaluated with numpy alone, stored as safetensors, never pickled.

Belongs here: the arrays, their evaluation and their file. Does not belong here: fitting (`training`), features.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np


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
        trees = np.arange(len(self.feature))
        out = np.empty((n, classes))
        for start in range(0, n, 512):  # bounded memory however long the batch is
            block = features[start : start + 512]
            node = np.zeros((len(block), len(trees)), dtype=np.int64)
            rows = np.arange(len(block))[:, None]
            while True:
                feature = self.feature[trees, node]
                inner = feature >= 0
                if not inner.any():
                    break
                x = block[rows, np.maximum(feature, 0)]
                goes_left = np.where(
                    np.isnan(x), self.missing_left[trees, node] > 0, x <= self.threshold[trees, node]
                )
                child = np.where(goes_left, self.left[trees, node], self.right[trees, node])
                node = np.where(inner, child, node)
            leaves = self.value[trees, node].astype(np.float64)
            out[start : start + 512] = leaves.reshape(len(block), -1, classes).sum(axis=1) + self.baseline
        return out

    def save(self, path: Path) -> None:
        """Write one safetensors file."""
        from safetensors.numpy import save_file

        save_file({field.name: getattr(self, field.name) for field in fields(self)}, path)

    @classmethod
    def load(cls, path: Path) -> Trees:
        """Read what `save` wrote."""
        from safetensors.numpy import load_file

        return cls(**load_file(path))
