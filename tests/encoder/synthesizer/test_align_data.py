"""Which slices of a study are drawn, and that they are read where they lie and as they were indexed."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine_models.corpus.shards import read_slices
from spine_models.encoder.clip.data import KINDS, ClipDataError
from spine_models.encoder.synthesizer.align_data import AlignStudies, SliceImages, drawn_slices, image_bag
from tests.encoder.clip.sharded import make_sharded


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    return make_sharded(tmp_path_factory.mktemp("sharded"))


def studies(sharded, split="train", routes="all"):
    return AlignStudies(sharded.slices, sharded.reports, split=split, routes=routes)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(1, 30), st.integers(0, 99))
def test_a_draw_shares_between_series_and_spreads_within_them(lengths, most, seed):
    chosen = drawn_slices(lengths, most, np.random.default_rng(seed))
    assert sum(map(len, chosen)) == min(most, sum(lengths))
    for own, length in zip(chosen, lengths, strict=True):
        assert own == sorted(set(own))
        for j, i in enumerate(own):
            assert length * j // len(own) <= i < length * (j + 1) // len(own)
    assert chosen == drawn_slices(lengths, most, np.random.default_rng(seed))


def test_every_slice_and_every_series_is_drawn_at_some_time():
    draws = [drawn_slices([4, 3, 5], 2, np.random.default_rng(seed)) for seed in range(200)]
    for series, length in enumerate([4, 3, 5]):
        assert {i for draw in draws for i in draw[series]} == set(range(length))


def test_studies_of_a_split_and_of_the_other_routes(sharded):
    train, val = studies(sharded), studies(sharded, "val")
    assert train.study_keys == [f"s{n:03d}" for n in range(12) if n != 7]  # which has no report
    assert train.patient_keys == ["p" + key[1:] for key in train.study_keys]
    assert all(train.reports)
    assert val.study_keys == [f"s{n:03d}" for n in range(12, 18)]
    assert studies(sharded, "val", "other").study_keys == ["s013", "s014", "s016", "s017"]
    few = studies(sharded, "val", "other").drawn(0, 2, np.random.default_rng(0))
    assert few["series_key"].unique().to_list() == ["s013d"]


def test_a_bag_holds_the_drawn_images_in_order_of_series_and_place(sharded):
    train = studies(sharded)
    stored = {
        key: image for root in sharded.roots.values() for key, image in read_slices(sorted(root.rglob("*.tar")))
    }  # fmt: skip
    drawn = [train.drawn(i, most, np.random.default_rng(i)) for i, most in ((0, 4), (1, 7), (2, 1))]
    bag = image_bag(drawn, SliceImages(train.shards, sharded.roots))
    assert bag.mask.sum(dim=1).tolist() == [4, 7, 1]
    for image, b, s in zip(bag.images, bag.owner.tolist(), bag.slot.tolist(), strict=True):
        row = drawn[b].row(s, named=True)
        assert np.array_equal(image, stored[row["slice_key"]])
        assert bag.kind[b, s] == KINDS.index(row["plane"])
        assert sorted(drawn[b]["series_key"].unique())[bag.series[b, s]] == row["series_key"]
    for rows in drawn:
        assert rows.equals(rows.sort("series_key", "slice_index"))


def test_the_digest_follows_pixels_reports_and_places_but_not_shards(sharded):
    train = studies(sharded)
    moved = sharded.slices.with_columns(batch_key=pl.lit("b"), shard=pl.lit("t")).reverse()
    assert AlignStudies(moved, sharded.reports, split="train").sha256() == train.sha256()
    some = pl.col("slice_key") == "s001a-0090"
    changed = [
        (sharded.slices.with_columns(pixel_hash=pl.when(some).then(pl.lit("f")).otherwise("pixel_hash")),
         sharded.reports),
        (sharded.slices.with_columns(plane=pl.when(some).then(pl.lit("axial")).otherwise("plane")), sharded.reports),
        (sharded.slices, sharded.reports.with_columns(pl.col("report_text") + " x")),
    ]  # fmt: skip
    assert len({train.sha256(), *(AlignStudies(a, b, split="train").sha256() for a, b in changed)}) == 4


def test_what_cannot_be_trusted_is_refused(sharded):
    some = pl.col("slice_key") == "s001a-0090"
    slices = sharded.slices
    with pytest.raises(ClipDataError, match="split test"):
        test = slices.with_columns(split=pl.when(some).then(pl.lit("test")).otherwise("split"))
        AlignStudies(test, sharded.reports, split="train")
    with pytest.raises(ClipDataError, match="two reports"):
        AlignStudies(slices, pl.concat([sharded.reports] * 2), split="train")
    with pytest.raises(ClipDataError, match="batch batch0 has slices but no shard folder"):
        SliceImages(studies(sharded).shards, {})
    images = SliceImages(studies(sharded).shards, sharded.roots)
    row = slices.filter(some)
    assert images.read(row).shape == (1, 32, 32)
    with pytest.raises(ClipDataError, match=r"t1/train/shard-000000\.tar of batch batch1 is not the one"):
        images.read(row.with_columns(pixel_hash=pl.lit("f" * 64)))
    with pytest.raises(ClipDataError, match=r"not in t1/train/shard-000000\.tar of batch batch1"):
        images.read(row.with_columns(slice_key=pl.lit("gone")))
