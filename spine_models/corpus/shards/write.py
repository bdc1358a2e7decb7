"""From released DICOM of one batch to tars per route and split, and the index of their slices.

Belongs here: the order of work, the tar layout. Does not belong here: which series become slices (``plan``),
arithmetic on pixels (``preprocess``), decoding (``pixels``), reading tars back.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final

import polars as pl

from spine_models.config import ShardSettings
from spine_models.corpus.shards.codec import FORMAT, SUFFIX
from spine_models.corpus.shards.members import Member, write_sidecar
from spine_models.corpus.shards.plan import Plan, plan_series
from spine_models.corpus.shards.rows import Rows
from spine_models.corpus.shards.series import SeriesSlices, SeriesTask, shard_series
from spine_models.corpus.shards.splits import assign_splits
from spine_models.corpus.shards.tables import QUALITY, SKIPPED, SLICES, SPLITS
from spine_models.domain import Split

_MIN_POOL_SERIES: Final = 16
"""Fewer series than this are done in this process: starting workers would take longer."""

_AHEAD: Final = 2
"""Series a worker that are given out before their turn: finished ones wait in memory."""


@dataclass(frozen=True)
class ShardTables:
    """The slice index, the batch's split ledger, what was left out with its reason, and each series' quality."""

    slices: pl.DataFrame
    splits: pl.DataFrame
    skipped: pl.DataFrame
    quality: pl.DataFrame


def write_shards(
    instances: pl.DataFrame,
    series: pl.DataFrame,
    *,
    dicom: Path,
    out: Path,
    settings: ShardSettings,
    progress: Callable[[int, int], None] | None = None,
) -> ShardTables:
    """Write ``<out>/<route>/<split>/shard-000000.tar`` for every series that can be used.

    A series that cannot be used never stops a batch: it stands in ``skipped`` with a reason. Series that are
    not of a spine (region other or unknown) go to split ``outside`` or are dropped, as
    ``settings.other_regions`` says; they are never in train, val or test. The bytes written depend on the
    released pixels, the tables and ``settings`` alone.

    Args:
        instances: ``deid.INSTANCES`` of one or more batches.
        series: ``sequences.SERIES`` of the same batches.
        dicom: the folder that ``dicom_path`` is relative to.
        out: an empty or absent folder.
        settings: sizes and fractions.
        progress: called with (series done, series in all).

    Raises:
        FileExistsError: ``out`` holds files already.
    """
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(
            "the folder for shards is not empty: give a fresh one, shards are never appended to"
        )
    splits = assign_splits(instances["patient_key"].to_list(), settings=settings)
    plan = plan_series(instances, series, splits, dicom, settings)
    done = 0
    with Rows(SLICES) as rows, Rows(QUALITY) as quality, _results(plan, settings) as results:
        for (route, split), group in groupby(results, key=lambda result: (result.route, result.split)):
            folder = f"{route}/{split}"
            with _TarSeries(out, folder, settings.slices_per_shard) as tars:
                for result in group:
                    plan.skipped.extend(result.skipped)
                    quality.extend(result.quality)
                    rows.extend(tars.add(row, image) for row, image in result.slices)
                    done += 1
                    if progress is not None:
                        progress(done, len(plan))
        return ShardTables(
            slices=rows.sorted("study_key", "series_key", "slice_index", "slice_key"),
            splits=_split_frame(instances, splits),
            skipped=pl.DataFrame(plan.skipped, schema=SKIPPED).sort("series_key", "reason"),
            quality=quality.sorted("study_key", "series_key"),
        )


def _split_frame(instances: pl.DataFrame, splits: dict[str, Split]) -> pl.DataFrame:
    patients = instances.select("batch_key", "patient_key").unique().sort("batch_key", "patient_key")
    rows = [row | {"split": splits[row["patient_key"]].value} for row in patients.iter_rows(named=True)]
    return pl.DataFrame(rows, schema=SPLITS)


@contextmanager
def _results(plan: Plan, settings: ShardSettings) -> Iterator[Iterable[SeriesSlices]]:
    """Results in the order of the tasks. Workers are spawned: forking a process with threads can hang."""
    work = partial(shard_series, settings=settings)
    if settings.workers == 1 or len(plan) < _MIN_POOL_SERIES:
        yield map(work, plan.tasks())
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.workers, mp_context=context) as pool:
        yield _in_order(pool, work, plan.tasks(), settings.workers * _AHEAD)


def _in_order(
    pool: Executor, work: Callable[[SeriesTask], SeriesSlices], tasks: Iterator[SeriesTask], ahead: int
) -> Iterator[SeriesSlices]:
    """As ``pool.map``, which gives everything out at once and keeps what one slow series holds up."""
    waiting = deque(pool.submit(work, task) for task in islice(tasks, ahead))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(pool.submit(work, task) for task in islice(tasks, 1))


class _TarSeries:
    """Writes one folder's samples into numbered tars of at most ``limit`` slices, with reproducible bytes."""

    def __init__(self, out: Path, folder: str, limit: int):
        self._out, self._folder, self._limit = out, folder, limit
        self._tar: tarfile.TarFile | None = None
        self._name = ""
        self._shards = self._in_shard = 0
        self._members: list[Member] = []

    def __enter__(self) -> _TarSeries:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._tar is not None:
            self._tar.close()
            self._tar = None
            write_sidecar(self._out / self._name, self._members)

    def add(self, row: dict[str, Any], image: bytes) -> dict[str, Any]:
        """Store one sample and return its index row with the shard's name."""
        if self._tar is None or self._in_shard == self._limit:
            self._close()
            self._name = f"{self._folder}/shard-{self._shards:06d}.tar"
            path = self._out / self._name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed in _close
            self._shards, self._in_shard, self._members = self._shards + 1, 0, []
        row = row | {"shard": self._name, "format": FORMAT, "member_bytes": len(image)}
        about = json.dumps(row, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        for suffix, content in (("json", about), (SUFFIX, image)):
            member = tarfile.TarInfo(f"{row['slice_key']}.{suffix}")
            member.size, member.mode, member.mtime = len(content), 0o444, 0
            self._tar.addfile(member, io.BytesIO(content))
        self._tar.members.clear()  # which only a reader of the open tar would need, at a kilobyte each
        # The tar stands behind the padding of the member that was added last.
        start = self._tar.offset - -(-len(image) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        self._members.append(Member(row["slice_key"], row["study_key"], SUFFIX, start, len(image)))
        self._in_shard += 1
        return row
