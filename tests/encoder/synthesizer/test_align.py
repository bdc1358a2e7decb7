"""The training with reports: learns, and moves nothing but gates and head."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from safetensors.torch import load_file

from spine_models.config import AlignSettings, ClipSettings, load_profile
from spine_models.encoder.backbone.encoder import EncoderError, version_of
from spine_models.encoder.clip import model as clip_model
from spine_models.encoder.clip.data import RouteSlices
from spine_models.encoder.clip.model import load_clip, new_model
from spine_models.encoder.clip.tables import SEEN
from spine_models.encoder.synthesizer.align_data import AlignStudies, SliceImages
from spine_models.encoder.synthesizer.align_run import AlignRun
from spine_models.encoder.synthesizer.alignment import ALIGNMENT, load_alignment
from spine_models.encoder.synthesizer.files import WEIGHTS, load_fused
from spine_models.encoder.synthesizer.gates import VARIANTS
from spine_models.encoder.synthesizer.tables import ALIGN_CURVES, ALIGN_RETRIEVAL
from tests.encoder.clip.conftest import TINY
from tests.encoder.clip.sharded import make_sharded
from tests.encoder.synthesizer.aligning import World

SEEN_STUDIES = [f"s{n:03d}" for n in range(11) if n != 7]


def test_a_run_leaves_an_aligned_synthesizer_tables_and_a_card(whole, world):
    assert whole.curves.schema == ALIGN_CURVES
    assert whole.curves["step"].to_list() == [1, 2, 3, 4]
    assert whole.curves["loss"].is_finite().all()
    assert whole.curves["val_recall_5"].is_null().to_list() == [True, False, True, False]
    assert whole.retrieval.schema == ALIGN_RETRIEVAL
    assert whole.retrieval.select("stage", "series", "query", "n").rows() == [
        (stage, series, query, n)
        for stage in ("before", "after")
        for series, n in (("all", 8), ("other", 5))
        for query in ("study", "report")
    ]
    for name, table in (("curves", whole.curves), ("retrieval", whole.retrieval), ("seen", whole.seen)):
        assert_frame_equal(pl.read_parquet(whole.folder / f"{name}.parquet"), table)
    assert whole.seen.schema == SEEN
    expected = [(f"p{n:03d}", f"s{n:03d}", "train") for n in range(11) if n != 7]
    assert whole.seen.rows() == expected + [(f"p{n:03d}", f"s{n:03d}", "held_out") for n in range(11, 19)]
    card = whole.card
    assert card == json.loads((whole.folder / "card.json").read_text())
    assert (card["trained"], card["steps"], card["skipped_steps"]) == (True, 4, 0)
    assert card["name"] == "synthesizer-aligned-conditional"
    assert card["parents"]["clip"] == clip_model.version_of(world.clip)
    assert card["parents"]["synthesizer"] == version_of(world.sources["conditional"], WEIGHTS)
    fused = load_fused(whole.folder, *world.folders)
    alignment = load_alignment(whole.folder, *world.folders)
    assert (fused.trained, alignment.trained) == (True, True)
    assert (card["version"], card["alignment_version"]) == (fused.version, alignment.version)
    assert alignment.synthesizer.version == fused.version
    assert (alignment.dim, alignment.clip_version) == (16, card["parents"]["clip"])


def test_only_gates_and_head_move(whole, world):
    source = load_file(world.sources["conditional"] / WEIGHTS)
    for name, tensor in load_file(whole.folder / WEIGHTS).items():
        assert torch.equal(tensor, source[name]) == name.endswith("mask_token"), name
    assert load_fused(whole.folder, *world.folders)  # both encoders have the hashes that they had
    checkpoint = next((whole.folder / "checkpoints").glob("step-*"))
    assert not any("vit" in name for name in load_file(checkpoint / "network.safetensors"))


def test_every_step_draws_afresh_and_only_from_the_train_split(world, tmp_path, monkeypatch):
    drawn_keys: list[list[str]] = []
    read = SliceImages.read

    def recorded(self, rows):
        drawn_keys.append(rows["slice_key"].to_list())
        return read(self, rows)

    monkeypatch.setattr(SliceImages, "read", recorded)
    monkeypatch.setattr(AlignRun, "measured", lambda *_: pl.DataFrame(schema=ALIGN_RETRIEVAL))
    numbers = {"batch_size": 10, "chunk_size": 10, "epochs": 3, "evaluate_every": 1000}
    world.align(tmp_path / "a", numbers=numbers)
    steps = [{s: {k for k in keys if k.startswith(s)} for s in SEEN_STUDIES} for keys in drawn_keys]
    assert len(steps) == 3
    for step in steps:
        assert all(len(keys) == 4 for keys in step.values())  # all ten, and only they
        assert sum(map(len, step.values())) == 40
    assert all(one != two for one, two in pairwise(steps))
    first, drawn_keys[:] = list(drawn_keys), []
    world.align(tmp_path / "b", numbers=numbers)
    assert drawn_keys == first


def test_it_finds_held_out_reports_and_not_before(tmp_path, folders, world):
    """Only four reports, so a random head may rank any one of them well: before is near chance on the mean."""
    sharded = make_sharded(tmp_path / "shards", 48, 24, seed=3)
    large = World(sharded, folders, world.clip, tmp_path)
    long = {"epochs": 12, "batch_size": 24, "chunk_size": 24, "lr": 5e-3, "pool_dropout": 0.0}
    quiet = {"evaluate_every": 1000, "checkpoint_every": 1000}
    result = large.align(tmp_path / "out", numbers=long | quiet)
    before, after = (result.retrieval.filter(stage=stage) for stage in ("before", "after"))
    assert before["median_rank"].mean() > 0.6 * before["chance_median_rank"].mean(), before
    assert (after["median_rank"] < 0.5 * after["chance_median_rank"]).all(), after
    assert (after["recall_1"] > 3 * after["chance_recall_1"]).all(), after
    assert result.curves["loss"][-1] < 0.7 * result.curves["loss"][0]

    # What the run measured is what its folder gives, for a user with slices and texts in hand.
    alignment = load_alignment(tmp_path / "out", *folders)
    studies = AlignStudies(sharded.slices, sharded.reports, split="val", routes="other")
    images = SliceImages(studies.shards, sharded.roots)
    bags = []
    for index in range(len(studies)):
        rows = studies.drawn(index, 4, np.random.default_rng(0))
        vectors = alignment.synthesizer.encode(images.read(rows))
        bags.append(RouteSlices(vectors, rows["series"].to_numpy(), np.zeros(len(rows), dtype=np.int64)))
    vectors = alignment.embed(bags)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(alignment.embed(bags[3:4])[0], vectors[3], rtol=1e-4, atol=1e-5)
    texts, there = load_clip(world.clip).embed_reports(studies.reports)
    assert there.all()
    same = np.array(studies.reports)[:, None] == np.array(studies.reports)[None]
    similarity = vectors @ texts.numpy().T
    assert similarity[same].mean() > similarity[~same].mean() + 0.3
    with pytest.raises(EncoderError, match="length 96"):
        alignment.embed([RouteSlices(vectors, np.zeros(len(vectors)), np.zeros(len(vectors)))])


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "conditional"])
def test_every_variant_aligns(world, tmp_path, variant):
    result = world.align(tmp_path, variant=variant, stop_after=2)
    before, after = load_file(world.sources[variant] / WEIGHTS), load_file(tmp_path / WEIGHTS)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == ({"gates.0.logits", "gates.1.logits"} if variant == "scalar" else set())
    # Gates that cannot move are as trained as they were, whatever became of the head.
    assert load_fused(tmp_path, *world.folders).trained == (variant != "scalar")
    assert result.card["name"].endswith(variant)
    assert result.curves["grad_norm"].min() > 0


def test_gates_can_be_held_still(world, tmp_path):
    result = world.align(tmp_path, numbers={"train_gates": False})
    assert version_of(tmp_path, WEIGHTS) == version_of(world.sources["conditional"], WEIGHTS)
    assert result.card["trained"]


def test_the_routes_that_are_trained_on_are_a_setting(world, tmp_path):
    result = world.align(tmp_path, numbers={"routes": "other", "min_train_studies": 2}, stop_after=1)
    assert result.seen.filter(role="train")["study_key"].to_list() == [
        f"s{n:03d}" for n in (1, 2, 4, 5, 8, 10)
    ]
    assert result.card["manifest"]["val_studies"] == 8


def test_too_few_studies_leave_everything_as_it_was(world, tmp_path):
    result = world.align(tmp_path, numbers={"min_train_studies": 50})
    source = load_fused(world.sources["conditional"], *world.folders)
    fused, alignment = load_fused(tmp_path, *world.folders), load_alignment(tmp_path, *world.folders)
    assert (fused.version, fused.trained) == (source.version, True)
    assert (alignment.trained, result.card["trained"], result.card["steps"]) == (False, False, 0)
    assert result.seen.equals(pl.DataFrame(schema=SEEN))
    assert result.retrieval["stage"].unique().to_list() == ["before"]
    nothing = world.align(tmp_path / "none", slices=world.sharded.slices.clear())
    assert (nothing.card["trained"], nothing.retrieval["n"].sum()) == (False, 0)


def test_the_published_sizes_and_the_phantoms():
    paper, phantom = (load_profile(name).synthesizer.align for name in ("paper", "phantom"))
    assert (paper.batch_size, paper.epochs, paper.lr, paper.weight_decay) == (80, 5, 4e-5, 0.01)
    assert (paper.pool_hidden, paper.pool_dropout, paper.routes, paper.train_gates) == (
        256,
        0.25,
        "all",
        True,
    )
    assert (phantom.slices, phantom.batch_size) == (6, 32)


def test_the_head_does_not_start_where_clip_of_the_same_seed_did(world, tmp_path):
    """Clip's T1 side has the same shapes; the same draw would find reports before anything was trained."""
    world.align(tmp_path, numbers={"min_train_studies": 50})
    settings = ClipSettings.model_validate(TINY | {"variant": "bi_modal"})
    assert settings.seed == AlignSettings().seed
    torch.manual_seed(settings.seed)
    drawn_alike = new_model(settings, {"t1": 96, "t2": 96}, []).network.state_dict()
    head = load_file(tmp_path / ALIGNMENT)
    for name in ("tanh.weight", "gate.weight"):
        assert head[f"pooler.{name}"].shape == drawn_alike[f"poolers.t1.{name}"].shape
        assert not torch.equal(head[f"pooler.{name}"], drawn_alike[f"poolers.t1.{name}"])
    similarity = torch.cosine_similarity(
        head["projection.linear.weight"].flatten(),
        drawn_alike["projections.t1.linear.weight"].flatten(),
        dim=0,
    )
    assert abs(similarity) < 0.2
