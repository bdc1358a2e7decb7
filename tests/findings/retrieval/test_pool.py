"""Search is exact where it says so, ties are those of the keys, patients are left out, files are whole."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import RetrievalSettings
from spine_models.findings.retrieval.pool import RetrievalError, open_pool, write_pool
from tests.findings.retrieval.conftest import unit


def make(folder, vectors, *, patients=None, settings=None, parts=3):
    n = len(vectors)
    keys = pl.DataFrame(
        {"key": [f"k{i:05d}" for i in range(n)], "patient_key": patients or [f"p{i // 3}" for i in range(n)]},
        schema={"key": pl.String, "patient_key": pl.String},
    )
    settings = settings or RetrievalSettings(chunk=7)
    about = write_pool(folder, "things", keys, np.array_split(vectors, parts), vectors.shape[1], settings)
    return open_pool(folder, "things"), about


def plainly(vectors, patients, query, k, excluded=()):
    """Sorted by score, ties by place."""
    scores = [
        (-float(sum(a * b for a, b in zip(v, query, strict=True))), i) for i, v in enumerate(vectors.tolist())
    ]
    return [i for _, i in sorted(scores) if patients[i] not in excluded][:k]


def test_exact_search_is_that_of_a_loop(tmp_path):
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(200, 16))).astype(np.float32)
    pool, about = make(tmp_path, vectors)
    assert (about["kind"], len(pool)) == ("exact", 200)
    queries = unit(rng.normal(size=(20, 16))).astype(np.float32)
    patients = pool.keys["patient_key"].to_list()
    excluded = [{f"p{q}", "nobody"} for q in range(20)]
    found = pool.search(queries, 9, exclude_patients=excluded)
    for q in range(20):
        assert found.rows[q].tolist() == plainly(vectors, patients, queries[q].tolist(), 9, excluded[q])
        np.testing.assert_allclose(found.scores[q], (vectors[found.rows[q]] @ queries[q]), atol=1e-6)


def test_vectors_that_half_precision_cannot_tell_apart_are_told_apart(tmp_path):
    """Hundreds of near copies: the coarse scan alone would order them at random."""
    rng = np.random.default_rng(1)
    query = unit(rng.normal(size=32))
    vectors = unit(query + 1e-4 * rng.normal(size=(300, 32))).astype(np.float32)
    pool, _ = make(tmp_path, vectors)
    found = pool.search(query[None], 5)
    exact = vectors.astype(np.float64) @ query.astype(np.float32).astype(np.float64)
    assert found.rows[0].tolist() == np.argsort(-exact, kind="stable")[:5].tolist()


def test_equal_vectors_come_in_the_order_of_their_keys(tmp_path):
    vectors = np.repeat(np.eye(8, dtype=np.float32)[:2], 50, axis=0)
    pool, _ = make(tmp_path, vectors)
    found = pool.search(np.eye(8)[1:2], 4)
    assert found.rows[0].tolist() == [50, 51, 52, 53]


def test_a_patient_with_most_of_the_pool_is_left_out_wholly(tmp_path):
    rng = np.random.default_rng(2)
    vectors = unit(rng.normal(size=(90, 8))).astype(np.float32)
    patients = ["big"] * 80 + [f"p{i}" for i in range(10)]
    pool, _ = make(tmp_path, vectors, patients=patients)
    found = pool.search(vectors[:1], 10, exclude_patients=[["big"]])
    assert sorted(found.rows[0].tolist()) == list(range(80, 90))


def test_k_beyond_the_pool_is_all_of_it(tmp_path):
    vectors = unit(np.random.default_rng(3).normal(size=(5, 4))).astype(np.float32)
    pool, _ = make(tmp_path, vectors)
    assert sorted(pool.search(vectors[:1], 50).rows[0].tolist()) == list(range(5))
    assert pool.search(vectors[:1], 50, exclude_patients=[["p0"]]).rows[0].size == 2


def test_one_patient_alone_finds_nobody(tmp_path):
    vectors = unit(np.random.default_rng(4).normal(size=(5, 4))).astype(np.float32)
    pool, _ = make(tmp_path, vectors, patients=["p"] * 5)
    found = pool.search(vectors, 3, exclude_patients=[["p"]] * 5)
    assert [len(rows) for rows in found.rows] == [0] * 5


def test_an_empty_pool_finds_nothing(tmp_path):
    pool, about = make(tmp_path, np.zeros((0, 6), np.float32))
    assert about["n"] == 0
    assert pool.search(unit(np.ones((2, 6))), 3).rows[1].size == 0


def test_inverted_lists_find_what_exact_search_finds(tmp_path):
    """Clustered vectors, all lists probed: equal to exact; few lists: most of it, and never an excluded patient."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(20, 16))
    vectors = unit(centres[rng.integers(20, size=3000)] + 0.3 * rng.normal(size=(3000, 16))).astype(
        np.float32
    )
    queries = vectors[::300] + 0.0
    exact, _ = make(tmp_path, vectors)
    wanted = exact.search(queries, 10, exclude_patients=[[f"p{300 * q // 3}"] for q in range(10)])
    for probed, least in ((1000, 1.0), (4, 0.7)):
        folder = tmp_path / str(probed)
        folder.mkdir()
        lists, about = make(
            folder,
            vectors,
            settings=RetrievalSettings(exact_values=100, lists_per_root=0.5, probed=probed, chunk=700),
        )
        assert about["kind"] == "inverted_lists"
        found = lists.search(queries, 10, exclude_patients=[[f"p{300 * q // 3}"] for q in range(10)])
        shared = [len(set(a) & set(b)) / 10 for a, b in zip(wanted.rows, found.rows, strict=True)]
        assert np.mean(shared) >= least
        for q, rows in enumerate(found.rows):
            assert f"p{300 * q // 3}" not in lists.keys["patient_key"][rows].to_list()


