"""The exported arrays give what scikit-learn's own model gives, absent values included."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from spine_models.corpus.sequences.training import Recipe, fit_trees, group_folds, out_of_fold
from spine_models.corpus.sequences.trees import Trees

RECIPE = Recipe(rounds=8, leaves=6, smallest_leaf=5)


@pytest.fixture(scope="module")
def examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(700, 9)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    y = (np.nan_to_num(x[:, 0]) > 0).astype(int) + 2 * (np.nan_to_num(x[:, 1]) > 0.4)
    return x, y


def test_scores_equal_those_of_the_library(examples):
    x, y = examples
    classes = ["a", "b", "c", "d"]
    trees = fit_trees(x[:500], [classes[i] for i in y[:500]], np.ones(500), classes, RECIPE)
    library = HistGradientBoostingClassifier(
        max_iter=RECIPE.rounds, max_leaf_nodes=RECIPE.leaves, learning_rate=RECIPE.learning_rate,
        l2_regularization=RECIPE.l2, min_samples_leaf=RECIPE.smallest_leaf, early_stopping=False,
        random_state=RECIPE.seed,
    ).fit(x[:500], y[:500])  # fmt: skip
    np.testing.assert_allclose(trees.scores(x[500:]), library.decision_function(x[500:]), atol=1e-5)


def test_a_class_without_examples_is_never_chosen_and_an_absent_column_does_no_harm(examples):
    x, y = examples
    x = x.copy()
    x[:, 8] = np.nan
    classes = ["a", "b", "never", "c", "d"]
    names = [("a", "b", "c", "d")[i] for i in y]
    scores = fit_trees(x, names, np.ones(len(x)), classes, RECIPE).scores(x)
    assert scores[:, 2].max() < scores.max(axis=1).min()


def test_the_same_seed_gives_the_same_bytes_and_the_file_gives_them_back(examples, tmp_path):
    x, y = examples
    classes = ["a", "b", "c", "d"]
    names = [classes[i] for i in y]
    for name in ("one", "two"):
        fit_trees(x, names, np.ones(len(x)), classes, RECIPE).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    again = Trees.load(tmp_path / "one")
    np.testing.assert_array_equal(
        again.scores(x), fit_trees(x, names, np.ones(len(x)), classes, RECIPE).scores(x)
    )


def test_no_group_is_on_both_sides_of_a_fold(examples):
    x, y = examples
    groups = [f"g{i % 11}" for i in range(len(x))]
    fold = group_folds(groups, 4, seed=1)
    assert all(len({f for f, g in zip(fold, groups, strict=True) if g == name}) == 1 for name in set(groups))
    assert set(fold) == {0, 1, 2, 3}
    classes = ["a", "b", "c", "d"]
    held = out_of_fold(x, [classes[i] for i in y], np.ones(len(x)), groups, classes, RECIPE, folds=2)
    assert (held.argmax(axis=1) == y).mean() > 0.85
