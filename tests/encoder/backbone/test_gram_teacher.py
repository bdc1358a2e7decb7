from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from spine_models.config import GramSettings, load_profile
from spine_models.corpus.shards.preprocess import preprocess
from spine_models.corpus.shards.tables import SLICES
from spine_models.encoder.backbone.augment import source_px_needed
from spine_models.encoder.backbone.encoder import EncoderError, save_encoder
from spine_models.encoder.backbone.gram_teacher import (
    GramTeacher,
    refresh_due,
    refreshes_done,
    stage_settings,
    too_coarse,
)
from spine_models.encoder.backbone.vit import Backbone


@pytest.fixture
def backbone(settings):
    torch.manual_seed(0)
    return Backbone(settings)


def crops(px: int = 64) -> torch.Tensor:
    return torch.rand(3, 1, px, px, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((5, 5, 3), [5, 10, 15]),
        ((5, 2, 3), [2, 7, 12]),
        ((1, 4, 2), [4, 5]),
        ((5, 5, 0), []),
        ((10, 30, 9), [30]),
    ],
)
def test_refresh_schedule(numbers, expected):
    every, first, most = numbers
    gram = GramSettings(refresh_every=every, first_refresh=first, max_refreshes=most)
    due = [step for step in range(40) if refresh_due(gram, step)]
    assert due == expected
    assert [refreshes_done(gram, step) for step in range(40)] == [
        sum(d <= step for d in due) for step in range(40)
    ]


def test_the_published_schedule_and_numbers():
    gram = GramSettings()
    assert [step for step in range(gram.steps + 1) if refresh_due(gram, step)] == [5000, 10000, 15000]
    assert (gram.weight, gram.ema_momentum, gram.beta2, gram.layer_decay) == (2.0, 0.999, 0.99, 0.98)
    assert (gram.image_level, gram.normalised, gram.remove_negative) == (True, True, False)
    with pytest.raises(ValidationError, match="exclude each other"):
        GramSettings(remove_negative=True, remove_only_teacher_negative=True)


def test_tokens_are_the_bicubic_map_on_the_students_grid(backbone):
    gram = GramTeacher(backbone, GramSettings(px=64))
    found = gram.tokens(crops(), (4, 4))
    assert found.shape == (3, 16, 32)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    with torch.no_grad():
        patches = backbone.eval()(crops()).patches  # 8 x 8
    maps = patches.reshape(3, 8, 8, 32).permute(0, 3, 1, 2)
    expected = functional.interpolate(maps, size=(4, 4), mode="bicubic", align_corners=False)
    torch.testing.assert_close(found.reshape(3, 4, 4, 32).permute(0, 3, 1, 2), expected)
    torch.testing.assert_close(gram.tokens(crops(), (8, 8)), patches)


def test_refuses_fewer_patches_than_the_student_has(backbone):
    with pytest.raises(ValueError, match=r"raise gram\.px"):
        GramTeacher(backbone, GramSettings()).tokens(crops(32), (5, 5))


def test_is_frozen_and_a_copy_and_moves_only_when_refreshed(backbone):
    gram = GramTeacher(backbone, GramSettings())
    before = gram.tokens(crops(), (4, 4))
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    gram.backbone.train()
    assert not gram.backbone.training
    assert not any(p.requires_grad for p in gram.backbone.parameters())
    torch.testing.assert_close(gram.tokens(crops(), (4, 4)), before, rtol=0, atol=0)
    gram.refresh(backbone)
    assert all(map(torch.equal, gram.backbone.state_dict().values(), backbone.state_dict().values()))
    assert not torch.allclose(gram.tokens(crops(), (4, 4)), before)


def test_comes_from_the_encoder_of_its_own_route(backbone, settings, tmp_path):
    save_encoder(tmp_path, backbone, settings, route="t1", trained=True)
    gram = GramTeacher.from_folder(tmp_path, GramSettings(), route="t1")
    assert all(map(torch.equal, gram.backbone.state_dict().values(), backbone.state_dict().values()))
    with pytest.raises(EncoderError, match="of route t1, not t2"):
        GramTeacher.from_folder(tmp_path, GramSettings(), route="t2")
    with pytest.raises(EncoderError, match="no encoder"):
        GramTeacher.from_folder(tmp_path / "nowhere", GramSettings(), route="t1")


