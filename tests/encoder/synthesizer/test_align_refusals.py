"""What cannot be aligned and what does not belong together is refused by name."""

from __future__ import annotations

import shutil

import polars as pl
import pytest

from spine_models.config import ClipSettings
from spine_models.encoder.backbone.encoder import EncoderError, save_encoder, version_of
from spine_models.encoder.clip.data import ClipDataError
from spine_models.encoder.clip.train import train_clip
from spine_models.encoder.synthesizer.alignment import ABOUT, ALIGNMENT, load_alignment
from spine_models.encoder.synthesizer.files import WEIGHTS
from tests.encoder.clip.conftest import TINY
from tests.encoder.synthesizer.conftest import drawn


def test_what_cannot_be_aligned_is_refused(world, tmp_path, settings):
    with pytest.raises(ValueError, match="folder of its own"):
        world.align(world.sources["conditional"])
    both = world.sharded.slices.with_columns(
        patient_key=pl.when(pl.col("study_key") == "s012").then(pl.lit("p001")).otherwise("patient_key")
    )
    with pytest.raises(ClipDataError, match="split by patient"):
        world.align(tmp_path / "a", slices=both)
    save_encoder(tmp_path / "t2", drawn(settings, 9), settings, route="t2", trained=True)
    with pytest.raises(EncoderError, match="t2 encoder"):
        world.align(tmp_path / "a", t2=tmp_path / "t2")
    bi_modal = ClipSettings.model_validate(TINY | {"variant": "bi_modal"})
    train_clip(bi_modal, world.studies, [], tmp_path / "clip", parents={}, stop_after=1)
    with pytest.raises(ClipDataError, match="bi_modal reads no reports"):
        world.align(tmp_path / "a", clip=tmp_path / "clip")


def test_a_folder_that_does_not_belong_together_is_refused(world, whole, tmp_path):
    with pytest.raises(EncoderError, match="is not aligned"):
        load_alignment(world.sources["conditional"], *world.folders)
    for name in ("config.json", ALIGNMENT, ABOUT):
        shutil.copy(whole.folder / name, tmp_path / name)
    shutil.copy(world.sources["conditional"] / WEIGHTS, tmp_path / WEIGHTS)
    trained, these = whole.card["version"], version_of(tmp_path, WEIGHTS)
    with pytest.raises(EncoderError, match=f"trained with gates {trained}, these are {these}"):
        load_alignment(tmp_path, *world.folders)
