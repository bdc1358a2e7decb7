"""The searchable index: reports, and slices, of the patients that may serve a prompt.

Belongs here: whose vectors are in it, that they are of one clip, asking by image or by text. Does not belong here:
files and search of one pool (``pool``), scores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.config import RetrievalSettings
from spine_models.encoder.clip.model import ClipModel
from spine_models.encoder.clip.variants import REPORT
from spine_models.findings.retrieval.pool import Found, Pool, RetrievalError, open_pool, write_pool

ABOUT: Final = "index.json"
REPORTS, SLICES = "reports", "slices"

Read = Callable[[str, str, list[str]], pl.DataFrame]
"""``aligned`` or ``aligned_slices``, batch key, columns: that table of embeddings of one batch."""

_KEYS: Final = {
    REPORTS: ["study_key", "patient_key", "batch_key"],
    SLICES: ["slice_key", "patient_key", "study_key", "series_key", "batch_key", "route", "plane", "encoder"],
}


def build_index(
    folder: Path,
    batches: Sequence[str],
    read: Read,
    splits: pl.DataFrame,
    *,
    clip_version: str | None,
    synthesizer_version: str | None,
    dim: int,
    settings: RetrievalSettings,
) -> dict[str, Any]:
    """Write an index, batch by batch; one batch's vectors are in memory at a time.

    Args:
        folder: that exists and is empty.
        batches: whose vectors are taken.
        read: reads ``embeddings/aligned`` and ``embeddings/aligned_slices``.
        splits: patient_key and split; only patients of ``settings.pool`` are taken.
        clip_version: whose space it is; None writes an empty index.
        synthesizer_version: of the aligned synthesizer whose slices are in the space, or None.
        dim: length of the vectors.
        settings: of the profile.

    Returns:
        What ``index.json`` says: versions, dim, pools.

    Raises:
        RetrievalError: a patient in two splits, vectors of another version, or vectors that are not unit vectors.
    """
    who = splits.select("patient_key", "split").unique()
    if who["patient_key"].is_duplicated().any():
        raise RetrievalError("a patient is in two splits: materialise shards again with one key")
    who = who.filter(pl.col("split") == settings.pool).select("patient_key")
    versions = {v for v in (clip_version, synthesizer_version) if v is not None}
    about: dict[str, Any] = {
        "clip_version": clip_version,
        "synthesizer_version": synthesizer_version,
        "dim": dim,
        "pool": settings.pool,
        "pools": {},
    }
    for name, keys in _KEYS.items():
        source = _Source(read, name, who, versions)
        known = batches if clip_version is not None else ()
        kept = [source.rows(batch).select(keys) for batch in known]
        table = pl.concat(kept) if kept else pl.DataFrame(schema=dict.fromkeys(keys, pl.String))
        if table[keys[0]].is_duplicated().any():
            raise RetrievalError(f"a key of the {name} is in two batches: materialise their embeddings again")
        written = write_pool(folder, name, table, source.vectors(known), dim, settings)
        about["pools"][name] = written | {"patients": table["patient_key"].n_unique()}
    (folder / ABOUT).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return about


class RetrievalIndex:
    """An opened index; its pools are opened when they are first asked.

    Attributes:
        clip_version: whose space it is; None for an empty index.
        synthesizer_version: of the synthesizer whose vectors may be compared, or None.
        dim: length of a vector.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self._folder = folder
        self.clip_version: str | None = about["clip_version"]
        self.synthesizer_version: str | None = about["synthesizer_version"]
        self.dim: int = about["dim"]

    @cached_property
    def reports(self) -> Pool:
        """Reports; keys study_key, patient_key, batch_key."""
        return open_pool(self._folder, REPORTS)

    @cached_property
    def slices(self) -> Pool:
        """Slices; keys slice_key, patient_key, study_key, series_key, batch_key, route, plane, encoder."""
        return open_pool(self._folder, SLICES)

    def search(
        self,
        vectors: np.ndarray,
        k: int,
        *,
        what: str = REPORTS,
        exclude_patients: Sequence[Collection[str]] | None = None,
    ) -> Found:
        """The k nearest ``reports`` or ``slices``; see ``Pool.search``."""
        pool = self.reports if what == REPORTS else self.slices
        return pool.search(vectors, k, exclude_patients=exclude_patients)


def open_index(folder: Path, *, clip_version: str | None = None) -> RetrievalIndex:
    """Open an index for use.

    Args:
        folder: that ``build_index`` wrote.
        clip_version: of the model that will be asked with; None does not ask.

    Raises:
        RetrievalError: no index there, or one of another clip (names both versions).
    """
    file = Path(folder) / ABOUT
    if not file.is_file():
        raise RetrievalError(f"no index in folder {Path(folder).name}: materialise retrieval/index")
    about = json.loads(file.read_text(encoding="utf-8"))
    if clip_version is not None and about["clip_version"] != clip_version:
        raise RetrievalError(
            f"the index is of clip {about['clip_version']}, the model is {clip_version}: materialise "
            "embeddings/aligned and retrieval/index again"
        )
    return RetrievalIndex(Path(folder), about)


def text_query(clip: ClipModel, text: str) -> np.ndarray:
    """Unit vector float32 [1, dim] of a report or a sentence, to search with.

    Raises:
        RetrievalError: the text says nothing that the text encoder reads.
        ClipDataError: the variant of clip reads no reports.
    """
    vectors, present = clip.embed_reports([text])
    if not bool(present[0]):
        raise RetrievalError("the text holds no finding or impression to search with: write a sentence")
    return vectors.numpy()


@dataclass(frozen=True)
class _Source:
    """What of the embeddings goes into one pool, batch by batch."""

    read: Read
    name: str
    who: pl.DataFrame
    versions: set[str]

    def rows(self, batch: str, *extra: str) -> pl.DataFrame:
        """The batch's rows by key, of the wanted patients, proved to be of one version."""
        reports, keys = self.name == REPORTS, _KEYS[self.name]
        columns = [*keys, "model_version", *(["modality"] if reports else []), *extra]
        found = self.read("aligned" if reports else "aligned_slices", batch, columns)
        if reports:
            found = found.filter(pl.col("modality") == REPORT)
        found = found.join(self.who, on="patient_key", how="semi").sort(keys[0])
        if strange := set(found["model_version"].unique()) - self.versions:
            raise RetrievalError(
                f"batch {batch} has {self.name} of version {min(strange)}, the index is of "
                f"{', '.join(sorted(self.versions))}: materialise embeddings/aligned of this batch again"
            )
        return found

    def vectors(self, batches: Sequence[str]) -> Iterator[np.ndarray]:
        """The vectors of the same rows, one batch at a time."""
        for batch in batches:
            column = self.rows(batch, "vector")["vector"]
            if len(column):
                yield _matrix(column)


def _matrix(column: pl.Series) -> np.ndarray:
    """float32 [N, D] of a list column."""
    if column.null_count() or column.list.len().n_unique() != 1:
        raise RetrievalError("vectors have several lengths: materialise embeddings/aligned again")
    return column.explode().to_numpy().reshape(len(column), -1).astype(np.float32, copy=False)
