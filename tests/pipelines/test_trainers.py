"""A training that cannot begin says why and writes no model; one that can is called with what the job names."""

from __future__ import annotations

import json

import polars as pl
import pytest
import torch

from pipelines.runtime.trainers import TRAINERS
from pipelines.runtime.training import TrainingJob
from spine_models.config import BackboneSettings, ClipSettings, GramSettings, SynthesizerSettings
from spine_models.encoder.backbone.encoder import load_encoder, save_encoder
from spine_models.encoder.backbone.vit import Backbone
from tests.encoder.conftest import TINY, write_tar

SETTINGS = BackboneSettings.model_validate(TINY | {"steps": 2, "checkpoint_every": 2, "probe_every": 2})
SECTIONS = {
    "backbone": SETTINGS.model_dump(mode="json"),
    "gram": GramSettings(
        image_px=16,
        px=24,
        global_scale=(0.85, 1.0),
        steps=2,
        first_refresh=1,
        refresh_every=1,
        max_refreshes=1,
    ).model_dump(mode="json"),
    "synthesizer": SynthesizerSettings(
        hidden=8, batch_size=4, steps=2, warmup_steps=1, checkpoint_every=2, probe_every=2
    ).model_dump(mode="json"),
    "clip": ClipSettings(text_model=None).model_dump(mode="json"),
}


@pytest.fixture
def encoders(tmp_path):
    """A trained T1 encoder and a T2 encoder of a route with too few slices."""
    folders = {}
    for route in ("t1", "t2"):
        torch.manual_seed(len(folders))
        folders[route] = str(tmp_path / "encoders" / route)
        save_encoder(
            tmp_path / "encoders" / route, Backbone(SETTINGS), SETTINGS, route=route, trained=route == "t1"
        )
    return folders


def call(trainer: str, tmp_path, **inputs):
    rows: list[dict[str, float]] = []
    job = TrainingJob(trainer, trainer, SECTIONS, inputs, str(tmp_path / "out"))
    return TRAINERS[trainer](job, rows.append), rows


@pytest.mark.parametrize("trainer", ["align", "synthesize"])
def test_untrained_encoders_are_no_ground_for_more(trainer, tmp_path, encoders):
    result, rows = call(trainer, tmp_path, encoders=encoders, tars=[])
    assert result.card == {"trained": False, "steps": 0, "reason": "the encoder of route t2 was not trained"}
    assert result.curves.is_empty()
    assert result.seen.is_empty()
    assert rows == []
    assert not (tmp_path / "out").exists()


def test_a_route_without_an_encoder_is_named(tmp_path, encoders):
    result, _ = call("synthesize", tmp_path, encoders={"t1": encoders["t1"]}, tars=[])
    assert result.card["reason"] == "the encoder of route t2 was not trained"


@pytest.mark.parametrize(("gates", "clip"), [(None, True), (False, True), (True, None), (True, False)])
def test_gates_without_a_trained_alignment_are_not_aligned(tmp_path, gates, clip):
    """None: no model was written; False: one as it was initialised."""
    for name, weights, trained in (
        ("synthesizer", "synthesizer.safetensors", gates),
        ("clip", "clip.safetensors", clip),
    ):
        (tmp_path / name).mkdir()
        if trained is not None:
            (tmp_path / name / weights).touch()
            (tmp_path / name / "config.json").write_text(json.dumps({"trained": trained}))
    folders = {name: str(tmp_path / name) for name in ("synthesizer", "clip")}
    result, _ = call("align_gates", tmp_path, **folders)
    stage = "clip/aligned" if gates else "synthesizer/fused"
    assert result.card["reason"] == f"{stage} was not trained"
    assert result.retrieval.is_empty()


def test_pretraining_and_anchoring_are_called_with_what_the_job_names(tmp_path):
    tars = [
        str(write_tar(tmp_path / "t1" / "train" / "shard-000000.tar", 10, seed=1)),
        str(write_tar(tmp_path / "t1" / "val" / "shard-000000.tar", 4, seed=2)),
    ]
    first, rows = call("pretrain", tmp_path / "first", route="t1", tars=tars)
    assert first.card["trained"]
    assert {row["steps"] for row in rows} == {2.0}
    assert set(first.seen["role"]) == {"train", "held_out"}
    start = tmp_path / "first" / "out"
    kept = first.seen.filter(role="train")["slice_key"].head(2)
    pl.DataFrame({"slice_key": kept}).write_parquet(tmp_path / "coarse.input")
    second, _ = call(
        "anchor",
        tmp_path / "second",
        route="t1",
        tars=tars,
        start=str(start),
        coarse=str(tmp_path / "coarse.input"),
    )
    assert second.card["trained"]
    assert second.card["start"] == first.card["version"]
    assert load_encoder(tmp_path / "second" / "out").version != first.card["version"]
    # A slice that is too coarse is not drawn.
    assert second.seen.filter(pl.col("slice_key").is_in(kept.to_list()), role="train").is_empty()
