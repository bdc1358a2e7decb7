"""Directions of levels: what they span, that they repeat, and how sides go in."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.findings.levelwise.components import Components, find_components, positions_of, vectors_of
from spine_models.findings.levelwise.targets import Kind, places_of
from spine_models.findings.localization.targets import LEVELS
from tests.findings.levelwise.conftest import NAMES, WIDTH


def cloud(rows=200, columns=30, seed=0) -> np.ndarray:
    """Full rank, with variances that fall along rotated directions."""
    rng = np.random.default_rng(seed)
    turned = np.linalg.qr(rng.normal(size=(columns, columns)))[0]
    return (rng.normal(size=(rows, columns)) * 0.7 ** np.arange(columns) @ turned + 3.0).astype(np.float32)


def standard(vectors: np.ndarray, found: Components) -> np.ndarray:
    return (vectors.astype(np.float64) - found.mean) / found.scale


def test_they_are_the_singular_directions_of_standardised_vectors():
    vectors = cloud()
    found = find_components(vectors, 6, seed=1)
    assert found.directions.shape == (30, 6)
    np.testing.assert_allclose(found.mean, vectors.mean(axis=0), atol=1e-5)
    # A deviation, and a thousandth of that of all numbers.
    np.testing.assert_allclose(found.scale, vectors.std(axis=0) + 1e-3 * vectors.std(), rtol=1e-5)
    own = standard(vectors, found)
    _, values, right = np.linalg.svd(own, full_matrices=False)
    one = values[0] / np.sqrt(len(vectors))
    unit = found.directions * one
    np.testing.assert_allclose(unit.T @ unit, np.eye(6), atol=1e-4)
    np.testing.assert_allclose(np.abs(np.sum(unit * right[:6].T, axis=0)), 1.0, atol=1e-3)
    # The first component has deviation 1, the others theirs beside it.
    np.testing.assert_allclose(found(vectors).std(axis=0), values[:6] / values[0], rtol=1e-3)
    assert found(vectors).dtype == np.float64


def test_directions_are_followed_until_they_stand_also_where_variances_hardly_fall():
    rng = np.random.default_rng(2)
    turned = np.linalg.qr(rng.normal(size=(150, 150)))[0]
    vectors = (rng.normal(size=(300, 150)) * 0.95 ** np.arange(150) @ turned).astype(np.float32)
    found = find_components(vectors, 5, seed=0)
    _, values, right = np.linalg.svd(standard(vectors, found), full_matrices=False)
    unit = found.directions * values[0] / np.sqrt(len(vectors))
    # Cosines of the angles between the two subspaces.
    assert np.linalg.svd(right[:5] @ unit)[1].min() > 0.99


def test_the_seed_decides_every_byte():
    one, same, other = (find_components(cloud(), 5, seed=seed) for seed in (7, 7, 8))
    for name in ("mean", "scale", "directions"):
        assert getattr(one, name).tobytes() == getattr(same, name).tobytes()
    assert one.directions.tobytes() != other.directions.tobytes()
    span = one.directions @ np.linalg.pinv(one.directions)
    np.testing.assert_allclose(span, other.directions @ np.linalg.pinv(other.directions), atol=1e-3)


@pytest.mark.parametrize(("rows", "columns", "count", "kept"), [(4, 30, 9, 3), (50, 6, 9, 6), (2, 5, 3, 1)])
def test_there_are_no_more_than_the_vectors_have(rows, columns, count, kept):
    assert find_components(cloud(rows, columns), count, seed=0).directions.shape == (columns, kept)


def test_numbers_that_never_move_do_no_harm():
    vectors = cloud(columns=8)
    still = np.hstack([vectors, np.full((200, 3), 5.0, np.float32), np.zeros((200, 2), np.float32)])
    found = find_components(still, 4, seed=0)
    seen = found(still)
    assert np.isfinite(seen).all()
    np.testing.assert_allclose(found.directions[8:], 0, atol=1e-4)
    same = np.tile(np.float32([1, 2, 3]), (5, 1))
    nothing = find_components(same, 2, seed=0)
    assert nothing(same).shape == (5, 0)


def test_they_are_stored_and_opened_again():
    found = find_components(cloud(), 5, seed=0)
    again = Components.of(found.arrays("plain") | {"sided.mean": found.mean}, "plain")
    assert again(cloud(seed=4)).tobytes() == found(cloud(seed=4)).tobytes()


def test_vectors_of_places_are_the_centre_the_sides_and_their_difference(judgeable):
    views = judgeable.views.head(20)
    parts = {name: np.array(views[name].to_list(), np.float32) for name in ("centre", "left", "right")}
    whole = places_of(views, Kind(False, False))
    found = vectors_of(views, whole, sided=False)
    assert (found.shape, found.dtype) == ((whole.height, 3 * WIDTH), np.float32)
    for row, vector in zip(whole["view"], found, strict=True):
        centre, left, right = (parts[name][row] for name in ("centre", "left", "right"))
        np.testing.assert_allclose(
            vector, np.concatenate([centre, (left + right) / 2, abs(left - right)]), atol=1e-6
        )
    sides = places_of(views, Kind(False, True))
    found = vectors_of(views, sides, sided=True)
    for (row, side), vector in zip(sides.select("view", "side").iter_rows(), found, strict=True):
        own, other = (parts[name][row] for name in ((side, "right") if side == "left" else (side, "left")))
        np.testing.assert_array_equal(vector, np.concatenate([parts["centre"][row], own, own - other]))
    # Any places in any order, not only all of them.
    some = sides[[7, 2, 2]]
    np.testing.assert_array_equal(vectors_of(views, some, sided=True), found[[7, 2, 2]])


def test_a_mirrored_spine_swaps_what_is_seen_of_its_sides(judgeable):
    views = judgeable.views.head(16)
    mirrored = views.with_columns(left="right", right="left")
    places = places_of(views, Kind(False, True))
    found, turned = (vectors_of(one, places, sided=True) for one in (views, mirrored))
    left, right = ((places["side"] == side).to_numpy() for side in ("left", "right"))
    assert found[left].tobytes() == turned[right].tobytes()
    assert found[right].tobytes() == turned[left].tobytes()
    assert found[left].tobytes() != turned[left].tobytes()
    whole = places_of(views, Kind(True, False))
    assert (
        vectors_of(views, whole, sided=False).tobytes() == vectors_of(mirrored, whole, sided=False).tobytes()
    )


@pytest.mark.parametrize("sided", [False, True])
def test_no_places_have_no_vectors_and_no_positions(judgeable, sided):
    bones = judgeable.views.filter(~pl.col("level").str.contains("-"))
    for views, width in ((judgeable.views.clear(), 0), (bones, 3 * WIDTH)):
        places = places_of(views, Kind(False, sided))
        assert vectors_of(views, places, sided=sided).shape == (0, width)
        assert positions_of(views, places).shape == (0, 4)


def test_positions_are_the_region_and_the_levels_number(judgeable):
    views = judgeable.views.head(8).with_columns(
        region=pl.Series(["cervical", "thoracic", "lumbar", "lumbar"] * 2)
    )
    places = places_of(views, Kind(True, False))
    expected = [
        [*np.eye(3)[n], LEVELS[NAMES[row]] / max(LEVELS.values())]
        for row, n in ((0, 0), (2, 2), (4, 0), (6, 2))
    ]
    np.testing.assert_allclose(positions_of(views, places), expected)
