from __future__ import annotations

import numpy as np
import pytest

from spine_models.encoder.backbone.encoder import load_encoder
from spine_models.encoder.backbone.patch_similarity import principal_colours, similarity_map
from spine_models.encoder.backbone.train import untrained


def patches(n: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 3, 4, 6)).astype(np.float32)


def test_similarity_is_the_cosine_to_every_patch():
    own = patches()[0]
    found = similarity_map(own, 1, 2)
    assert found.shape == (3, 4)
    assert found.dtype == np.float32
    for row in range(3):
        for column in range(4):
            a, b = own[row, column], own[1, 2]
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert found[row, column] == pytest.approx(cosine, abs=1e-5)
    assert found[1, 2] == pytest.approx(1.0)
    assert similarity_map(np.zeros((3, 4, 6), np.float32), 0, 0).tolist() == np.zeros((3, 4)).tolist()


def test_similarity_refuses_what_is_no_patch():
    with pytest.raises(IndexError, match="no patch"):
        similarity_map(patches()[0], 3, 0)
    with pytest.raises(ValueError, match="one image"):
        similarity_map(patches(), 0, 0)


def test_colours_are_the_main_directions_in_order():
    rng = np.random.default_rng(1)
    amounts = rng.normal(size=(60, 3)) * [9.0, 3.0, 1.0]
    directions, _ = np.linalg.qr(rng.normal(size=(8, 3)))
    colours = principal_colours((amounts @ directions.T).reshape(3, 4, 5, 8))
    assert colours.shape == (3, 4, 5, 3)
    assert colours.dtype == np.float32
    assert colours.min() == 0.0
    assert colours.max() == 1.0
    for index in range(3):
        along = np.corrcoef(colours[..., index].ravel(), amounts[:, index])[0, 1]
        assert abs(along) > 0.9


def test_colours_do_not_depend_on_the_sign_that_a_solver_chose(monkeypatch):
    expected, real = principal_colours(patches()), np.linalg.svd

    def other_signs(matrix, **options):
        left, spread, directions = real(matrix, **options)
        return -left, spread, -directions

    monkeypatch.setattr(np.linalg, "svd", other_signs)
    np.testing.assert_allclose(principal_colours(patches()), expected, atol=1e-6)


def test_colours_without_variance_are_grey():
    assert (principal_colours(np.ones((2, 3, 4, 6))) == 0.5).all()
    line = np.zeros((1, 1, 3, 2))
    line[0, 0, :, 0] = [0, 1, 2]
    assert principal_colours(line)[0, 0, :, 0].tolist() == [0.0, 0.5, 1.0]
    assert (principal_colours(line)[..., 1:] == 0.5).all()
    with pytest.raises(ValueError, match="not empty"):
        principal_colours(np.zeros((0, 3, 4, 6)))


def test_patch_tokens_of_an_encoder_go_with_its_vectors(settings, tmp_path):
    untrained(settings, tmp_path, route="t1")
    encoder = load_encoder(tmp_path)
    images = np.random.default_rng(0).integers(0, 65536, (3, 32, 32)).astype(np.uint16)
    tokens, vectors = encoder.encode_patches(images), encoder.encode(images)
    assert tokens.shape == (3, 4, 4, 32)
    assert tokens.dtype == np.float32
    np.testing.assert_allclose(tokens.mean(axis=(1, 2)), vectors[:, 32:64], atol=1e-5)
    np.testing.assert_allclose(tokens.max(axis=(1, 2)), vectors[:, 64:], atol=1e-5)
    assert encoder.encode_patches(images[:0]).shape == (0, 4, 4, 32)
