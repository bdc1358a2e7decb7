"""Models by name: their weights come from disk or not at all, their inputs are their own."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from spine_models.config import ProbeSettings, load_profile
from spine_models.findings.probes.baselines import baseline_vectors
from spine_models.findings.probes.networks import Network, WeightsError
from spine_models.findings.probes.sources import Source, source_name, source_of

IMAGES = np.random.default_rng(0).integers(0, 65536, (3, 48, 48)).astype(np.uint16)


@pytest.fixture(autouse=True)
def no_caches(tmp_path, monkeypatch):
    """Neither library finds anything outside the test's folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)


@pytest.fixture
def weights(tmp_path):
    """A folder with random weights of timm's smallest transformer, classifier included."""
    import spine_models.encoder.torchvision_repair as repair

    repair.repair_on_import()
    import timm

    folder = tmp_path / "weights"
    folder.mkdir()
    torch.manual_seed(5)
    model = timm.create_model("test_vit", pretrained=False)
    save_file(model.state_dict(), folder / "test_vit.safetensors")
    return folder, model.eval()


@pytest.fixture
def vit_folder(tmp_path):
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(6)
    model = ViTModel(
        ViTConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32,
            patch_size=8,
        )
    )  # fmt: skip
    model.save_pretrained(tmp_path / "my-vit")
    told = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7], "size": {"height": 99, "width": 99}}
    (tmp_path / "my-vit" / "preprocessor_config.json").write_text(json.dumps(told))
    return tmp_path / "my-vit", model.eval()


def test_names_are_read_and_folders_lose_their_place():
    assert source_of("pixel_pca") is None
    assert source_of("timm:resnet18") == Source("timm", "resnet18", False)
    assert source_of("transformers:/a/b/vit?random") == Source("transformers", "/a/b/vit", True)
    assert source_name("transformers:/a/b/vit?random") == "transformers:vit?random"
    assert source_name("timm:resnet18?random") == "timm:resnet18?random"
    for wrong in ("resnet18", "keras:resnet", "timm:"):
        with pytest.raises(ValueError, match=r"no baseline '.*choose from random_init"):
            source_of(wrong)


def test_timm_weights_are_those_on_disk_and_inputs_its_own(weights):
    folder, model = weights
    network = Network(source_of("timm:test_vit"), weights=folder, seed=0)
    inputs = network.inputs(IMAGES)
    assert inputs.shape == (3, 3, 160, 160)
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(inputs), pre_logits=True).numpy()
    np.testing.assert_allclose(network.encode(IMAGES, "other"), expected, atol=1e-5)
    white = network.inputs(np.full((1, 160, 160), 65535, dtype=np.uint16))
    np.testing.assert_allclose(white.unique(), [1.0], atol=1e-6)  # mean and deviation of this model are .5


def test_timm_weights_may_lie_in_a_folder_of_the_models_name_or_in_torchs_cache(
    weights, tmp_path, monkeypatch
):
    folder, _ = weights
    first = Network(source_of("timm:test_vit"), weights=folder, seed=0).encode(IMAGES, "t1")
    (folder / "test_vit").mkdir()
    (folder / "test_vit.safetensors").rename(folder / "test_vit" / "model.safetensors")
    np.testing.assert_array_equal(
        Network(source_of("timm:test_vit"), weights=folder, seed=1).encode(IMAGES, "t1"), first
    )
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repository, name: (
            str(folder / "test_vit" / name) if repository.startswith("timm/test_vit") else None
        ),
    )
    np.testing.assert_array_equal(
        Network(source_of("timm:test_vit"), weights=None, seed=1).encode(IMAGES, "t1"), first
    )


