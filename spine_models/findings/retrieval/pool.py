"""A pool of unit vectors that can be searched: written in bounded memory, opened without pickles.

A pool is three or four files: ``<name>.npy`` (float32 [N, D]), ``<name>.parquet`` (keys, in the same order),
``<name>.json`` (kind and sizes) and, where it is large, ``<name>.faiss``. Candidates come from a coarse scan (half
precision over everything, or inverted lists); their scores are computed again from the float32 rows in float64, so
that equal vectors have equal scores and the order of ties is that of the keys.

With kind ``exact`` the scan overlooks nothing: a candidate's coarse score is at most ``MARGIN`` off (rounding to half
precision moves an inner product of unit vectors by at most 2**-11), so the scan is widened until whatever it left out
lies further below the last result than that.

Belongs here: files, search, ties, leaving patients out. Does not belong here: whose vectors these are (``index``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import faiss
import numpy as np
import polars as pl

from spine_models.config import RetrievalSettings

EXACT: Final = "exact"
LISTS: Final = "inverted_lists"
MARGIN: Final = 2.0**-11 + 1e-5
UNIT_WITHIN: Final = 1e-3


class RetrievalError(ValueError):
    """A pool that cannot be built, opened or asked; the message names what and the remedy."""


class Found(NamedTuple):
    """Results of Q queries, best first; fewer than k where the pool holds no more."""

    rows: list[np.ndarray]  # int64 rows of ``Pool.keys``
    scores: list[np.ndarray]  # float64 inner products


def write_pool(
    folder: Path,
    name: str,
    keys: pl.DataFrame,
    parts: Iterable[np.ndarray],
    dim: int,
    settings: RetrievalSettings,
) -> dict[str, object]:
    """Write one pool; at most a part of ``parts`` and ``settings.chunk`` rows are in memory at a time.

    Args:
        folder: that exists.
        name: of the files.
        keys: one row a vector; its first column orders equal scores, patient_key is needed for leaving patients out.
        parts: float32 [n, dim], together the rows of ``keys`` in their order.
        dim: length of a vector.
        settings: of the profile.

    Returns:
        What ``<name>.json`` says: kind, n, dim, and the parameters of the inverted lists.

    Raises:
        RetrievalError: vectors that are not finite, not of unit length, of another length, or not as many as keys.
    """
    n = keys.height
    path = folder / f"{name}.npy"
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, dim)) if n else None
    filled = 0
    for part in parts:
        for start in range(0, len(part), settings.chunk):
            rows = _checked(part[start : start + settings.chunk], dim, name)
            if stored is None or filled + len(rows) > n:
                raise RetrievalError(f"the pool of {name} has more vectors than keys: build it again")
            stored[filled : filled + len(rows)] = rows
            filled += len(rows)
    if filled != n:
        raise RetrievalError(f"the pool of {name} has {filled} vectors for {n} keys: build it again")
    if stored is not None:
        stored.flush()
    keys.write_parquet(folder / f"{name}.parquet")
    about: dict[str, object] = {"kind": EXACT, "n": n, "dim": dim}
    if stored is not None and n * dim > settings.exact_values:
        lists = min(max(1, round(settings.lists_per_root * n**0.5)), n // 39 or 1)
        about |= {"kind": LISTS, "lists": lists, "probed": settings.probed, "seed": settings.seed}
        faiss.write_index(_inverted_lists(stored, lists, settings), str(folder / f"{name}.faiss"))
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return about


class Pool:
    """An opened pool.

    Attributes:
        keys: one row a vector.
        vectors: float32 [N, D], mapped from the file.
        kind: ``exact`` or ``inverted_lists``.
    """

    def __init__(
        self, keys: pl.DataFrame, vectors: np.ndarray, index: faiss.Index | None, about: dict
    ) -> None:
        self.keys, self.vectors, self.kind, self.dim = keys, vectors, str(about["kind"]), int(about["dim"])
        self._index = index
        self._probed, self._lists = int(about.get("probed", 0)), int(about.get("lists", 0))
        if index is None and len(vectors):
            self._index = faiss.IndexScalarQuantizer(
                self.dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
            )
            for start in range(0, len(vectors), 1 << 16):
                self._index.add(np.ascontiguousarray(vectors[start : start + (1 << 16)]))
        order = keys[keys.columns[0]]
        self._tie = (
            order.rank("ordinal").to_numpy().astype(np.int64) if keys.height else np.zeros(0, np.int64)
        )
        # Nulls cannot be excluded by name and never are.
        self._of_patient: dict[str, np.ndarray] = {}
        if "patient_key" in keys.columns and keys.height:
            numbered = keys.select("patient_key").with_row_index("row")
            grouped = numbered.group_by("patient_key").agg("row")
            self._of_patient = {patient: np.asarray(rows, dtype=np.int64) for patient, rows in grouped.rows()}

    def __len__(self) -> int:
        return self.keys.height

    def search(
        self, vectors: np.ndarray, k: int, *, exclude_patients: Sequence[Collection[str]] | None = None
    ) -> Found:
        """The k best rows of each query, best first, ties by the first key.

        Args:
            vectors: float [Q, D], finite, unit rows.
            k: at least 1; beyond the size of the pool all of it is returned.
            exclude_patients: of each query, whose rows are no results.

        Raises:
            RetrievalError: queries that are not finite, of another length, or k below 1.
        """
        queries = np.ascontiguousarray(_checked(np.asarray(vectors), self.dim, "queries"), dtype=np.float32)
        if k < 1:
            raise RetrievalError(f"{k} results were asked for: ask for at least one")
        excluded = [self._rows_of(who) for who in exclude_patients or [()] * len(queries)]
        if len(excluded) != len(queries):
            raise RetrievalError(
                f"{len(excluded)} lists of patients for {len(queries)} queries: give one each"
            )
        if not len(self):
            return Found([np.zeros(0, np.int64)] * len(queries), [np.zeros(0)] * len(queries))
        rows, scores = [], []
        # Queries that leave nobody out and share a first scan are asked together.
        first = min(len(self), k + 16)
        coarse, ids = self._scan(queries, first, self._probed)
        for q, query in enumerate(queries):
            found = self._settle(query, k, excluded[q], coarse[q], ids[q])
            rows.append(found[0])
            scores.append(found[1])
        return Found(rows, scores)

    def _settle(
        self, query: np.ndarray, k: int, excluded: np.ndarray, coarse: np.ndarray, ids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Widen the scan until k results stand and nothing outside can be among them."""
        exact, width, probed = self.kind == EXACT, len(ids), self._probed
        while True:
            there = ids >= 0
            candidates, bound = ids[there], coarse[there]
            kept = candidates[~np.isin(candidates, excluded)]
            scores = self.vectors[np.sort(kept)].astype(np.float64) * query.astype(np.float64)
            kept, values = np.sort(kept), scores.sum(axis=1)
            order = np.lexsort((self._tie[kept], -values))[:k]
            everything = len(candidates) == len(self)
            if exact:
                done = everything or (len(order) == k and bound.min() < values[order[-1]] - MARGIN)
            else:
                done = everything or len(order) == min(k, len(self) - len(excluded))
            if done:
                return kept[order], values[order]
            if not exact and len(candidates) < width:
                if probed >= self._lists:  # every list was looked into: there is nothing more
                    return kept[order], values[order]
                probed = min(self._lists, probed * 4)
            else:
                width = min(len(self), max(width * 4, k + len(excluded) + 16))
            coarse, ids = (part[0] for part in self._scan(query[None], width, probed))

    def _scan(self, queries: np.ndarray, width: int, probed: int) -> tuple[np.ndarray, np.ndarray]:
        assert self._index is not None
        if self.kind == LISTS:
            return self._index.search(queries, width, params=faiss.SearchParametersIVF(nprobe=probed))
        return self._index.search(queries, width)

    def _rows_of(self, patients: Collection[str]) -> np.ndarray:
        found = [self._of_patient[p] for p in patients if p in self._of_patient]
        return np.concatenate(found) if found else np.zeros(0, np.int64)


