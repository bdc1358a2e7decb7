"""Slices to look at come from where nothing was trained, studies in turn."""

from __future__ import annotations

import numpy as np

from spine_models.corpus.shards import read_slices
from spine_models.encoder.backbone.samples import sample_slices


def stored(tar):
    return {image.tobytes() for _, image in read_slices([tar])}


def test_validation_slices_come_first_and_none_twice(tars):
    images = sample_slices(tars, 4, seed=0)
    assert images.shape == (4, 32, 32)
    assert images.dtype == np.uint16
    assert {image.tobytes() for image in images} <= stored(tars[1])
    assert len({image.tobytes() for image in images}) == 4


def test_training_slices_where_there_are_no_others(tars):
    assert {image.tobytes() for image in sample_slices(tars[:1], 3, seed=0)} <= stored(tars[0])


def test_fewer_where_there_are_no_more(tars):
    assert len(sample_slices(tars[1:], 100, seed=0)) == 8


def test_none_without_shards():
    assert sample_slices([], 4, seed=0).shape == (0, 0, 0)


def test_the_same_seed_gives_the_same_slices(tars):
    assert (sample_slices(tars, 4, seed=5) == sample_slices(tars, 4, seed=5)).all()
