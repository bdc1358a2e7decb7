"""The head's logit taken apart: the parts add up, and the box holds what it should."""

from __future__ import annotations

import numpy as np

from spine_models.findings.localization.weak import WeakHead, evidence_box


def head(seed=0, dim=4):
    rng = np.random.default_rng(seed)
    return WeakHead(rng.normal(size=3 * dim), rng.normal(size=3 * dim), 0.7)


def vectors_of(tokens, cls):
    flat = tokens.reshape(len(tokens), -1, tokens.shape[-1])
    return np.concatenate([cls, flat.mean(axis=1), flat.max(axis=1)], axis=1)


def test_parts_of_patches_class_token_and_bias_add_up_to_the_slices_logit():
    rng = np.random.default_rng(1)
    tokens, cls, weak = rng.normal(size=(5, 3, 2, 4)), rng.normal(size=(5, 4)), head()
    logits = weak.slice_logits(vectors_of(tokens, cls))
    for one, token, logit in zip(tokens, cls, logits, strict=True):
        parts = weak.patch_logits(one)
        assert parts.shape == (3, 2)
        np.testing.assert_allclose(
            parts.sum() + (token - weak.mean[:4]) @ weak.weights[:4] + weak.bias, logit, atol=1e-9
        )


def test_the_studys_logit_is_the_mean_of_its_slices_logits():
    rng = np.random.default_rng(2)
    slices, weak = [rng.normal(size=(n, 12)) for n in (3, 7)], head()
    study = np.mean([part.mean(axis=0) for part in slices], axis=0)
    wanted = np.mean([weak.slice_logits(part).mean() for part in slices])
    np.testing.assert_allclose(weak.slice_logits(study[None])[0], wanted, atol=1e-9)


def test_the_box_is_drawn_around_the_strongest_and_what_hangs_together_with_it():
    parts = np.zeros((4, 4))
    parts[1, 1], parts[1, 2], parts[3, 0] = 5.0, 3.0, 4.0
    np.testing.assert_allclose(evidence_box(parts, 0.4), [0.375, 0.375, 0.25, 0.25])
    np.testing.assert_allclose(evidence_box(parts, 1.0), [0.5, 0.375, 0.5, 0.25])


def test_where_nothing_speaks_for_it_the_strongest_patch_is_it():
    parts = np.full((2, 2), -1.0)
    parts[0, 1] = -0.5
    np.testing.assert_allclose(evidence_box(parts, 0.5), [0.75, 0.25, 0.5, 0.5])