def test_more_lists_are_looked_into_until_k_are_found(tmp_path):
    rng = np.random.default_rng(6)
    vectors = unit(rng.normal(size=(500, 8))).astype(np.float32)
    pool, _ = make(
        tmp_path, vectors, settings=RetrievalSettings(exact_values=1, lists_per_root=0.5, probed=1, chunk=99)
    )
    assert pool.search(vectors[:1], 400).rows[0].size == 400
    assert pool.search(vectors[:1], 600).rows[0].size == 500


def test_the_same_pool_is_written_twice_with_the_same_bytes(tmp_path):
    vectors = unit(np.random.default_rng(7).normal(size=(400, 8))).astype(np.float32)
    settings = RetrievalSettings(exact_values=10, chunk=64)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make(tmp_path / name, vectors, settings=settings, parts=1 if name == "a" else 9)
    for file in sorted((tmp_path / "a").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


@pytest.mark.parametrize("broken", [np.nan, np.inf, 0.0, 3.0])
def test_vectors_that_are_no_directions_are_refused(tmp_path, broken):
    vectors = unit(np.random.default_rng(8).normal(size=(6, 4))).astype(np.float32)
    pool, _ = make(tmp_path, vectors)
    bad = vectors * 1.0
    bad[2] = broken
    with pytest.raises(RetrievalError, match="1 vectors of queries"):
        pool.search(bad, 2)
    with pytest.raises(RetrievalError, match="1 vectors of things"):
        make(tmp_path, bad)


def test_what_does_not_fit_is_refused(tmp_path):
    vectors = unit(np.random.default_rng(9).normal(size=(6, 4))).astype(np.float32)
    pool, _ = make(tmp_path, vectors)
    with pytest.raises(RetrievalError, match="shape"):
        pool.search(unit(np.ones((1, 5))), 2)
    with pytest.raises(RetrievalError, match="at least one"):
        pool.search(vectors, 0)
    with pytest.raises(RetrievalError, match="one each"):
        pool.search(vectors, 2, exclude_patients=[[]])
    keys = pool.keys.head(5)
    with pytest.raises(RetrievalError, match="more vectors than keys"):
        write_pool(tmp_path, "more", keys, [vectors], 4, RetrievalSettings())
    with pytest.raises(RetrievalError, match="5 vectors for 6 keys"):
        write_pool(tmp_path, "fewer", pool.keys, [vectors[:5]], 4, RetrievalSettings())
    with pytest.raises(RetrievalError, match="no pool of other"):
        open_pool(tmp_path, "other")
    pool.keys.head(3).write_parquet(tmp_path / "things.parquet")
    with pytest.raises(RetrievalError, match="do not fit together"):
        open_pool(tmp_path, "things")
