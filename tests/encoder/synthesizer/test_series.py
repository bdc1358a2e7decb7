"""The slices that the gates are exported of: evenly spaced, in anatomical order, of every series once."""

from __future__ import annotations

import polars as pl
import pytest

from spine_models.corpus.shards import read_slices
from spine_models.encoder.synthesizer.series import series_images
from tests.encoder.conftest import write_tar


@pytest.fixture
def stored(tmp_path):
    """Two series of eight slices, the second over two tars."""
    first = write_tar(tmp_path / "b" / "t1" / "train" / "shard-000000.tar", 6, seed=1)
    second = write_tar(tmp_path / "b" / "t1" / "train" / "shard-000001.tar", 2, seed=2)
    rows = []
    for tar in (first, second):
        for key, image in read_slices([tar]):
            rows.append((key, tar.relative_to(tmp_path / "b").as_posix(), image))
    slices = pl.DataFrame(
        {
            "batch_key": ["b"] * 16,
            "series_key": ["one"] * 8 + ["two"] * 8,
            "slice_index": [*range(8), *reversed(range(8))],
            "slice_key": [key for key, _, _ in rows],
            "contrast": ["T1"] * 8 + [None] * 8,
            "shard": [shard for _, shard, _ in rows],
        }
    )
    return slices, {"b": tmp_path / "b"}, {key: image for key, _, image in rows}


def test_every_series_comes_once_with_its_slices_in_order(stored):
    slices, roots, images = stored
    found = {series.series_key: series for series in series_images(slices, roots, per_series=100)}
    assert {name: series.contrast for name, series in found.items()} == {"one": "T1", "two": None}
    for name, series in found.items():
        keys = slices.filter(series_key=name).sort("slice_index")["slice_key"]
        assert (series.images == [images[key] for key in keys]).all()


def test_few_slices_are_evenly_spaced(stored):
    slices, roots, images = stored
    (one, _) = series_images(slices, roots, per_series=2)
    keys = slices.filter(series_key="one").sort("slice_index")["slice_key"]
    assert (one.images == [images[keys[2]], images[keys[6]]]).all()


def test_no_series_is_none(stored):
    slices, roots, _ = stored
    assert list(series_images(slices.clear(), roots, per_series=2)) == []
