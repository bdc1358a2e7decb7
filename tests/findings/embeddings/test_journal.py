"""What a killed run leaves: nothing noted is computed again, nothing torn is believed, and the bits are the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from spine_models.config import EmbeddingSettings
from spine_models.findings.embeddings import EmbeddingError, embed_slices
from spine_models.findings.embeddings.journal import Journal
from spine_models.findings.embeddings.slices import FRESHNESS
from tests.findings.conftest import Batch, write_batch
from tests.findings.embeddings.networks import make_networks
from tests.findings.embeddings.test_slices import Moments

REPO = Path(__file__).resolve().parents[3]
RECORD = 3


def rows(*keys: str, version: str = "v1") -> pl.DataFrame:
    return pl.DataFrame(
        [(k, "e", version, "p1", f"pixels of {k}") for k in keys], schema=FRESHNESS, orient="row"
    )


def fill(path: Path) -> list[int]:
    """Two records; the sizes of the file after each."""
    sizes = []
    with Journal(path, FRESHNESS) as journal:
        for keys in (("a", "b"), ("c",)):
            journal.add(rows(*keys), np.arange(len(keys) * RECORD, dtype=np.float32).reshape(-1, RECORD) / 3)
            sizes.append(path.stat().st_size)
    return sizes


def test_what_was_noted_comes_back_bit_for_bit(tmp_path):
    fill(tmp_path / "j")
    with Journal(tmp_path / "j", FRESHNESS) as journal:
        assert journal.rows.select(FRESHNESS).equals(rows("a", "b", "c"))
        found = np.float32(journal.rows["vector"].to_list())
    np.testing.assert_array_equal(
        found, np.float32([[0, 1 / 3, 2 / 3], [1, 4 / 3, 5 / 3], [0, 1 / 3, 2 / 3]])
    )


def test_a_file_cut_anywhere_keeps_its_whole_records(tmp_path):
    path = tmp_path / "j"
    first, second = fill(path)
    whole = path.read_bytes()
    for size in range(second + 1):
        path.write_bytes(whole[:size])
        kept = [] if size < first else ["a", "b"] if size < second else ["a", "b", "c"]
        with Journal(path, FRESHNESS) as journal:
            assert journal.rows["slice_key"].to_list() == kept
            journal.add(rows("d"), np.zeros((1, RECORD), np.float32))
        with Journal(path, FRESHNESS) as journal:
            assert journal.rows["slice_key"].to_list() == [*kept, "d"]


def test_a_damaged_byte_is_never_believed(tmp_path):
    path = tmp_path / "j"
    first, second = fill(path)
    whole = path.read_bytes()
    for position in range(first, second):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with Journal(path, FRESHNESS) as journal:
            assert journal.rows["slice_key"].to_list() == ["a", "b"]


def test_another_file_begins_anew(tmp_path):
    (tmp_path / "j").write_bytes(b"something else altogether, and longer than a header " * 9)
    with Journal(tmp_path / "j", FRESHNESS) as journal:
        assert journal.rows.is_empty()
    assert (tmp_path / "j").stat().st_size == 0


PLAN = [("p1", "a", "t1", 7), ("p1", "b", "t2", 9), ("p2", "c", "other", 10), ("p2", "d", "t2", 4)]
MEMBERS = [
    {"patient": p, "study": f"s{p}", "series": s, "route": r, "slice": f"{s}{i}-0000"}
    for p, s, r, n in PLAN
    for i in range(n)
]
SIZE = 4
BATCHES = [
    ("other", 4),
    ("other", 4),
    ("other", 2),
    ("t1", 4),
    ("t1", 3),
    ("t2", 4),
    ("t2", 4),
    ("t2", 4),
    ("t2", 1),
]


class Counting:
    """An encoder that notes each call in a file before it computes, and may die in one."""

    def __init__(self, inner: object, calls: Path, dies_at: int | None) -> None:
        self.name, self.route, self.version = inner.name, inner.route, inner.version
        self._inner, self._calls, self._dies_at = inner, calls, dies_at

    def encode(self, images: np.ndarray) -> np.ndarray:
        with self._calls.open("ab") as file:
            file.write(f"{self.route} {len(images)}\n".encode())
        vectors = self._inner.encode(images)
        if self._dies_at is not None and len(calls_in(self._calls)) == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return vectors


def calls_in(path: Path) -> list[tuple[str, int]]:
    if not path.is_file():
        return []
    return [(route, int(n)) for route, n in map(str.split, path.read_text().splitlines())]


def run(root: Path, *, calls: str, journal: str | None, dies_at: int | None = None) -> pl.DataFrame:
    """Embed the batch below ``root`` with its networks; also what the killed process runs."""
    import torch

    from spine_models.findings.embeddings.encoders import open_embedders

    torch.set_num_threads(1)
    encoders = {r: root / r for r in ("t1", "t2")}
    table = pl.read_parquet(root / "slices.parquet")
    opened = open_embedders(encoders, root / "aligned")
    frame, _ = embed_slices(
        table,
        shard_root=root / "tars",
        encoders={r: Counting(e, root / calls, dies_at) for r, e in opened.items()},
        previous=None,
        settings=EmbeddingSettings(batch_size=SIZE),
        journal=None if journal is None else root / journal,
    )
    return frame


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("site")
    make_networks(root)
    write_batch(root / "tars", MEMBERS).table.write_parquet(root / "slices.parquet")
    return root


@pytest.mark.parametrize("dies_at", [2, 8])
def test_a_killed_run_goes_on_where_it_was(site, dies_at):
    name = f"dies{dies_at}"
    code = (
        "import sys; from pathlib import Path; from tests.findings.embeddings.test_journal import run; "
        f"run(Path(sys.argv[1]), calls='{name}.calls', journal='{name}.journal', dies_at={dies_at})"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(site)],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    before = calls_in(site / f"{name}.calls")
    assert before == BATCHES[:dies_at]
    resumed = run(site, calls=f"{name}.calls", journal=f"{name}.journal")
    # The batch in flight alone is computed a second time.
    assert calls_in(site / f"{name}.calls")[dies_at:] == BATCHES[dies_at - 1 :]
    unbroken = run(site, calls=f"{name}.unbroken", journal=None)
    assert resumed.equals(unbroken)
    assert calls_in(site / f"{name}.unbroken") == BATCHES


def test_a_finished_journal_leaves_nothing_to_compute(site):
    first = run(site, calls="first.calls", journal="whole.journal")
    again = run(site, calls="again.calls", journal="whole.journal")
    assert again.equals(first)
    assert calls_in(site / "again.calls") == []


def embed(batch: Batch, encoder: Moments, journal: Path) -> tuple[pl.DataFrame, int]:
    return embed_slices(
        batch.table,
        shard_root=batch.root,
        encoders={encoder.route: encoder},
        previous=None,
        settings=EmbeddingSettings(batch_size=3),
        journal=journal,
    )


def test_a_journal_of_other_pixels_or_another_model_is_not_believed(make_batch, members, tmp_path):
    batch, path = make_batch(members), tmp_path / "j"
    assert embed(batch, Moments("t2"), path)[1] == 8
    assert embed(batch, Moments("t2"), path)[1] == 0
    frame, computed = embed(batch, Moments("t2", "v2"), path)
    assert (computed, set(frame["model_version"])) == (8, {"v2"})
    batch.table = batch.table.with_columns(preprocessing_version=pl.lit("p2"))
    assert embed(batch, Moments("t2", "v2"), path)[1] == 8


def test_an_error_on_the_way_keeps_what_was_computed(make_batch, members, tmp_path):
    class Tires(Moments):
        def encode(self, images: np.ndarray) -> np.ndarray:
            vectors = super().encode(images)
            return vectors * np.float32("nan" if len(self.batches) == 2 else 1)

    batch, path = make_batch(members), tmp_path / "j"
    with pytest.raises(EmbeddingError, match="not finite"):
        embed(batch, Tires("t2"), path)
    frame, computed = embed(batch, Moments("t2"), path)
    assert (frame.height, computed) == (8, 5)