def test_stage_settings_change_what_the_stage_names_and_nothing_of_the_network(settings):
    stage = stage_settings(settings, GramSettings(steps=7, image_px=16, global_scale=(0.5, 1.0)))
    assert (stage.steps, stage.image_px, stage.global_scale) == (7, 16, (0.5, 1.0))
    assert (stage.lr, stage.layer_decay) == (settings.lr, 0.98)
    assert stage.ema_momentum == stage.ema_momentum_end == 0.999
    assert stage.teacher_temperature == settings.teacher_temperature_end
    assert (stage.dim, stage.depth, stage.batch_size) == (settings.dim, settings.depth, settings.batch_size)
    assert stage_settings(settings, GramSettings()).image_px == settings.image_px


@pytest.mark.parametrize(("name", "needed"), [("phantom", 110), ("workstation", 384), ("paper", 501)])
def test_every_profile_has_the_pixels_its_gram_stage_needs(name, needed):
    profile = load_profile(name)
    stage, patch_px = stage_settings(profile.backbone, profile.gram), profile.backbone.patch_px
    assert source_px_needed(stage, profile.gram.px) == needed <= profile.shards.size_px
    assert profile.gram.px % patch_px == stage.image_px % patch_px == 0
    assert profile.gram.px > stage.image_px
    last = profile.gram.first_refresh + (profile.gram.max_refreshes - 1) * profile.gram.refresh_every
    assert last < profile.gram.steps


def test_slices_that_were_made_larger_are_too_coarse(settings):
    """Needed are 48 / sqrt(0.32 * 0.75) = 98 px; slices are stored at 128 px."""
    rows = {
        "same": (128 / 128, [0.5, 0.5]),
        "reduced": (128 / 640, [0.5, 0.5]),
        "exact": (128 / 98, None),
        "enlarged": (128 / 97, [0.5, 0.5]),
        "stretched": (128 / 150, [0.5, 1.0]),  # 75 px along the coarser axis
        "a little stretched": (128 / 150, [0.75, 0.5]),  # 100 px
        "unknown": (None, [0.5, 0.5]),
    }
    slices = pl.DataFrame(
        {
            "slice_key": list(rows),
            "size_px": [128] * len(rows),
            "scale": [scale for scale, _ in rows.values()],
            "pixel_spacing_mm": [spacing for _, spacing in rows.values()],
        },
        schema={name: SLICES[name] for name in ("slice_key", "size_px", "scale", "pixel_spacing_mm")},
    )
    wanted = settings.model_copy(update={"global_scale": (0.32, 1.0), "crop_ratio": (0.75, 4 / 3)})
    gram = GramSettings(px=48, image_px=32)
    assert too_coarse(slices, wanted, gram) == {"enlarged", "stretched", "unknown"}
    wide = gram.model_copy(update={"global_scale": (0.9, 1.0)})
    assert too_coarse(slices, wanted, wide) == {"unknown"}
    assert too_coarse(slices.head(0), wanted, gram) == frozenset()


def test_too_coarse_agrees_with_what_preprocessing_says_of_a_slice(settings):
    """A source of 60 x 40 px, stored at 128 px, truly has 60 px along its longer edge."""
    done = preprocess(np.arange(2400.0).reshape(60, 40), (0.0, 2399.0), 128)
    columns = {"slice_key": ["a"], "size_px": [128], "scale": [done.scale], "pixel_spacing_mm": [None]}
    slices = pl.DataFrame(columns, schema_overrides={"pixel_spacing_mm": pl.List(pl.Float64)})
    square = settings.model_copy(update={"crop_ratio": (1.0, 1.0), "global_scale": (1.0, 1.0)})
    assert too_coarse(slices, square, GramSettings(px=60, image_px=32)) == frozenset()
    assert too_coarse(slices, square, GramSettings(px=61, image_px=32)) == {"a"}