def open_pool(folder: Path, name: str) -> Pool:
    """Open a pool that ``write_pool`` wrote.

    Raises:
        RetrievalError: a file is missing, or they do not fit together.
    """
    about_file = folder / f"{name}.json"
    if not about_file.is_file():
        raise RetrievalError(f"no pool of {name} in folder {folder.name}: materialise retrieval/index")
    about = json.loads(about_file.read_text(encoding="utf-8"))
    keys = pl.read_parquet(folder / f"{name}.parquet")
    empty = np.zeros((0, about["dim"]), np.float32)
    vectors = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) if about["n"] else empty
    if vectors.shape != (about["n"], about["dim"]) or keys.height != about["n"]:
        raise RetrievalError(
            f"the files of the pool of {name} do not fit together: materialise retrieval/index"
        )
    index = None
    if about["kind"] == LISTS:
        index = faiss.read_index(str(folder / f"{name}.faiss"))
        if index.ntotal != about["n"]:
            raise RetrievalError(
                f"the lists of the pool of {name} hold other vectors: materialise retrieval/index"
            )
    return Pool(keys, vectors, index, about)


def _inverted_lists(stored: np.ndarray, lists: int, settings: RetrievalSettings) -> faiss.Index:
    """Inverted lists of half-precision vectors, trained on a seeded sample, filled in chunks."""
    n, dim = stored.shape
    quantizer = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, dim, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    index.cp.seed, index.cp.spherical = settings.seed + 1, True
    index.cp.max_points_per_centroid = max(39, -(-settings.train_most // lists))
    drawn = np.random.default_rng(settings.seed).choice(n, min(n, settings.train_most), replace=False)
    index.train(np.ascontiguousarray(stored[np.sort(drawn)]))
    for start in range(0, n, settings.chunk):
        index.add(np.ascontiguousarray(stored[start : start + settings.chunk]))
    return index


def _checked(vectors: np.ndarray, dim: int, what: str) -> np.ndarray:
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise RetrievalError(
            f"vectors of {what} have shape {list(vectors.shape)}, not [N, {dim}]: use one version"
        )
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if bad := int((~(np.abs(lengths - 1) < UNIT_WITHIN)).sum()):
        raise RetrievalError(
            f"{bad} vectors of {what} are not finite or not of unit length: materialise embeddings/aligned again"
        )
    return vectors