def test_a_model_without_weights_is_refused_unless_random_is_asked_for(tmp_path):
    with pytest.raises(
        WeightsError, match=r"no weights of timm:test_resnet on disk: put test_resnet\.safetensors"
    ):
        Network(source_of("timm:test_resnet"), weights=tmp_path, seed=0)
    with pytest.raises(WeightsError, match="timm has no model 'nope'"):
        Network(source_of("timm:nope"), weights=tmp_path, seed=0)
    one, two, other = (
        Network(source_of("timm:test_resnet?random"), weights=None, seed=seed).encode(IMAGES, "t1")
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


def test_weights_of_another_model_are_refused(weights):
    folder, _ = weights
    (folder / "test_vit.safetensors").rename(folder / "test_resnet.safetensors")
    with pytest.raises(WeightsError, match="do not fit timm:test_resnet"):
        Network(source_of("timm:test_resnet"), weights=folder, seed=0)


def test_weights_without_a_classifier_are_whole_too(weights):
    folder, _ = weights
    first = Network(source_of("timm:test_vit"), weights=folder, seed=0).encode(IMAGES, "t1")
    tensors = load_file(folder / "test_vit.safetensors")
    headless = {name: value for name, value in tensors.items() if not name.startswith("head.")}
    assert len(headless) == len(tensors) - 2
    save_file(headless, folder / "test_vit.safetensors")
    again = Network(source_of("timm:test_vit"), weights=folder, seed=1)
    np.testing.assert_array_equal(again.encode(IMAGES, "t1"), first)
    save_file(dict(list(headless.items())[3:]), folder / "test_vit.safetensors")
    with pytest.raises(WeightsError, match="do not fit timm:test_vit"):
        Network(source_of("timm:test_vit"), weights=folder, seed=0)


def test_transformers_weights_size_and_normalisation_are_the_folders(vit_folder):
    folder, model = vit_folder
    network = Network(source_of(f"transformers:{folder}"), weights=None, seed=0)
    white = network.inputs(np.full((1, 50, 50), 65535, dtype=np.uint16))
    assert white.shape == (1, 3, 32, 32)
    np.testing.assert_allclose(white[0, :, 9, 9], [0.9 / 0.5, 0.8 / 0.6, 0.7 / 0.7], rtol=1e-5)
    with torch.inference_mode():
        hidden = model(pixel_values=network.inputs(IMAGES)).last_hidden_state.numpy()
    expected = np.hstack([hidden[:, 0], hidden.mean(axis=1)])
    np.testing.assert_allclose(network.encode(IMAGES, "t1"), expected, atol=1e-5)


def test_transformers_convolutions_are_pooled_over_their_map(tmp_path):
    from transformers import ResNetConfig, ResNetModel

    ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])).save_pretrained(
        tmp_path / "r"
    )
    found = Network(source_of(f"transformers:{tmp_path / 'r'}"), weights=None, seed=0).encode(IMAGES, "t1")
    assert found.shape == (3, 16)


def test_transformers_folders_without_weights_are_refused(vit_folder, tmp_path):
    folder, _ = vit_folder
    with pytest.raises(WeightsError, match="no model folder of transformers:nowhere"):
        Network(source_of(f"transformers:{tmp_path / 'nowhere'}"), weights=None, seed=0)
    tensors = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if "pooler" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert Network(source_of(f"transformers:{folder}"), weights=None, seed=0).encode(IMAGES, "t1").shape == (
        3,
        32,
    )
    part = dict(list(kept.items())[:-3])
    save_file(part, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="the weights of transformers:my-vit lack 3 tensors"):
        Network(source_of(f"transformers:{folder}"), weights=None, seed=0)
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="no weights of transformers:my-vit on disk"):
        Network(source_of(f"transformers:{folder}"), weights=None, seed=0)
    assert (
        Network(source_of(f"transformers:{folder}?random"), weights=None, seed=0).encode(IMAGES, "t1").any()
    )


def test_other_weights_another_input_or_another_draw_are_another_version(weights, vit_folder):
    def timm_version(**changes):
        return Network(source_of("timm:test_vit"), **{"weights": weights[0], "seed": 0} | changes).version(
            "t1"
        )

    first = timm_version()
    assert timm_version(seed=1) == first  # whole weights: nothing is drawn
    drawn = [
        Network(source_of("timm:test_vit?random"), weights=None, seed=s).version("t1") for s in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1]
    assert len({first, *drawn}) == 3
    path = weights[0] / "test_vit.safetensors"
    tensors = load_file(path)
    tensors["blocks.0.norm1.weight"][0] += 1e-3
    save_file(tensors, path)
    assert timm_version() != first
    folder = vit_folder[0]
    before = Network(source_of(f"transformers:{folder}"), weights=None, seed=0).version("t1")
    told = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(told | {"image_mean": [0.2, 0.2, 0.3]}))
    assert Network(source_of(f"transformers:{folder}"), weights=None, seed=0).version("t1") != before


def test_baselines_by_name_are_pooled_like_the_others(make_batch, members, weights, vit_folder):
    batch = make_batch(members)
    names = ["random_init", "timm:test_vit", f"transformers:{vit_folder[0]}"]
    found = baseline_vectors(
        batch.table,
        shard_roots={"internal-0001": batch.root},
        names=names,
        backbone=load_profile("phantom").backbone.model_copy(
            update={"image_px": 16, "patch_px": 8, "dim": 16, "depth": 1, "heads": 2}
        ),
        settings=ProbeSettings(weights=str(weights[0])),
    )
    assert set(found["encoder"]) == {"random_init", "timm:test_vit", "transformers:my-vit"}
    assert found.filter(encoder="timm:test_vit").select("route", "study_key").rows() == [
        ("other", "s1"), ("t1", "s1"), ("t2", "s1"), ("t2", "s2"),
    ]  # fmt: skip
    network = Network(source_of("timm:test_vit"), weights=weights[0], seed=0)
    of_series = {
        series: network.encode(
            np.stack([image for k, image in batch.images.items() if k[0] == series]), "t2"
        ).mean(0)
        for series in "de"
    }
    expected = (of_series["d"] + of_series["e"]) / 2
    row = found.filter(encoder="timm:test_vit", study_key="s2")["vector"][0].to_numpy()
    np.testing.assert_allclose(row, expected, atol=1e-4)
