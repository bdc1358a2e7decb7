"""Fitting of the header and the pixel model: boosted trees, then a calibration on scanners that were left out.

Belongs here: from feature vectors and truth to stored arrays and figures of calibration; deterministic by seed.
Does not belong here: where the examples come from (a program beside the benchmarks makes them), inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from spine_models.corpus.sequences.calibration import Calibration, fit_calibration
from spine_models.corpus.sequences.trees import Trees

FOLDS: Final = 5


@dataclass(frozen=True)
class Recipe:
    """How a model is fitted; ``rounds`` boosting rounds of one tree a class with at most ``leaves`` leaves."""

    rounds: int = 60
    leaves: int = 8
    learning_rate: float = 0.12
    l2: float = 1.0
    smallest_leaf: int = 8
    seed: int = 7


def fit_trees(
    features: np.ndarray, truth: Sequence[str], weights: np.ndarray, classes: Sequence[str], recipe: Recipe
) -> Trees:
    """Trees over ``classes``; a class without an example keeps a score so low that it is never chosen.

    Args:
        features: ``[N, F]`` float32 with NaN.
        truth: class name of each row.
        weights: ``[N]``.
        classes: all classes, in the order of the stored scores.
        recipe: numbers of the fit.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    order = {name: index for index, name in enumerate(classes)}
    y = np.array([order[name] for name in truth])
    model = HistGradientBoostingClassifier(
        max_iter=recipe.rounds,
        max_leaf_nodes=recipe.leaves,
        learning_rate=recipe.learning_rate,
        l2_regularization=recipe.l2,
        min_samples_leaf=recipe.smallest_leaf,
        early_stopping=False,
        random_state=recipe.seed,
    )
    # A column that is nowhere present has no threshold to find; as a constant it is never split on either.
    nowhere = np.isnan(features).all(axis=0)
    model.fit(np.where(nowhere, np.float32(0), features), y, sample_weight=weights)
    return _exported(model, len(classes))


def out_of_fold(
    features: np.ndarray,
    truth: Sequence[str],
    weights: np.ndarray,
    groups: Sequence[str],
    classes: Sequence[str],
    recipe: Recipe,
    folds: int = FOLDS,
) -> np.ndarray:
    """Scores ``[N, C]`` of every row by a model that saw no row of its group (site or scanner)."""
    scores = np.zeros((len(features), len(classes)))
    fold = group_folds(groups, folds, recipe.seed)
    y = np.array(truth, dtype=object)
    for k in range(folds):
        held = fold == k
        trees = fit_trees(features[~held], list(y[~held]), weights[~held], classes, recipe)
        scores[held] = trees.scores(features[held])
    return scores


def group_folds(groups: Sequence[str], folds: int, seed: int) -> np.ndarray:
    """Fold ``[N]`` of each row, whole groups together, groups dealt out in an order drawn from the seed."""
    names = sorted(set(groups))
    drawn = np.random.default_rng(seed).permutation(len(names))
    of = {names[index]: place % folds for place, index in enumerate(drawn)}
    return np.array([of[name] for name in groups])


def calibrated(
    scores: np.ndarray, truth: Sequence[str], classes: Sequence[str], weights: np.ndarray
) -> Calibration:
    """The calibration of held-out scores."""
    order = {name: index for index, name in enumerate(classes)}
    return fit_calibration(scores, np.array([order[name] for name in truth]), weights)


def _exported(model: Any, n_classes: int) -> Trees:
    present = [int(c) for c in model.classes_]
    rounds = model._predictors  # the arrays themselves: scikit-learn has no public export of them
    most = max(len(tree.nodes) for trees in rounds for tree in trees)
    shape = (len(rounds) * n_classes, most)
    arrays = {
        "feature": np.full(shape, -1, dtype=np.int16),
        "threshold": np.zeros(shape, dtype=np.float32),
        "left": np.zeros(shape, dtype=np.int16),
        "right": np.zeros(shape, dtype=np.int16),
        "missing_left": np.zeros(shape, dtype=np.uint8),
        "value": np.zeros(shape, dtype=np.float32),
    }
    for number, trees in enumerate(rounds):
        for label, tree in zip(present, trees, strict=True):
            row, nodes = number * n_classes + label, tree.nodes
            size = len(nodes)
            leaf = nodes["is_leaf"].astype(bool)
            arrays["feature"][row, :size] = np.where(leaf, -1, nodes["feature_idx"])
            # A threshold is a midpoint in double precision; rounded down, no single-precision value changes side.
            threshold = np.where(leaf, 0.0, nodes["num_threshold"])
            single = threshold.astype(np.float32)
            above = single.astype(np.float64) > threshold
            arrays["threshold"][row, :size] = np.where(
                above, np.nextafter(single, np.float32(-np.inf)), single
            )
            arrays["left"][row, :size] = nodes["left"]
            arrays["right"][row, :size] = nodes["right"]
            arrays["missing_left"][row, :size] = nodes["missing_go_to_left"]
            arrays["value"][row, :size] = np.where(leaf, nodes["value"], 0.0)
    baseline = np.full(n_classes, -20.0, dtype=np.float32)
    baseline[present] = np.asarray(model._baseline_prediction, dtype=np.float32).ravel()
    return Trees(baseline=baseline, **arrays)
