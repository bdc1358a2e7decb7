from __future__ import annotations

import io
import multiprocessing
import pickle
import tarfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, get_worker_info

from spine_models.config import ShardSettings
from spine_models.corpus.shards import (
    EpochReader,
    ShardError,
    read_slices,
    read_stored,
    readable_shards,
    write_shards,
)
from spine_models.corpus.shards.members import members_of, shard_name

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


def test_slices_that_are_kept_stay_as_they_were(tars):
    stored, reader = dict(read_slices(tars)), EpochReader(tars, seed=0)
    with ThreadPoolExecutor(4) as pool:
        kept = [*reader.epoch(0), *pool.map(reader.__getitem__, list(range(len(reader))) * 5)]
    assert len(kept) == 6 * len(stored)
    for key, array in kept:
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


class Rank(torch.utils.data.IterableDataset):
    """A reader dealt to the workers of a loader, as training deals it."""

    def __init__(self, tars, rank, world, workers, n, consumed=0):
        self.arguments = (tars, rank, world, workers, n, consumed)

    def __iter__(self):
        tars, rank, world, workers, n, consumed = self.arguments
        info = get_worker_info()
        lane = info.id if info else 0
        reader = EpochReader(tars, seed=7, rank=rank * workers + lane, world=world * workers)
        return ((key, int(array.sum())) for key, array in reader.epoch(n, consumed=consumed))


def run_rank(tars, rank, world, workers, n, consumed, queue):
    dataset = Rank(tars, rank, world, workers, n, consumed)
    loader = DataLoader(dataset, batch_size=None, num_workers=workers if workers > 1 else 0)
    queue.put((rank, list(loader)))


