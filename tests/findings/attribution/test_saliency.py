"""Maps: exact where they claim to be, the same every time, of both kinds of encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spine_models.config import AttributionSettings
from spine_models.encoder.synthesizer.encode import slice_vector
from spine_models.findings.attribution.saliency import (
    METHODS,
    composed,
    saliency_map,
    saliency_maps,
    token_shares,
    upsampled,
)
from spine_models.findings.attribution.sight import Sight, SliceHead, slice_heads
from spine_models.findings.attribution.terms import AttributionError

SETTINGS = AttributionSettings(gradient_steps=64)


def score(sight, head, image, mask=None):
    """Logit of one image, written out."""
    with torch.no_grad():
        vector = slice_vector(sight.tokens(image, mask))[0].numpy().astype(np.float64)
    return head.constant + sum((v - c) * w for v, c, w in zip(vector, head.centre, head.weights, strict=True))


def test_shares_of_tokens_add_up_to_the_score(sight, make_head, make_slice):
    head = make_head()
    image = sight.image(make_slice())
    with torch.no_grad():
        of_cls, by_mean, by_max = token_shares(sight.tokens(image), head)
    assert by_mean.shape == by_max.shape == (16,)
    total = of_cls + by_mean.sum() + by_max.sum()
    assert total + head.constant == pytest.approx(score(sight, head, image), abs=1e-5)


def test_shares_of_tokens_are_those_of_a_slow_transcription(sight, make_head, make_slice):
    head = make_head(seed=3)
    with torch.no_grad():
        tokens = sight.tokens(sight.image(make_slice(1)))
        _, by_mean, by_max = token_shares(tokens, head)
    z = tokens.patches[0].numpy().astype(np.float64)
    n, d = z.shape
    for p in range(n):
        mean = sum((z[p, i] - head.centre[d + i]) * head.weights[d + i] / n for i in range(d))
        most = sum(
            (z[p, i] - head.centre[2 * d + i]) * head.weights[2 * d + i]
            for i in range(d)
            if p == int(np.argmax(z[:, i]))
        )
        assert by_mean[p] == pytest.approx(mean, abs=1e-9)
        assert by_max[p] == pytest.approx(most, abs=1e-9)


def test_equally_high_patches_share_the_maximum(sight, make_head):
    """Every patch of an image without content is alike but for its position; tokens made alike share."""
    head = make_head()
    tokens = sight.tokens(torch.zeros(1, 1, 32, 32))
    alike = tokens._replace(patches=tokens.patches[:, :1].expand(-1, 16, -1))
    _, _, by_max = token_shares(alike, head)
    np.testing.assert_allclose(by_max, by_max[0])


def test_integrated_gradients_are_complete(sight, make_head, make_slice):
    """Their sum is the difference of the scores of slice and blurred slice; the maximum has kinks, hence the slack."""
    differences = []
    for seed in range(4):
        head, array = make_head(seed=seed), make_slice(seed)
        image = sight.image(array)
        blurred = sight.blurred(image, SETTINGS.blur_patches)
        found = saliency_map(sight, head, array, "gradients", SETTINGS)
        differences.append(score(sight, head, image) - score(sight, head, blurred))
        assert found.sum() == pytest.approx(differences[-1], abs=0.02 * np.abs(found).sum())
    assert max(map(abs, differences)) > 0.05


@pytest.mark.parametrize("method", ["occlusion", "masking"])
def test_a_patch_s_loss_is_that_of_a_slow_transcription(sight, make_head, make_slice, method):
    head, array = make_head(), make_slice()
    found = saliency_map(sight, head, array, method, SETTINGS)
    image = sight.image(array)
    blurred = sight.blurred(image, SETTINGS.blur_patches)
    whole = score(sight, head, image)
    for row in range(4):
        for column in range(4):
            if method == "masking":
                mask = torch.zeros(1, 16, dtype=torch.bool)
                mask[0, 4 * row + column] = True
                without = score(sight, head, image, mask)
            else:
                changed = image.clone()
                window = (0, 0, slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8))
                changed[window] = blurred[window]
                without = score(sight, head, changed)
            assert found[row, column] == pytest.approx(whole - without, abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_the_same_every_time_and_of_every_head_alone(sight, make_head, make_slice, method):
    heads, array = [make_head(seed=seed) for seed in (1, 2)], make_slice()
    found = saliency_maps(sight, heads, array, method, SETTINGS)
    assert found.shape == (2, 4, 4)
    np.testing.assert_array_equal(found, saliency_maps(sight, heads, array, method, SETTINGS))
    for number, head in enumerate(heads):
        np.testing.assert_allclose(
            found[number], saliency_map(sight, head, array, method, SETTINGS), atol=1e-6
        )


@pytest.mark.parametrize("method", METHODS)
def test_a_black_slice_has_a_finite_map_and_nothing_to_occlude(sight, make_head, method):
    found = saliency_map(sight, make_head(), np.zeros((32, 32), np.uint16), method, SETTINGS)
    assert np.isfinite(found).all()
    if method in ("occlusion", "gradients"):
        np.testing.assert_allclose(found, 0.0, atol=1e-6)


def test_larger_slices_are_seen_as_the_encoder_sees_them(sight, make_head, make_slice):
    array = make_slice(size=64)
    assert sight.image(array).shape == (1, 1, 32, 32)
    assert saliency_map(sight, make_head(), array, "occlusion", SETTINGS).shape == (4, 4)


def test_bad_slices_methods_and_weights_are_refused(sight, make_head, make_slice):
    with pytest.raises(AttributionError, match="uint16"):
        saliency_map(sight, make_head(), make_slice().astype(np.float32), "tokens", SETTINGS)
    with pytest.raises(AttributionError, match="uint16"):
        saliency_map(sight, make_head(), make_slice()[:16], "tokens", SETTINGS)
    with pytest.raises(ValueError, match="no saliency method 'lime'"):
        saliency_map(sight, make_head(), make_slice(), "lime", SETTINGS)
    broken = make_head()
    broken = SliceHead("canal", "t2", 0.0, broken.centre, broken.weights * np.nan)
    with pytest.raises(AttributionError, match="not finite"):
        saliency_map(sight, broken, make_slice(), "occlusion", SETTINGS)


def test_a_slice_s_pixels_come_from_the_slice_where_it_is_shown():
    image, blurred = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    shown = torch.tensor([[[True, False], [False, True]]])
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert composed(image, blurred, shown, 2)[0, 0].tolist() == expected


def test_an_upsampled_map_keeps_its_place_and_range():
    found = np.zeros((4, 4))
    found[1, 2] = 1.0
    large = upsampled(found, 32)
    assert large.shape == (32, 32)
    assert np.unravel_index(large.argmax(), large.shape) in [
        (r, c) for r in range(8, 16) for c in range(16, 24)
    ]
    np.testing.assert_allclose(upsampled(np.full((4, 4), 2.5), 32), 2.5)


def test_heads_of_slices_are_what_the_heads_say_of_a_study_of_one_slice(heads, batch, make_slice):
    """A study with one slice of one route is judged as its slice head judges the slice."""

    class Route:
        route, version = "t2", "m-t2"

    found = slice_heads(heads, Route(), {"t1": 12, "t2": 12})
    assert set(found) == {"canal", "edema"}
    lone = batch.studies.filter(study_key="lone")
    vector = np.array([lone["vector"].item().to_list()])
    for row in heads.predict(lone).iter_rows(named=True):
        head = found[row["condition"]]
        assert head.sequence_set == row["sequence_set"]
        assert head.probabilities(vector).item() == pytest.approx(row["probability"], abs=1e-7)
    Route.route = "other"
    assert slice_heads(heads, Route(), {"t1": 12, "t2": 12}) == {}
    Route.route, Route.version = "t1", "newer"
    with pytest.raises(AttributionError, match="fitted on encoder version m-t1"):
        slice_heads(heads, Route(), {"t1": 12, "t2": 12})


def test_the_batch_size_changes_nothing_but_rounding(make_slice):
    from tests.findings.attribution.conftest import tiny_encoder

    encoder = tiny_encoder("t1")
    images = torch.cat([Sight(encoder).image(make_slice(i)) for i in range(5)])
    one, many = (Sight(encoder, batch_size=n).vectors(images) for n in (1, 64))
    np.testing.assert_allclose(one, many, atol=1e-5)
    stored = np.stack([make_slice(i) for i in range(5)])
    np.testing.assert_allclose(many, encoder.encode(stored), atol=1e-5)
