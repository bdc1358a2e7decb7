"""The file of slice vectors: right rows, nothing read that is not kept, reused or replaced, proved, shared by ranks."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from spine_models.corpus.shards import ShardError, read_slices
from spine_models.encoder.clip import encoding
from spine_models.encoder.clip.data import KINDS, ClipDataError, clip_studies
from spine_models.encoder.clip.tables import SEEN, VECTORS
from spine_models.encoder.clip.train import manifest, train_clip
from spine_models.encoder.clip.vectors import open_vectors, slice_vectors, stored_studies
from tests.encoder.clip.sharded import make_sharded, write_members

REPO = Path(__file__).resolve().parents[3]


class Quadrants:
    """Mean and deviation of the four quarters of a slice; counts what it was given."""

    dim = 8

    def __init__(self, route: str, version: str = "v1") -> None:
        self.name, self.version, self.given = f"quadrants-{route}", version, 0

    def encode(self, images: np.ndarray) -> np.ndarray:
        self.given += len(images)
        half = images.shape[1] // 2
        parts = [
            images[:, y : y + half, x : x + half].reshape(len(images), -1) / 65535
            for y in (0, half) for x in (0, half)
        ]  # fmt: skip
        return np.stack([f(p, axis=1) for p in parts for f in (np.mean, np.std)], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    return make_sharded(tmp_path_factory.mktemp("sharded"))


def encoders(version: str = "v1") -> dict[str, Quadrants]:
    return {route: Quadrants(route, version) for route in ("t1", "t2")}


def encoded(sharded, out, *, most=4, using=None, slices=None):
    return slice_vectors(
        sharded.slices if slices is None else slices, sharded.roots, using or encoders(), out, max_slices=most
    )


def test_vectors_are_those_of_a_slow_walk(sharded, tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "CHUNK", 5)
    vectors = encoded(sharded, tmp_path / "v")
    assert vectors.index.schema == VECTORS
    assert {route: array.shape for route, array in vectors.arrays.items()} == {"t1": (54, 8), "t2": (72, 8)}
    images = {
        key: image
        for root in sharded.roots.values()
        for key, image in read_slices(sorted(root.rglob("*.tar")))
    }
    for split, n in (("train", 12), ("val", 6)):
        studies = stored_studies(vectors, sharded.reports, split=split)
        assert [s.study_key for s in studies] == sorted(
            sharded.slices.filter(split=split)["study_key"].unique()
        )
        assert len(studies) == n
        for study in studies:
            assert study.patient_key == "p" + study.study_key[1:]
            t1 = study.routes["t1"]
            slow = Quadrants("t1").encode(
                np.stack([images[f"{study.study_key}a-{90 - i:04d}"] for i in range(3)])
            )
            assert np.array_equal(t1.vectors, slow)
            t2 = study.routes["t2"]
            # Two series of three and four slices share four places: two each, evenly, by slice_index.
            kept = [("b", 0), ("b", 2), ("c", 1), ("c", 3)]
            slow = Quadrants("t2").encode(
                np.stack([images[f"{study.study_key}{s}-{90 - i:04d}"] for s, i in kept])
            )
            assert np.array_equal(t2.vectors, slow)
            assert t2.series.tolist() == [0, 0, 1, 1]
            assert [KINDS[k] for k in t2.kind] == ["sagittal", "sagittal", "axial", "axial"]


def test_only_what_is_kept_is_encoded_and_the_vectors_stay_in_their_file(sharded, tmp_path):
    using = encoders()
    vectors = encoded(sharded, tmp_path / "v", using=using, most=2)
    assert (using["t1"].given, using["t2"].given) == (36, 36)
    study = stored_studies(vectors, sharded.reports, split="train")[0]
    base = study.routes["t2"].vectors
    assert type(base) is np.ndarray
    assert not base.flags.writeable
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


def test_the_same_studies_as_from_a_table_of_embeddings(sharded, tmp_path):
    vectors = encoded(sharded, tmp_path / "v", most=64)
    table = vectors.index.with_columns(
        # In this table the slice key sorts as the place in the series does.
        slice_key=pl.format("{}-{}", "series_key", "slice_index"),
        vector=pl.Series([row.tolist() for array in vectors.arrays.values() for row in array]),
    )
    stored = [s for split in ("train", "val") for s in stored_studies(vectors, sharded.reports, split=split)]
    for one, other in zip(stored, clip_studies(table, sharded.reports, max_slices=64), strict=True):
        assert (one.study_key, one.patient_key, one.report) == (
            other.study_key,
            other.patient_key,
            other.report,
        )
        for route in ("t1", "t2"):
            for name in ("vectors", "series", "kind"):
                assert np.array_equal(getattr(one.routes[route], name), getattr(other.routes[route], name))


def test_a_folder_that_fits_is_used_and_another_replaced(sharded, tmp_path):
    first = encoded(sharded, tmp_path / "v")
    using = encoders()
    again = encoded(sharded, tmp_path / "v", using=using, slices=sharded.slices.reverse())
    assert (again.key, using["t1"].given) == (first.key, 0)
    assert open_vectors(tmp_path / "v").parents == first.parents
    assert first.parents["t1"] == {
        "encoder": "quadrants-t1", "model_version": "v1", "preprocessing_version": "w1",
    }  # fmt: skip
    others = [
        encoded(sharded, tmp_path / "v", using=encoders("v2")),
        encoded(sharded, tmp_path / "v", most=3),
        encoded(sharded, tmp_path / "v", slices=sharded.slices.filter(pl.col("study_key") != "s001")),
    ]
    assert len({first.key, *(other.key for other in others)}) == 4
    assert others[-1].index["study_key"].n_unique() == 17
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_a_killed_call_leaves_nothing_that_could_be_taken_for_vectors(sharded, tmp_path):
    class Killed(Quadrants):
        def encode(self, images):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoded(sharded, tmp_path / "v", using=encoders() | {"t2": Killed("t2")})
    with pytest.raises(ClipDataError, match="no slice vectors in folder v"):
        open_vectors(tmp_path / "v")
    assert encoded(sharded, tmp_path / "v").key
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_what_cannot_be_trusted_is_refused(sharded, tmp_path):
    slices = sharded.slices
    some = pl.col("slice_key") == "s001a-0090"
    cases = [
        (slices.with_columns(pixel_hash=pl.when(some).then(pl.lit("f" * 64)).otherwise("pixel_hash")),
         "t1/train/shard-000000.tar of batch batch1 is not the one"),
        (slices.with_columns(slice_key=pl.when(some).then(pl.lit("gone")).otherwise("slice_key")),
         "1 slices of the manifest are not in t1/train/shard-000000.tar of batch batch1: materialise"),
        (slices.with_columns(batch_key=pl.lit("batch9")), "batch batch9 has slices but no shard folder"),
        (slices.with_columns(split=pl.when(some).then(pl.lit("test")).otherwise("split")), "split test"),
        (slices.with_columns(preprocessing_version=pl.when(some).then(pl.lit("w2")).otherwise(pl.lit("w1"))),
         "2 preprocessings"),
        (slices.with_columns(split=pl.lit("outside")), "no slice of route t1 or t2"),
    ]  # fmt: skip
    for table, said in cases:
        with pytest.raises(ClipDataError, match=said):
            encoded(sharded, tmp_path / "v", slices=table)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(ClipDataError, match="something else"):
        encoded(sharded, tmp_path / "full")
    nan = encoders()
    nan["t1"].encode = lambda images: np.full((len(images), 8), np.nan, np.float32)
    with pytest.raises(ClipDataError, match="quadrants-t1 v1 gives vectors that are not finite"):
        encoded(sharded, tmp_path / "v", using=nan)


def test_a_shard_that_was_cut_is_named(tmp_path):
    broken = make_sharded(tmp_path / "b", 4, 2)
    write_members(broken.roots["batch0"] / "t1/train/shard-000000.tar", [])
    with pytest.raises((ClipDataError, ShardError), match="shard-000000"):
        encoded(broken, tmp_path / "v")


def test_training_on_mapped_vectors_names_them_without_reading_and_tells_whom_it_saw(
    sharded, tmp_path, clip_settings
):
    vectors = encoded(sharded, tmp_path / "v")
    train, val = (stored_studies(vectors, sharded.reports, split=split) for split in ("train", "val"))
    result = train_clip(clip_settings, train, val, tmp_path / "out", parents=vectors.parents)
    assert result.card["trained"]
    assert result.seen.schema == SEEN
    assert_frame_equal(pl.read_parquet(tmp_path / "out" / "seen.parquet"), result.seen)
    expected = [(s.patient_key, s.study_key, "train") for s in train if s.report]  # s007 has no report
    expected += [(s.patient_key, s.study_key, "held_out") for s in val]
    assert result.seen.rows() == expected
    few = train_clip(clip_settings, train[:3], val, tmp_path / "few", parents={})
    assert few.seen.equals(pl.DataFrame(schema=SEEN))

    part = train[0].routes["t1"]
    unread = dataclasses.replace(part, vectors=np.zeros_like(part.vectors))
    same = dataclasses.replace(train[0], routes={**train[0].routes, "t1": unread})
    assert manifest([same, *train[1:]]) == manifest(train)
    newer = slice_vectors(sharded.slices, sharded.roots, encoders("v2"), tmp_path / "v2", max_slices=4)
    assert manifest(stored_studies(newer, sharded.reports, split="train")) != manifest(train)
    read = [
        dataclasses.replace(
            s, routes={r: dataclasses.replace(p, digest=None) for r, p in s.routes.items()}
        )
        for s in train
    ]  # fmt: skip
    plain = train_clip(clip_settings, read, val, tmp_path / "plain", parents=vectors.parents)
    assert plain.card["version"] == result.card["version"]


SCRIPT = """
import json, sys
from pathlib import Path
import polars as pl
from spine_models.encoder.backbone.distributed import rank
from spine_models.encoder.clip.vectors import slice_vectors
from tests.encoder.clip.test_vectors import encoders

