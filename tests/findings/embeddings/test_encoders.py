"""Which network embeds which route, and that a synthesizer that cannot be used costs its own route alone."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest
import torch

from spine_models.config import EmbeddingSettings
from spine_models.encoder.backbone.encoder import EncoderError, load_encoder
from spine_models.encoder.synthesizer.encode import Synthesizer
from spine_models.encoder.synthesizer.files import load_fused
from spine_models.findings.embeddings import EmbeddingError, embed_slices, pool_series, pool_studies
from spine_models.findings.embeddings.encoders import open_embedders, usable_embedders
from tests.findings.embeddings.networks import Made, make_encoder, make_networks


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    return make_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture
def copied(made, tmp_path) -> Made:
    """Networks of the test's own, to be damaged."""
    shutil.copytree(made.synthesizer, tmp_path / "aligned")
    return Made(made.encoders, tmp_path / "aligned")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_three_routes_with_their_names_and_versions(made):
    opened = open_embedders(*made)
    assert [(r, e.route, e.name) for r, e in sorted(opened.items())] == [
        ("other", "other", "synthesizer-conditional"),
        ("t1", "t1", "dinov3-t1"),
        ("t2", "t2", "dinov3-t2"),
    ]
    assert opened["t2"].version == load_encoder(made.encoders["t2"]).version
    assert opened["other"].version == load_fused(made.synthesizer, *made.encoders.values()).version


def test_route_other_is_embedded_by_the_synthesizer(made, make_batch, members):
    batch = make_batch(members)
    frame, computed = embed_slices(
        batch.table,
        shard_root=batch.root,
        encoders=open_embedders(*made),
        previous=None,
        settings=EmbeddingSettings(batch_size=4),
    )
    assert computed == frame.height == 11
    (row,) = frame.filter(pl.col("route") == "other").rows(named=True)
    network = Synthesizer(load_fused(made.synthesizer, *made.encoders.values()))
    expected = network.encode(batch.images[row["slice_key"]][None])[0]
    np.testing.assert_array_equal(np.float32(row["vector"]), expected)
    assert row["encoder"] == "synthesizer-conditional"
    studies = pool_studies(pool_series(frame))
    assert studies.select("study_key", "route").rows() == [
        ("s1", "other"),
        ("s1", "t1"),
        ("s1", "t2"),
        ("s2", "t2"),
    ]


def test_a_study_without_t1_and_t2_has_one_row_or_none(made, make_batch):
    localizer = [{"patient": "p", "study": "s", "series": "l", "route": "other", "slice": "l0-0000"}]
    batch = make_batch(localizer)

    def studies(synthesizer):
        frame, _ = embed_slices(
            batch.table,
            shard_root=batch.root,
            encoders=open_embedders(made.encoders, synthesizer),
            previous=None,
            settings=EmbeddingSettings(),
        )
        return pool_studies(pool_series(frame)).select("study_key", "route", "n_series").rows()

    assert studies(made.synthesizer) == [("s", "other", 1)]
    assert studies(None) == []


def test_without_a_synthesizer_there_is_no_other(made):
    assert set(open_embedders(made.encoders, None)) == {"t1", "t2"}
    found = usable_embedders(made.encoders, None)
    assert (set(found.by_route), found.broken) == ({"t1", "t2"}, False)
    assert found.without_other == "no synthesizer has been made"


def test_a_synthesizer_that_was_not_trained_gives_no_other(made, tmp_path):
    # A training that could not begin publishes a card and nothing else.
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "card.json").write_text('{"training": {"trained": false}}')
    initialised = make_networks(tmp_path / "initialised", trained=False)
    for encoders, folder in ((made.encoders, tmp_path / "empty"), initialised):
        assert set(open_embedders(encoders, folder)) == {"t1", "t2"}
        found = usable_embedders(encoders, folder)
        assert (found.without_other, found.broken) == ("the synthesizer was not trained", False)


def test_one_encoder_alone_is_enough_for_its_route(made):
    only = {"t2": made.encoders["t2"]}
    assert set(open_embedders(only, made.synthesizer)) == {"t2"}
    assert (
        usable_embedders(only, made.synthesizer).without_other == "the encoder of route t1 has not been made"
    )
    assert open_embedders({}, made.synthesizer) == {}


def test_a_synthesizer_of_other_encoders_is_refused_by_all_hashes(made, tmp_path):
    newer = {**made.encoders, "t2": make_encoder(tmp_path / "t2", "t2", seed=9)}
    before, now = (load_encoder(e["t2"]).version for e in (made.encoders, newer))
    assert before != now
    with pytest.raises(EmbeddingError, match=f"t2 {before} but in use is {now}.*train the synthesizer again"):
        open_embedders(newer, made.synthesizer)
    found = usable_embedders(newer, made.synthesizer)
    assert set(found.by_route) == {"t1", "t2"}
    assert found.broken
    assert now in found.without_other


def damage_weights(folder):
    (folder / "synthesizer.safetensors").write_bytes(b"no tensors")


def damage_variant(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"variant": "nobody knows"}))


@pytest.mark.parametrize(
    "damage",
    [
        damage_weights,
        damage_variant,
        lambda folder: (folder / "synthesizer.safetensors").unlink(),
        lambda folder: (folder / "config.json").unlink(),
        lambda folder: (folder / "config.json").write_text("half a docu"),
        lambda folder: (folder / "config.json").write_text("{}"),
    ],
)
def test_a_damaged_synthesizer_never_blocks_t1_and_t2(copied, damage):
    damage(copied.synthesizer)
    with pytest.raises(EmbeddingError, match="damaged or incomplete; train the synthesizer again"):
        open_embedders(*copied)
    found = usable_embedders(*copied)
    assert (set(found.by_route), found.broken) == ({"t1", "t2"}, True)


def test_a_damaged_encoder_is_an_error(made, tmp_path):
    with pytest.raises(EncoderError, match="no encoder in folder"):
        usable_embedders({"t1": tmp_path, "t2": made.encoders["t2"]}, None)
