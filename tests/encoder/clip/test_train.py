"""The loop: learns, resumes exactly, refuses what it must; two processes against one."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from spine_models.config import ClipSettings, load_profile
from spine_models.encoder.backbone.optim import TrainingDiverged
from spine_models.encoder.backbone.whole import CheckpointMismatch
from spine_models.encoder.clip.data import ClipDataError
from spine_models.encoder.clip.model import ClipModelError, load_clip, version_of
from spine_models.encoder.clip.tables import CURVES, RETRIEVAL
from spine_models.encoder.clip.train import train_clip, usable

REPO = Path(__file__).resolve().parents[3]
PARENTS = {"t1": {"model_version": "a"}, "t2": {"model_version": "b"}}


def weights(folder):
    return load_file(folder / "clip.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, clip_settings, train_studies, val_studies):
    out = tmp_path_factory.mktemp("clip") / "whole"
    return train_clip(clip_settings, train_studies, val_studies, out, parents=PARENTS)


def test_files_card_and_curves(whole, clip_settings):
    assert whole.card == json.loads((whole.folder / "card.json").read_text())
    assert whole.card["trained"] is True
    assert whole.card["version"] == version_of(whole.folder)
    assert whole.card["parents"]["t1"] == PARENTS["t1"]
    assert whole.card["settings"] == clip_settings.model_dump(mode="json")
    assert whole.card["manifest"]["val_studies"] < 12
    assert whole.curves.schema == CURVES
    assert whole.retrieval.schema == RETRIEVAL
    assert pl.read_parquet(whole.folder / "curves.parquet").equals(whole.curves)
    assert whole.curves["step"].to_list() == [1, 2, 3, 4]
    assert whole.curves["loss"].is_finite().all()
    assert whole.curves["val_recall_5"].is_null().to_list() == [True, False, True, False]
    assert whole.curves["t1_t2"].is_null().all()
    torch.testing.assert_close(
        torch.tensor(whole.curves["loss"]),
        torch.tensor(whole.curves["t1_report"] + whole.curves["t2_report"]),
    )


def test_the_folder_opens_and_embeds(whole, val_studies):
    model = load_clip(whole.folder)
    embedded = model.embed(val_studies)
    assert embedded.vectors["report"].shape == (12, 16)
    assert embedded.present["report"].tolist() == [bool(s.report) for s in val_studies]
    assert embedded.present["t1"].tolist() == ["t1" in s.routes for s in val_studies]
    here = embedded.present["t2"]
    torch.testing.assert_close(embedded.vectors["t2"][here].norm(dim=1), torch.ones(int(here.sum())))
    alone = model.embed(val_studies[:1])
    torch.testing.assert_close(alone.vectors["t1"][0], embedded.vectors["t1"][0], rtol=1e-5, atol=1e-6)
    with pytest.raises(ClipDataError, match="length"):
        part = val_studies[0].routes["t2"]
        bad = dataclasses.replace(part, vectors=np.zeros((len(part.series), 3), dtype=np.float32))
        model.embed([dataclasses.replace(val_studies[0], routes={"t2": bad})])


@pytest.mark.parametrize("stop", [2, 3])
def test_a_killed_run_ends_with_the_same_bits(
    whole, tmp_path, clip_settings, train_studies, val_studies, stop
):
    first = train_clip(clip_settings, train_studies, val_studies, tmp_path, parents=PARENTS, stop_after=stop)
    assert first.card["trained"] is False
    torch.manual_seed(99)
    second = train_clip(clip_settings, train_studies[::-1], val_studies, tmp_path, parents=PARENTS)
    assert second.card == whole.card
    assert second.curves.equals(whole.curves)
    for name, tensor in weights(whole.folder).items():
        assert torch.equal(weights(tmp_path)[name], tensor), name


def test_a_checkpoint_of_another_run_is_refused(tmp_path, clip_settings, train_studies, val_studies):
    train_clip(clip_settings, train_studies, val_studies, tmp_path, parents=PARENTS, stop_after=1)
    with pytest.raises(CheckpointMismatch, match="train"):
        train_clip(clip_settings, train_studies[1:], val_studies, tmp_path, parents=PARENTS)
    with pytest.raises(CheckpointMismatch, match="parents"):
        train_clip(clip_settings, train_studies, val_studies, tmp_path, parents={})
    fresh = train_clip(
        clip_settings, train_studies, val_studies, tmp_path, parents={}, resume=False, stop_after=1
    )
    assert fresh.curves.height == 1


def test_the_callers_random_numbers_are_left_alone(tmp_path, clip_settings, train_studies):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train_clip(clip_settings, train_studies, [], tmp_path, parents={}, stop_after=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("variant", ["tri_modal", "bi_modal", "concat"])
def test_every_variant_finds_held_out_studies(tmp_path, clip_settings, studies_maker, variant):
    make_studies = studies_maker
    changes = {"variant": variant, "epochs": 20, "lr": 1e-2, "pool_dropout": 0.0, "text_dropout": 0.0}
    settings = clip_settings.model_copy(update=changes | {"batch_size": 32, "evaluate_every": 1000})
    val = make_studies(24, seed=1, prefix="v")
    result = train_clip(settings, make_studies(96), val, tmp_path, parents={})
    found = result.retrieval
    assert (found["median_rank"] < 0.6 * found["chance_median_rank"]).all(), found
    assert (found["recall_5"] > 1.5 * found["chance_recall_5"]).all(), found
    assert result.curves["loss"][-1] < 0.8 * result.curves["loss"][0]
    assert (tmp_path / "vocabulary.json").is_file() == (variant != "bi_modal")
    names = {"tri_modal": {"t1", "t2", "report"}, "bi_modal": {"t1", "t2"}, "concat": {"image", "report"}}
    assert set(load_clip(tmp_path).embed(val).vectors) == names[variant]


def test_a_frozen_text_model(tmp_path, clip_settings, train_studies, val_studies, bert):
    settings = clip_settings.model_copy(update={"text_model": str(bert), "max_tokens": 32})
    out = tmp_path / "out"
    result = train_clip(settings, train_studies, val_studies, out, parents={}, stop_after=2)
    assert not any("bert" in name or "text." in name for name in weights(out))
    assert len(result.card["parents"]["text"]) == 16
    embedded = load_clip(out).embed(val_studies)
    assert embedded.vectors["report"][embedded.present["report"]].isfinite().all()
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"text_version": "other"}))
    with pytest.raises(ClipModelError, match="text model"):
        load_clip(out)


def test_too_few_studies_leave_the_model_as_it_was_initialised(tmp_path, clip_settings, train_studies):
    result = train_clip(clip_settings, train_studies[:5], [], tmp_path, parents={})
    assert (result.card["trained"], result.card["steps"], result.curves.height) == (False, 0, 0)
    assert load_clip(tmp_path).embed(train_studies).present["report"].any()


def test_what_cannot_be_aligned_is_refused(tmp_path, clip_settings, train_studies):
    with pytest.raises(ClipDataError, match="split by patient"):
        train_clip(clip_settings, train_studies, train_studies[:1], tmp_path, parents={})
    only_t2 = [dataclasses.replace(s, routes={"t2": s.routes["t2"]}) for s in train_studies]
    with pytest.raises(ClipDataError, match="slices of t1"):
        train_clip(clip_settings, only_t2, [], tmp_path, parents={})
    concat = clip_settings.model_copy(update={"variant": "concat"})
    assert train_clip(concat, only_t2, [], tmp_path, parents={}, stop_after=1).curves.height == 1
    with pytest.raises(ClipModelError, match="train clip"):
        load_clip(tmp_path / "nowhere")


def test_usable_studies_have_both_sides(clip_settings, train_studies):
    assert all(s.report for s in usable(train_studies, clip_settings))
    bi = clip_settings.model_copy(update={"variant": "bi_modal"})
    assert [s.study_key for s in usable(train_studies, bi)] == [
        s.study_key for s in train_studies if len(s.routes) == 2
    ]


def test_steps_that_are_not_finite_change_nothing_and_then_stop(tmp_path, clip_settings, train_studies):
    spoilt = [
        dataclasses.replace(
            s,
            routes={
                r: dataclasses.replace(p, vectors=p.vectors * np.float32(np.nan)) for r, p in s.routes.items()
            },
        )
        for s in train_studies
    ]
    patient = clip_settings.model_copy(update={"max_skipped_steps": 10})
    result = train_clip(patient, spoilt, [], tmp_path / "a", parents={})
    assert result.card["skipped_steps"] == 4
    assert all(math.isnan(norm) for norm in result.curves["grad_norm"])
    assert all(t.isfinite().all() for t in weights(tmp_path / "a").values())
    hasty = clip_settings.model_copy(update={"max_skipped_steps": 2})
    with pytest.raises(TrainingDiverged):
        train_clip(hasty, spoilt, [], tmp_path / "b", parents={})


def test_the_published_sizes_and_the_phantoms():
    paper = load_profile("paper").clip
    assert (paper.dim, paper.pool_hidden, paper.pool_dropout) == (1024, 256, 0.25)
    assert (paper.batch_size, paper.processes, paper.epochs, paper.max_slices) == (80, 4, 5, 64)
    assert (paper.lr, paper.weight_decay, paper.temperature, paper.max_tokens) == (4e-5, 0.01, 0.07, 512)
    assert "BiomedBERT" in (paper.text_model or "")
    assert load_profile("phantom").clip.text_model is None
    with pytest.raises(ValueError, match="text_heads"):
        ClipSettings(text_dim=10, text_heads=4)


SCRIPT = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[3])
from conftest import make_studies
from spine_models.config import ClipSettings
from spine_models.encoder.clip.train import train_clip
torch.set_num_threads(1)
settings, out = ClipSettings.model_validate_json(sys.argv[2]), Path(sys.argv[1])
studies, val = make_studies(24), make_studies(12, seed=1, prefix="v")
train_clip(settings, studies, val, out, parents={}, stop_after=3)
result = train_clip(settings, studies, val, out, parents={})
print(result.card["version"], result.card["steps"])
"""


