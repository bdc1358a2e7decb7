from __future__ import annotations

import hashlib

import polars as pl
import pytest

from spine_models.corpus.shards import freeze_manifest
from spine_models.corpus.shards.tables import MANIFEST, PATIENTS, SLICES


def slices_of(*rows) -> pl.DataFrame:
    names = ("batch_key", "patient_key", "route", "split", "shard", "slice_key")
    return pl.DataFrame(
        [dict(zip(names, (*row, f"slice-{i}"), strict=True)) for i, row in enumerate(rows)], schema=SLICES
    )


def tar(root, shard: str, content: bytes = b"tar") -> str:
    path = root / shard
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def test_only_train_and_val_are_frozen(tmp_path):
    digest = tar(tmp_path, "t1/train/shard-000000.tar")
    tar(tmp_path, "t2/val/shard-000000.tar", b"val")
    slices = slices_of(
        ("b", "p1", "t1", "train", "t1/train/shard-000000.tar"),
        ("b", "p2", "t1", "train", "t1/train/shard-000000.tar"),
        ("b", "p2", "t1", "train", "t1/train/shard-000000.tar"),
        ("b", "p3", "t2", "val", "t2/val/shard-000000.tar"),
        ("b", "p4", "t2", "test", "t2/test/shard-000000.tar"),
        ("b", "p1", "t2", "outside", "t2/outside/shard-000000.tar"),
        ("b", "p5", "t2", "outside", "t2/outside/shard-000000.tar"),
    )
    tables = freeze_manifest(slices, shard_roots={"b": tmp_path})
    assert (tables.manifest.schema, tables.patients.schema) == (MANIFEST, PATIENTS)
    assert tables.manifest.select("shard", "split", "n_slices", "n_patients").rows() == [
        ("t1/train/shard-000000.tar", "train", 3, 2),
        ("t2/val/shard-000000.tar", "val", 1, 1),
    ]
    assert tables.manifest["sha256"][0] == digest
    assert tables.patients.rows() == [
        ("p1", "train", True),
        ("p2", "train", True),
        ("p3", "val", False),
        ("p4", "test", False),
        ("p5", "outside", False),
    ]


def test_equal_shards_give_equal_frames(tmp_path):
    tar(tmp_path / "x", "t1/train/shard-000000.tar")
    tar(tmp_path / "y", "t1/train/shard-000000.tar")
    slices = slices_of(*[("b", f"p{i}", "t1", "train", "t1/train/shard-000000.tar") for i in range(9)])
    one = freeze_manifest(slices, shard_roots={"b": tmp_path / "x"})
    other = freeze_manifest(slices.reverse(), shard_roots={"b": tmp_path / "y"})
    assert one.manifest.equals(other.manifest)
    assert one.patients.equals(other.patients)


def test_a_patient_in_two_splits_is_refused(tmp_path):
    slices = slices_of(
        ("b1", "p", "t1", "train", "t1/train/shard-000000.tar"),
        ("b2", "p", "t1", "test", "t1/test/shard-000000.tar"),
    )
    with pytest.raises(ValueError, match="splits test and train"):
        freeze_manifest(slices, shard_roots={"b1": tmp_path, "b2": tmp_path})


def test_a_test_slice_in_a_training_tar_is_refused(tmp_path):
    slices = slices_of(("b", "p", "t1", "test", "t1/train/shard-000000.tar"))
    with pytest.raises(ValueError, match="split test"):
        freeze_manifest(slices, shard_roots={"b": tmp_path})


def test_missing_tars_and_folders_are_named(tmp_path):
    slices = slices_of(("b", "p", "t1", "train", "t1/train/shard-000000.tar"))
    with pytest.raises(ValueError, match="no shard folder"):
        freeze_manifest(slices, shard_roots={})
    with pytest.raises(ValueError, match="is missing"):
        freeze_manifest(slices, shard_roots={"b": tmp_path})


def test_nothing_to_freeze_keeps_the_schemas():
    tables = freeze_manifest(pl.DataFrame(schema=SLICES), shard_roots={})
    assert (tables.manifest.schema, tables.patients.schema) == (MANIFEST, PATIENTS)
