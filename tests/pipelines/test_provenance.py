"""A model of somebody who may not train is not published, whatever a check would say afterwards."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipelines.runtime.provenance import publish_trained
from pipelines.runtime.resources import Hospital
from pipelines.runtime.training import Trained
from spine_models.corpus.shards.tables import MANIFEST
from spine_models.corpus.shards.tables import PATIENTS as LEDGER
from spine_models.encoder.seen import PATIENTS
from spine_models.encoder.snapshots import snapshots_of

KEY = ("clip", "aligned")


@pytest.fixture
def hospital(tmp_path) -> Hospital:
    return Hospital(profile="phantom", home=str(tmp_path / "home"), key_file=str(tmp_path / "key"))


def publish(hospital: Hospital, folder: Path, *patients: str) -> str:
    (folder / "weights.safetensors").write_bytes(b"weights")
    empty = pl.DataFrame()
    result = Trained(
        folder, [folder / "weights.safetensors"], empty, empty, {"trained": True, "version": "v"}
    )
    read = pl.DataFrame([("align", "all", p, "train", 1) for p in patients], schema=PATIENTS, orient="row")
    ledger = pl.DataFrame([("ann", "train", True), ("ben", "test", False)], schema=LEDGER, orient="row")
    manifest = pl.DataFrame(schema=MANIFEST)
    return publish_trained(
        hospital, KEY, None, result, patients=read, ledger=ledger, manifest=manifest, encoder="e"
    )


def test_a_model_of_train_patients_is_published_with_its_card(hospital, tmp_path):
    version = publish(hospital, tmp_path, "ann")
    card = hospital.lake.card(KEY)
    assert hospital.current(KEY).name == version
    assert (card["training"]["version"], card["encoder"]) == ("v", "e")
    assert card["manifest"]


def test_snapshots_are_published_with_it(hospital, tmp_path):
    (tmp_path / "snapshots" / "step-00000002").mkdir(parents=True)
    (tmp_path / "snapshots" / "step-00000002" / "encoder.safetensors").write_bytes(b"early")
    publish(hospital, tmp_path, "ann")
    assert list(snapshots_of(hospital.current(KEY))) == [2]


@pytest.mark.parametrize("patients", [("ann", "ben"), ("nobody",)])
def test_a_model_of_anybody_else_is_not(hospital, tmp_path, patients):
    with pytest.raises(dg.Failure, match="read 1 patients who may not train, and is not published"):
        publish(hospital, tmp_path, *patients)
    assert not hospital.lake.has_artifact(KEY)
