from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from spine_models.encoder.backbone.augment import reduced, to_unit
from spine_models.encoder.backbone.encoder import Encoder, EncoderError, load_encoder
from spine_models.encoder.backbone.train import untrained


@pytest.fixture
def folder(settings, tmp_path):
    return untrained(settings.model_copy(update={"rope_rescale": 2.0}), tmp_path / "e", route="t2").folder


def slices(n=5):
    return np.random.default_rng(0).integers(0, 65536, (n, 32, 32)).astype(np.uint16)


def test_what_an_encoder_says_of_itself(folder):
    encoder = load_encoder(folder)
    assert (encoder.name, encoder.route, encoder.trained, encoder.dim) == ("dinov3-t2", "t2", False, 96)
    assert json.loads((folder / "card.json").read_text())["version"] == encoder.version
    assert {path.suffix for path in folder.iterdir()} == {".json", ".parquet", ".safetensors"}


def test_vectors_are_cls_mean_and_max(folder):
    encoder = load_encoder(folder)
    vectors = encoder.encode(slices())
    assert vectors.shape == (5, 96)
    assert vectors.dtype == np.float32
    with torch.no_grad():
        tokens = encoder._backbone(torch.from_numpy(slices() / 65535.0).float()[:, None])
    np.testing.assert_allclose(vectors[:, :32], tokens.cls, atol=1e-5)
    np.testing.assert_allclose(vectors[:, 32:64], tokens.patches.mean(1), atol=1e-5)
    np.testing.assert_allclose(vectors[:, 64:], tokens.patches.amax(1), atol=1e-5)
    assert encoder.encode(slices(0)).shape == (0, 96)


def test_deterministic_and_independent_of_batch_mates(folder):
    encoder = load_encoder(folder)
    encoder._backbone.train()  # what a careless caller does
    many = slices(70)  # more than one chunk
    together = encoder.encode(many)
    assert np.array_equal(together, encoder.encode(many))
    assert np.array_equal(together, load_encoder(folder).encode(many))
    for index in (0, 3, 69):
        np.testing.assert_allclose(
            encoder.encode(many[index : index + 1])[0], together[index], rtol=1e-4, atol=1e-5
        )


def test_larger_slices_come_down_to_the_size_of_training(folder):
    encoder = load_encoder(folder)
    assert encoder.image_px == 32
    large = np.random.default_rng(1).integers(0, 65536, (3, 80, 80)).astype(np.uint16)
    small = reduced(to_unit(large), 32)
    with torch.no_grad():
        tokens = encoder.backbone(small)
    vectors, patches = encoder.encode(large), encoder.encode_patches(large)
    assert np.array_equal(vectors[:, :32], tokens.cls.numpy())
    assert patches.shape == (3, 4, 4, 32)
    assert np.array_equal(patches.reshape(3, 16, 32), tokens.patches.numpy())
    odd = np.ascontiguousarray(large[:, :75, :75])  # no whole number of patches, and larger than image_px
    assert encoder.encode(odd).shape == (3, 96)


def test_slices_that_are_not_larger_are_taken_as_they_are(folder):
    """As without a size to come down to, bit for bit."""
    encoder = load_encoder(folder)
    as_is = Encoder(encoder.backbone, route="t2", version="", trained=False)
    for size in (32, 24, 16):
        images = np.ascontiguousarray(slices()[:, :size, :size])
        assert np.array_equal(encoder.encode(images), as_is.encode(images))
        assert np.array_equal(encoder.encode_patches(images), as_is.encode_patches(images))
        assert encoder.encode_patches(images).shape == (5, size // 8, size // 8, 32)


def test_the_version_is_of_the_content(folder, settings, tmp_path):
    before = load_encoder(folder).version
    again = untrained(settings.model_copy(update={"rope_rescale": 2.0}), tmp_path / "again", route="t2")
    assert load_encoder(again.folder).version == before
    other = untrained(
        settings.model_copy(update={"rope_rescale": 2.0, "seed": 1}), tmp_path / "other", route="t2"
    )
    assert load_encoder(other.folder).version != before


def test_what_cannot_be_opened_or_encoded(folder, tmp_path):
    with pytest.raises(EncoderError, match=r"config\.json and encoder\.safetensors missing"):
        load_encoder(tmp_path)
    encoder = load_encoder(folder)
    with pytest.raises(EncoderError, match="uint16"):
        encoder.encode(slices().astype(np.float32))
    with pytest.raises(ValueError, match="8 px patches"):
        encoder.encode(np.zeros((1, 30, 30), dtype=np.uint16))
    config = json.loads((folder / "config.json").read_text())
    config["settings"]["dim"] = 64
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match="do not fit"):
        load_encoder(folder)