def test_two_processes_train_what_one_does_on_the_joined_batch(
    tmp_path, clip_settings, train_studies, val_studies
):
    still = clip_settings.model_copy(update={"pool_dropout": 0.0, "text_dropout": 0.0})
    one = train_clip(still, train_studies, val_studies, tmp_path / "one", parents={})
    two = still.model_copy(update={"batch_size": 4, "processes": 2})
    (tmp_path / "two.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [
        str(tmp_path / "two.py"),
        str(tmp_path / "two"),
        two.model_dump_json(),
        str(Path(__file__).parent),
    ]
    done = subprocess.run(
        command, cwd=REPO, capture_output=True, text=True, check=False, timeout=120,
        env={"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout.split("\n")[:2]
    assert said == [f"{version_of(tmp_path / 'two')} 4"] * 2
    card = json.loads((tmp_path / "two" / "card.json").read_text())
    assert (card["processes"], card["studies_per_step"]) == (2, 8)
    assert one.card["studies_per_step"] == 8
    for name, tensor in weights(tmp_path / "one").items():
        if name.endswith("in_proj_bias"):
            continue  # a softmax does not feel the bias of its keys: the gradient is rounding, which Adam makes large
        torch.testing.assert_close(weights(tmp_path / "two")[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_the_vocabulary_knows_only_the_train_split(tmp_path, clip_settings, train_studies, val_studies):
    spoken = [
        dataclasses.replace(s, report="FINDINGS: xylophone zebra xylophone zebra.") for s in val_studies
    ]
    train_clip(clip_settings, train_studies, spoken, tmp_path / "a", parents={}, stop_after=1)
    train_clip(clip_settings, train_studies, val_studies, tmp_path / "b", parents={}, stop_after=1)
    read = [(tmp_path / name / "vocabulary.json").read_bytes() for name in "ab"]
    assert read[0] == read[1]
    for name, tensor in weights(tmp_path / "a").items():
        assert torch.equal(weights(tmp_path / "b")[name], tensor), name


def test_every_pair_has_its_column_in_the_curves(tmp_path, clip_settings, train_studies):
    from spine_models.encoder.clip.variants import pairs

    names = {p.name for v in ("tri_modal", "bi_modal", "concat") for p in pairs(v, image_image_weight=1.0)}
    assert names <= set(CURVES)
    both = clip_settings.model_copy(update={"image_image_weight": 0.5})
    row = train_clip(both, train_studies, [], tmp_path, parents={}, stop_after=1).curves.to_dicts()[0]
    assert row["loss"] == pytest.approx(row["t1_report"] + row["t2_report"] + 0.5 * row["t1_t2"], rel=1e-5)


def test_the_scale_stays_under_its_bound(tmp_path, clip_settings, train_studies):
    hot = clip_settings.model_copy(update={"temperature": 0.01, "lr": 1.0, "epochs": 1})
    curves = train_clip(hot, train_studies, [], tmp_path, parents={}).curves
    assert curves["scale"].max() <= 100.0001
    assert weights(tmp_path)["scale.log_scale"].item() <= math.log(100.0) + 1e-6


def test_embeddings_of_a_missing_modality_have_no_say_in_training(tmp_path, clip_settings, train_studies):
    """Studies without a report change nothing in a run of a variant that needs one."""
    silent = [dataclasses.replace(s, study_key="z" + s.study_key, report="") for s in train_studies[:4]]
    one = train_clip(clip_settings, train_studies, [], tmp_path / "a", parents={}, stop_after=2)
    two = train_clip(clip_settings, [*train_studies, *silent], [], tmp_path / "b", parents={}, stop_after=2)
    assert one.card == two.card


def test_studies_that_are_alike_are_left_out_of_the_contrast_where_settings_say_so(
    tmp_path, clip_settings, train_studies
):
    one_report = [dataclasses.replace(s, report=train_studies[0].report) for s in train_studies]
    masked = train_clip(clip_settings, one_report, [], tmp_path / "a", parents={}, stop_after=1)
    assert masked.curves["loss"].to_list() == [0.0]
    told = clip_settings.model_copy(update={"mask_alike": False})
    plain = train_clip(told, one_report, [], tmp_path / "b", parents={}, stop_after=1)
    assert plain.curves["loss"][0] > 1.0


@pytest.mark.parametrize("text_model", [None, "bert"])
def test_reports_alone_are_embedded_as_with_their_studies(
    tmp_path, clip_settings, train_studies, val_studies, bert, text_model
):
    settings = clip_settings.model_copy(update={"text_model": text_model and str(bert)})
    train_clip(settings, train_studies, [], tmp_path, parents={}, stop_after=1)
    model = load_clip(tmp_path)
    whole = model.embed(val_studies)
    vectors, present = model.embed_reports([s.report for s in val_studies])
    assert torch.equal(present, whole.present["report"])
    torch.testing.assert_close(vectors[present], whole.vectors["report"][present], rtol=1e-5, atol=1e-6)
