from __future__ import annotations

import pickle
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from spine_models.config import ShardSettings
from spine_models.corpus.shards import EpochReader, ShardError, read_slices, write_shards

SIZES = {"p1": 2, "p2": 3, "p3": 17, "p4": 5}


@pytest.fixture
def tars(batch, noise, make_dataset, tmp_path):
    for seed, (patient, size) in enumerate(SIZES.items()):
        for i in range(size):
            ds = make_dataset(noise(100 * seed + i), number=i, position_mm=float(i))
            batch.add(ds, patient=patient, series=f"s-{patient}")
    out = tmp_path / "out"
    settings = ShardSettings(size_px=16, workers=1, slices_per_shard=5)
    write_shards(batch.instances, batch.series, dicom=batch.folder, out=out, settings=settings)
    return sorted(out.rglob("*.tar"))


def keys(samples):
    return [key for key, _ in samples]


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_every_slice_exactly_once_per_epoch_over_all_ranks(tars, world):
    readers = [EpochReader(tars, seed=3, rank=rank, world=world) for rank in range(world)]
    for n in range(3):
        parts = [keys(reader.epoch(n)) for reader in readers]
        assert Counter(key for part in parts for key in part) == Counter(keys(read_slices(tars)))
        assert [len(part) for part in parts] == [len(reader) for reader in readers]
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_order_is_a_function_of_seed_and_epoch(tars):
    def order(seed, n):
        return keys(EpochReader(tars[::-1], seed=seed).epoch(n))

    assert order(1, 0) == keys(EpochReader(tars, seed=1).epoch(0))
    assert len({tuple(order(1, 0)), tuple(order(1, 1)), tuple(order(2, 0))}) == 3


def test_the_order_does_not_depend_on_how_slices_were_cut_into_tars(tars, batch, tmp_path):
    settings = ShardSettings(size_px=16, workers=1, slices_per_shard=1000)
    out = tmp_path / "whole"
    write_shards(batch.instances, batch.series, dicom=batch.folder, out=out, settings=settings)
    whole = EpochReader(sorted(out.rglob("*.tar")), seed=1)
    assert keys(whole.epoch(4)) == keys(EpochReader(tars, seed=1).epoch(4))


@pytest.mark.parametrize("balance", ["slice", "study"])
@pytest.mark.parametrize("start", [0, 1, 7, 12])
def test_resuming_gives_the_identical_rest(tars, balance, start):
    whole = list(EpochReader(tars, seed=5, rank=1, world=2, balance=balance).epoch(2))
    broken = EpochReader(tars, seed=5, rank=1, world=2, balance=balance)
    list(islice(broken.epoch(2), start))
    rest = list(EpochReader(tars, seed=5, rank=1, world=2, balance=balance).epoch(2, start=start))
    assert keys(rest) == keys(whole)[start:]
    for (_, one), (_, other) in zip(rest, whole[start:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_pixels_belong_to_their_keys(tars):
    stored = dict(read_slices(tars))
    for key, array in EpochReader(tars, seed=0).epoch(0):
        assert array.dtype == np.uint16
        np.testing.assert_array_equal(array, stored[key])


def patient_index(tables_keys):
    bounds = np.cumsum([0, *SIZES.values()])
    return [int(np.searchsorted(bounds, int(key.split("-")[0], 16), side="right")) for key in tables_keys]


def test_balanced_epochs_draw_every_study_equally(tars):
    reader = EpochReader(tars, seed=1, balance="study")
    assert len(reader) == 7 * 4  # ceil(27 / 4) draws for each of four studies
    for n in range(4):
        assert set(Counter(patient_index(keys(reader.epoch(n)))).values()) == {7}


def test_balanced_epochs_cover_long_studies_over_time_and_repeat_short_ones_evenly(tars):
    reader = EpochReader(tars, seed=1, balance="study")
    drawn = [Counter(keys(reader.epoch(n))) for n in range(3)]
    assert len(sum(drawn, Counter())) == sum(SIZES.values())  # ceil(17 / 7) = 3 epochs
    for counts in drawn:
        per_patient = {}
        for key, count in counts.items():
            per_patient.setdefault(patient_index([key])[0], []).append(count)
        assert all(max(c) - min(c) <= 2 for c in per_patient.values())
        assert max(per_patient[3]) <= 2


def test_balanced_ranks_are_disjoint_draws_of_one_epoch(tars):
    whole = Counter(keys(EpochReader(tars, seed=9, balance="study").epoch(1)))
    parts = [EpochReader(tars, seed=9, rank=r, world=3, balance="study").epoch(1) for r in range(3)]
    assert Counter(key for part in parts for key in keys(part)) == whole


def test_reading_some_slices_by_key(tars):
    everything = dict(read_slices(tars))
    wanted = set(sorted(everything)[::4])
    found = dict(read_slices(tars, wanted))
    assert set(found) == wanted
    for key in wanted:
        np.testing.assert_array_equal(found[key], everything[key])


def test_a_reader_can_be_copied_to_a_worker(tars):
    reader = EpochReader(tars, seed=2)
    first = keys(reader.epoch(0))
    assert keys(pickle.loads(pickle.dumps(reader)).epoch(0)) == first
    reader.close()
    assert keys(reader.epoch(0)) == first


def test_wrong_arguments_and_broken_tars_are_named(tars, tmp_path):
    with pytest.raises(ValueError, match="rank 2"):
        EpochReader(tars, seed=0, rank=2, world=2)
    with pytest.raises(ValueError, match="balance"):
        EpochReader(tars, seed=0, balance="patient")
    with pytest.raises(ValueError, match="no slices"):
        EpochReader([], seed=0)
    broken = tmp_path / "broken.tar"
    broken.write_bytes(tars[0].read_bytes()[:3000])
    with pytest.raises(ShardError, match=r"broken\.tar"):
        EpochReader([broken], seed=0)
    with pytest.raises(ShardError, match=r"missing\.tar"):
        list(read_slices([tmp_path / "missing.tar"]))