root, folder = Path(sys.argv[1]), Path(sys.argv[2])
roots = {name: root / name for name in ("batch0", "batch1")}
using = encoders()
vectors = slice_vectors(pl.read_parquet(folder / "slices.parquet"), roots, using, folder / "v", max_slices=4)
given = {route: encoder.given for route, encoder in using.items()}
again = encoders()
slice_vectors(pl.read_parquet(folder / "slices.parquet"), roots, again, folder / "v", max_slices=4)
assert not any(encoder.given for encoder in again.values())
(folder / f"said-{rank()}.json").write_text(json.dumps({"key": vectors.key, "given": given}))
"""


def test_two_processes_share_the_work_and_leave_the_same_files(sharded, tmp_path):
    one = encoded(sharded, tmp_path / "one")
    sharded.slices.write_parquet(tmp_path / "slices.parquet")
    (tmp_path / "two.py").write_text(SCRIPT)
    root = sharded.roots["batch0"].parent
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         str(tmp_path / "two.py"), str(root), str(tmp_path)],
        cwd=REPO, capture_output=True, text=True, check=False, timeout=120,
        env={"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = [json.loads((tmp_path / f"said-{r}.json").read_text()) for r in range(2)]
    assert [s["key"] for s in said] == [one.key] * 2
    assert [sum(s["given"].values()) for s in said] == [63, 63]
    for name in ("t1.npy", "t2.npy", "index.parquet", "vectors.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "v" / name).read_bytes(), name