@pytest.mark.parametrize(("world", "workers"), [(1, 2), (2, 1), (2, 2), (3, 2)])
def test_every_slice_exactly_once_over_real_processes_and_their_workers(tars, world, workers):
    """Ranks are processes of their own, their workers are a DataLoader's."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    ranks = [
        context.Process(target=run_rank, args=(tars, rank, world, workers, 1, 0, queue))
        for rank in range(world)
    ]
    for process in ranks:
        process.start()
    parts = dict(queue.get(timeout=60) for _ in ranks)
    for process in ranks:
        process.join(timeout=60)
        assert process.exitcode == 0
    truth = {key: int(array.sum()) for key, array in read_slices(tars)}
    seen = [sample for rank in sorted(parts) for sample in parts[rank]]
    assert Counter(key for key, _ in seen) == Counter(list(truth))
    assert all(truth[key] == total for key, total in seen)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_loader_over_the_reader_gives_one_order_whatever_its_workers(tars, workers):
    reader = EpochReader(tars, seed=3, rank=1, world=2)
    loader = DataLoader(reader, sampler=reader.order(2).tolist(), batch_size=None, num_workers=workers)
    assert [key for key, _ in loader] == keys(reader.epoch(2))


@pytest.mark.parametrize("balance", ["slice", "study"])
@pytest.mark.parametrize(("before", "after"), [(2, 3), (6, 1), (1, 4), (4, 4)])
def test_an_epoch_left_in_the_middle_goes_on_with_any_number_of_ranks(tars, balance, before, after):
    def readers(world):
        return [EpochReader(tars, seed=11, rank=r, world=world, balance=balance) for r in range(world)]

    each = 3
    first = [key for reader in readers(before) for key in keys(islice(reader.epoch(5), each))]
    assert len(first) == each * before
    rest = [key for reader in readers(after) for key in keys(reader.epoch(5, consumed=each * before))]
    assert Counter(first + rest) == Counter(keys(readers(1)[0].epoch(5)))
    parts = [len(list(reader.order(5, consumed=each * before))) for reader in readers(after)]
    assert max(parts) - min(parts) <= 1


def test_more_than_an_epoch_is_never_consumed(tars):
    reader = EpochReader(tars, seed=1)
    assert reader.order(0, consumed=27).size == 0
    for consumed in (-1, 28):
        with pytest.raises(ValueError, match="resume the next epoch"):
            reader.order(0, consumed=consumed)


@pytest.mark.parametrize("balance", ["slice", "study"])
def test_a_shard_without_its_sidecar_reads_the_same(tars, balance):
    whole = [(key, array.sum()) for key, array in EpochReader(tars, seed=1, balance=balance).epoch(3)]
    for tar in tars:
        tar.with_suffix(".members.json").unlink()
    walked = [(key, array.sum()) for key, array in EpochReader(tars, seed=1, balance=balance).epoch(3)]
    assert walked == whole


def test_a_sidecar_says_what_walking_the_tar_says(tars):
    for tar in tars:
        quick = members_of(tar)
        tar.with_suffix(".members.json").unlink()
        assert quick == members_of(tar)


def test_changed_cut_and_foreign_shards_are_named(tars, tmp_path):
    with tars[0].open("ab") as stream:
        stream.write(b"\0" * 512)
    with pytest.raises(ShardError, match="has changed since it was written"):
        EpochReader(tars, seed=0)
    tars[0].with_suffix(".members.json").unlink()
    assert EpochReader(tars, seed=0)
    content = bytearray(tars[1].read_bytes())
    member = members_of(tars[1])[0]
    content[member.offset + 60] ^= 255
    tars[1].write_bytes(content)
    with pytest.raises(
        ShardError, match=r"shard-000001\.tar: .*changed since.*write the shards of its batch"
    ):
        list(read_slices(tars[1:2]))
    foreign = tmp_path / "newer.tar"
    with tarfile.open(foreign, "w") as tar:
        for name in ("a.json", "a.avif"):
            tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(ShardError, match=r"format 'avif'.*write the shards of its batch again"):
        list(read_slices([foreign]))


def test_shards_of_format_1_read_as_before(tmp_path):
    images = {f"{i:032x}-0000": np.full((8, 8), 1000 * i, np.uint16) for i in range(4)}
    path = tmp_path / "shard-000000.tar"
    with tarfile.open(path, "w") as tar:
        for key, image in images.items():
            png = io.BytesIO()
            Image.fromarray(image).save(png, "PNG")
            for suffix, content in (("json", b'{"study_key": "s"}'), ("png", png.getvalue())):
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    for balance in ("slice", "study"):
        for key, array in EpochReader([path], seed=0, balance=balance).epoch(0):
            np.testing.assert_array_equal(array, images[key])
    assert [held.quantum for _, held in read_stored([path])] == [None] * 4


def test_a_slice_in_two_shards_is_refused(tars, tmp_path):
    copy = tmp_path / "copy.tar"
    copy.write_bytes(tars[0].read_bytes())
    with pytest.raises(ShardError, match="is in two shards"):
        EpochReader([*tars, copy], seed=0)


def without_sidecar(tar):
    tar.with_suffix(".members.json").unlink()
    return tar


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"tar_bytes": 1}', b"\xff\xfe"])
def test_a_broken_member_table_is_named(tars, content):
    tars[0].with_suffix(".members.json").write_bytes(content)
    with pytest.raises(
        ShardError, match=r"member table of shard shard-000000\.tar .*write the shards of its batch"
    ):
        EpochReader(tars, seed=0)


def test_garbage_inside_a_tar_is_not_taken_for_its_end(tars):
    tar = without_sidecar(tars[0])
    content = bytearray(tar.read_bytes())
    with tarfile.open(tar) as archive:
        header = archive.getmembers()[4].offset
    content[header : header + 512] = bytes([7]) * 512
    tar.write_bytes(content)
    with pytest.raises(ShardError, match="bytes that are no tar"):
        members_of(tar)


def test_a_slice_without_its_study_is_named(tmp_path):
    path = tmp_path / "a.tar"
    for about in (b"{", b"{}", b"3"):
        with tarfile.open(path, "w") as tar:
            for suffix, content in (("png", b"x"), ("json", about)):
                info = tarfile.TarInfo(f"s.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        with pytest.raises(ShardError, match=r"a\.tar holds a slice without its study"):
            members_of(path)


def test_readable_shards_are_told_from_the_others(tars, tmp_path):
    cut, nothing = tmp_path / "cut.tar", tmp_path / "nothing.tar"
    cut.write_bytes(tars[0].read_bytes()[:3000])
    tarfile.open(nothing, "w").close()
    readable, broken = readable_shards([*tars, cut, nothing])
    assert readable == tars
    assert list(broken) == [cut]
    assert "cut.tar" in broken[cut]
    assert readable_shards([]) == ([], {})


def test_shards_are_named_from_their_batch_on(tars, tmp_path):
    lake = tmp_path / "lake" / "shards" / "tars" / "batch" / "v1" / "t1" / "train" / "shard-000000.tar"
    assert shard_name(lake) == "batch/v1/t1/train/shard-000000.tar"
    assert shard_name(tmp_path / "site" / "t1" / "train" / "s.tar") == "site/t1/train/s.tar"
    reader = EpochReader(tars, seed=0)
    for tar in tars:
        (name,) = {reader.shard_of(n) for n, key in enumerate(reader.keys) if key in dict(read_stored([tar]))}
        assert name == shard_name(tar)


def test_a_reader_of_many_tars_holds_few_open_and_reads_them_all(tars, monkeypatch):
    from spine_models.corpus.shards import reader as module

    whole = {key: image.copy() for key, image in EpochReader(tars, seed=0).epoch(0)}
    monkeypatch.setattr(module, "OPEN_AT_MOST", 2)
    assert len(tars) > 3
    reader = EpochReader(tars, seed=0)
    held = []
    for key, image in reader.epoch(0):
        assert (image == whole[key]).all()
        held.append(len(reader._streams))
    assert max(held) == 2
    reader.close()


def test_a_tar_that_went_is_named_without_its_path(tars):
    reader = EpochReader(tars, seed=0)
    for tar in tars:
        tar.unlink()
    with pytest.raises(ShardError, match="cannot be read: No such file or directory") as raised:
        next(reader.epoch(0))
    assert str(tars[0].parents[2]) not in str(raised.value)
