from __future__ import annotations

import polars as pl
import pytest

from spine_models.config import ShardSettings
from spine_models.corpus.shards import write_shards
from spine_models.corpus.shards.verify import verify_tars


@pytest.fixture
def written(batch, noise, make_dataset, tmp_path):
    for i in range(5):
        batch.add(make_dataset(noise(i), number=i + 1, position_mm=4.0 * i), patient="p", series="a")
    out = tmp_path / "shards"
    settings = ShardSettings(size_px=32, workers=1, slices_per_shard=4)
    return write_shards(
        batch.instances, batch.series, dicom=batch.folder, out=out, settings=settings
    ).slices, out


def test_what_was_written_is_there_and_can_be_looked_at(written):
    slices, out = written
    verified = verify_tars(slices, out, sample=3)
    assert verified.wrong == 0
    assert [image.shape for image in verified.sample] == [(32, 32)] * 3


def test_a_changed_hash_a_missing_and_an_extra_slice_each_count(written):
    slices, out = written
    changed = slices.with_columns(
        pixel_hash=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("0" * 64)).otherwise("pixel_hash")
    )
    assert verify_tars(changed, out).wrong == 1
    assert verify_tars(slices.tail(-2), out).wrong == 2
    more = pl.concat([slices, slices.head(1).with_columns(slice_key=pl.lit("f" * 32 + "-0000"))])
    assert verify_tars(more, out).wrong == 1
