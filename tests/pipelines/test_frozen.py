"""A training opens the very tars that were frozen, and is told of nobody else's reports."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl
import pytest

from pipelines.runtime import frozen
from pipelines.runtime.frozen import TARS, aligned_inputs, frozen_slices, note_frozen, tars_of
from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import StorageError
from spine_models.corpus.deid.tables import REPORTS
from spine_models.corpus.shards.tables import MANIFEST, SLICES

SHARD = "t1/train/shard-000000.tar"


@pytest.fixture
def hospital(tmp_path) -> Hospital:
    return Hospital(profile="phantom", home=str(tmp_path / "home"), key_file=str(tmp_path / "key"))


def publish(hospital: Hospital, content: bytes, *, beside: bytes = b"") -> None:
    """One batch with one tar, and another that no manifest names."""
    with hospital.draft(TARS, "b1") as draft:
        for shard, data in ((SHARD, content), ("t1/test/shard-000000.tar", beside)):
            file = Path(draft.folder) / shard
            file.parent.mkdir(parents=True)
            file.write_bytes(data)


def manifest(content: bytes) -> pl.DataFrame:
    row = {"batch_key": "b1", "route": "t1", "split": "train", "shard": SHARD, "n_slices": 1, "n_patients": 1}
    return pl.DataFrame([row | {"sha256": hashlib.sha256(content).hexdigest()}], schema=MANIFEST)


def test_frozen_tars_are_opened_where_they_are_published(hospital):
    publish(hospital, b"one")
    (path,) = tars_of(hospital, manifest(b"one"))
    assert Path(path).read_bytes() == b"one"


def test_a_tar_written_anew_since_the_freeze_is_refused_by_name(hospital):
    publish(hospital, b"one")
    tars_of(hospital, manifest(b"one"))
    publish(hospital, b"two")
    with pytest.raises(
        StorageError, match=rf"{SHARD} of batch b1 is no longer what the manifest froze: freeze again"
    ):
        tars_of(hospital, manifest(b"one"))
    assert tars_of(hospital, manifest(b"two"))


def test_other_tars_of_a_batch_may_change(hospital):
    publish(hospital, b"one")
    tars_of(hospital, manifest(b"one"))
    publish(hospital, b"one", beside=b"a late test patient")
    assert tars_of(hospital, manifest(b"one"))


def test_a_batch_without_shards_is_refused_by_name(hospital):
    with pytest.raises(StorageError, match="of batch b1 is no longer"):
        tars_of(hospital, manifest(b"one"))


def test_a_tar_is_read_for_its_hash_once_and_not_at_all_after_a_freeze(hospital, monkeypatch):
    read: list[str] = []
    real = frozen._sha256
    monkeypatch.setattr(frozen, "_sha256", lambda path: read.append(path.name) or real(path))
    publish(hospital, b"one")
    tars_of(hospital, manifest(b"one"))
    tars_of(hospital, manifest(b"one"))
    assert len(read) == 1
    publish(hospital, b"two")
    note_frozen(hospital, manifest(b"two"))
    assert tars_of(hospital, manifest(b"two"))
    assert len(read) == 1


def test_no_batch_is_no_tar_and_no_row(hospital):
    nothing = pl.DataFrame(schema=MANIFEST)
    assert tars_of(hospital, nothing) == []
    assert frozen_slices(hospital, nothing, ["slice_key"]).columns == ["batch_key", "shard", "slice_key"]
    inputs, parents = aligned_inputs(hospital, nothing)
    assert pl.read_parquet(inputs["reports"]).is_empty()
    assert parents["encoders"] == {}


def test_slices_and_reports_are_those_of_the_manifest_alone(hospital):
    publish(hospital, b"one")
    rows = [
        dict.fromkeys(SLICES) | {"batch_key": "b1", "shard": shard, "study_key": study, "slice_key": study}
        for shard, study in ((SHARD, "trained"), ("t1/test/shard-000000.tar", "tested"))
    ]
    hospital.lake.write_table(("shards", "slices"), "b1", pl.DataFrame(rows, schema=SLICES))
    reports = [
        dict.fromkeys(REPORTS) | {"batch_key": "b1", "study_key": study, "report_key": key, "report_text": text}
        for study, key, text in (
            ("trained", "2", "an addendum"), ("trained", "1", "a report"), ("tested", "3", "of a test patient"),
        )
    ]  # fmt: skip
    hospital.lake.write_table(("deid", "reports"), "b1", pl.DataFrame(reports, schema=REPORTS))
    inputs, parents = aligned_inputs(hospital, manifest(b"one"))
    assert pl.read_parquet(inputs["slices"])["study_key"].to_list() == ["trained"]
    assert pl.read_parquet(inputs["reports"]).rows() == [("trained", "a report\n\nan addendum")]
    before = parents["reports"]
    reports[-1]["report_text"] = "another word"
    hospital.lake.write_table(("deid", "reports"), "b1", pl.DataFrame(reports, schema=REPORTS))
    assert aligned_inputs(hospital, manifest(b"one"))[1]["reports"] == before


def test_an_alignment_opens_no_tar_that_was_written_anew_either(hospital):
    publish(hospital, b"one")
    for key, schema in ((("shards", "slices"), SLICES), (("deid", "reports"), REPORTS)):
        hospital.lake.write_table(key, "b1", pl.DataFrame(schema=schema))
    aligned_inputs(hospital, manifest(b"one"))
    publish(hospital, b"two")
    with pytest.raises(StorageError, match="no longer what the manifest froze"):
        aligned_inputs(hospital, manifest(b"one"))


def test_how_a_training_is_computed_makes_no_other_folder_and_what_it_learns_from_does(hospital):
    backbone = hospital.numbers.backbone.model_dump(mode="json")

    def folder(code_version: str = "1", shards: str = "a", **changes: object) -> Path:
        identity = {"backbone": backbone | changes, "shards": [shards]}
        return hospital.training_folder(("backbone", "encoder"), "t1", identity, code_version=code_version)

    same = {"parallel": "fsdp2", "corrupt_shards": "skip", "compile": True, "activation_checkpointing": True}
    assert folder() == folder(**same)
    others = [folder(code_version="2"), folder(shards="b"), folder(lr=0.5), folder(start="elsewhere")]
    assert len({folder(), *others}) == 5
