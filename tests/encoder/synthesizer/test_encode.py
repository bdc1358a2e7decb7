"""A fused encoder in use has the face of an encoder, and a slice's vector is its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spine_models.encoder.backbone.encoder import EncoderError, load_encoder
from spine_models.encoder.synthesizer.encode import Synthesizer
from spine_models.encoder.synthesizer.files import load_fused, load_pair, save_fused
from spine_models.encoder.synthesizer.fused import FusedEncoder
from spine_models.encoder.synthesizer.gates import VARIANTS
from tests.encoder.synthesizer.test_fused import opinionated


def saved(folders, folder, variant="conditional", trained=True):
    pair = load_pair(*folders)
    fused = opinionated(FusedEncoder(pair.t1.backbone, pair.t2.backbone, variant, hidden=8))
    save_fused(folder, fused, pair.versions, trained=trained)
    return load_fused(folder, *folders)


def slices(n=5):
    return np.random.default_rng(0).integers(0, 65536, (n, 32, 32)).astype(np.uint16)


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_it_says_of_itself(folders, tmp_path, variant):
    fused = saved(folders, tmp_path, variant, trained=False)
    synthesizer = Synthesizer(fused)
    assert (synthesizer.name, synthesizer.route) == (f"synthesizer-{variant}", "other")
    assert (synthesizer.version, synthesizer.trained, synthesizer.dim) == (fused.version, False, 96)
    assert synthesizer.encode(slices()).shape == (5, 96)
    assert synthesizer.encode(slices(0)).shape == (0, 96)


def test_vectors_are_cls_mean_and_max(folders, tmp_path):
    synthesizer = Synthesizer(saved(folders, tmp_path))
    vectors = synthesizer.encode(slices())
    assert vectors.dtype == np.float32
    with torch.no_grad():
        tokens = synthesizer.fused.cpu()(torch.from_numpy(slices() / 65535.0).float()[:, None])
    np.testing.assert_allclose(vectors[:, :32], tokens.cls, atol=1e-5)
    np.testing.assert_allclose(vectors[:, 32:64], tokens.patches.mean(1), atol=1e-5)
    np.testing.assert_allclose(vectors[:, 64:], tokens.patches.amax(1), atol=1e-5)


def test_a_fixed_variant_gives_that_encoders_vectors(folders, tmp_path):
    for route, folder in folders._asdict().items():
        synthesizer = Synthesizer(saved(folders, tmp_path / route, f"{route}_only"))
        assert np.array_equal(synthesizer.encode(slices()), load_encoder(folder).encode(slices()))


def test_larger_slices_are_brought_down_as_an_encoder_brings_them(folders, tmp_path):
    large = np.random.default_rng(1).integers(0, 65536, (3, 50, 50)).astype(np.uint16)
    for route, folder in folders._asdict().items():
        synthesizer = Synthesizer(saved(folders, tmp_path / route, f"{route}_only"))
        assert np.array_equal(synthesizer.encode(large), load_encoder(folder).encode(large))


def test_deterministic_and_independent_of_batch_mates(folders, tmp_path):
    synthesizer = Synthesizer(saved(folders, tmp_path))
    synthesizer.fused.train()  # what a careless caller does
    many = slices(70)  # more than one chunk
    together = synthesizer.encode(many)
    assert np.array_equal(together, synthesizer.encode(many))
    for index in (0, 3, 69):
        alone = synthesizer.encode(many[index : index + 1])[0]
        np.testing.assert_allclose(alone, together[index], rtol=1e-4, atol=1e-5)


def test_what_cannot_be_encoded(folders, tmp_path):
    synthesizer = Synthesizer(saved(folders, tmp_path))
    with pytest.raises(EncoderError, match="uint16"):
        synthesizer.encode(slices().astype(np.float32))
    with pytest.raises(EncoderError, match="uint16"):
        synthesizer.encode(slices()[0])
