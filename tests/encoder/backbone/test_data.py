from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spine_models.corpus.shards import EpochReader
from spine_models.encoder.backbone.data import CropStream, Position, open_stream, sample_seed


def stream(tars, settings, **changes):
    wanted = {"open_reader": EpochReader, "rank": 0, "world": 1} | changes
    return CropStream(tars[:1], settings, **wanted)


def take(batches, n):
    return list(islice(batches, n))


def same(a, b):
    return all(torch.equal(x.crops.global_crops, y.crops.global_crops) for x, y in zip(a, b, strict=True))


def test_a_stream_goes_on_where_its_position_says(tars, settings):
    whole = take(open_stream(stream(tars, settings)), 12)
    assert whole[4].position == Position(0, 20)  # 20 slices: the first epoch ends with batch 5
    assert whole[5].position == Position(1, 4)
    resumed = stream(tars, settings, step=7, positions=[whole[6].position])
    assert same(take(open_stream(resumed), 5), whole[7:])


def test_worker_lanes_take_turns_and_resume_exactly(tars, settings):
    two = settings.model_copy(update={"workers": 2, "batch_size": 2})
    whole = take(open_stream(stream(tars, two)), 8)
    assert [batch.lane for batch in whole] == [0, 1] * 4
    positions = [whole[4].position, whole[3].position]  # 5 batches done: lane 0 stands after batch 4
    rest = take(open_stream(stream(tars, two, step=5, positions=positions)), 3)
    assert [batch.lane for batch in rest] == [1, 0, 1]
    assert same(rest, whole[5:])


def test_opening_workers_leaves_the_global_generator_alone(tars, settings):
    before = torch.get_rng_state()
    take(open_stream(stream(tars, settings.model_copy(update={"workers": 1}))), 1)
    assert torch.equal(before, torch.get_rng_state())


def test_ranks_see_different_slices_and_every_slice_is_seen(tars, settings):
    seen = [
        {key for key, _, _ in islice(stream(tars, settings, rank=rank, world=2)._samples(0, {}), 10)}
        for rank in range(2)
    ]
    assert not seen[0] & seen[1]
    assert len(seen[0] | seen[1]) == 20


def test_excluded_slices_are_left_out_and_counted_in_positions(tars, settings):
    first = [key for key, _, _ in islice(stream(tars, settings)._samples(0, {}), 20)]
    without = list(islice(stream(tars, settings, excluded=frozenset(first[:3]))._samples(0, {}), 17))
    assert [key for key, _, _ in without] == first[3:]
    assert without[0][2] == Position(0, 4)


def test_seeds_differ_by_draw(tars, settings):
    seeds = {
        sample_seed(s, Position(e, n), k)
        for s in (0, 1)
        for e in (0, 1)
        for n in (0, 1)
        for k in ("a-0000", "b-0000")
    }
    assert len(seeds) == 16


def test_a_lane_without_slices_says_so(tars, settings):
    with pytest.raises(ValueError, match="no slice to read"):
        next(iter(stream(tars, settings, rank=30, world=31)))
    with pytest.raises(ValueError, match="same workers"):
        stream(tars, settings, positions=[Position(0, 0)] * 2)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory) -> list[Path]:
    """A study of 200 slices and one of 7."""
    path = tmp_path_factory.mktemp("uneven") / "t1" / "train" / "shard-000000.tar"
    path.parent.mkdir(parents=True)
    png = io.BytesIO()
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32)).save(png, "PNG")
    with tarfile.open(path, "w") as tar:
        for study, n_slices in (("long", 200), ("short", 7)):
            for index in range(n_slices):
                about = json.dumps({"study_key": study}).encode()
                for suffix, content in (("png", png.getvalue()), ("json", about)):
                    info = tarfile.TarInfo(f"{study}-{index:04d}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return [path]


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize(
    ("sampling", "in_an_epoch"),
    [("study", {"long": 104, "short": 104}), ("slice", {"long": 200, "short": 7})],
)
def test_what_is_drawn_is_what_the_sampling_says(uneven, settings, sampling, in_an_epoch, lanes):
    wanted = settings.model_copy(update={"sampling": sampling})
    drawn: Counter[str] = Counter()
    for lane in range(lanes):
        one = CropStream(uneven, wanted, open_reader=EpochReader, rank=lane, world=lanes)
        epochs = (key for key, _, position in one._samples(0, {}) if position.epoch < 2)
        drawn.update(islice(epochs, len(range(lane, sum(in_an_epoch.values()), lanes)) * 2))
    by_study = Counter(key.split("-")[0] for key in drawn.elements())
    assert by_study == {study: 2 * n for study, n in in_an_epoch.items()}
    counts = {study: {n for key, n in drawn.items() if key.startswith(study)} for study in in_an_epoch}
    if sampling == "slice":
        assert counts == {"long": {2}, "short": {2}}
    else:  # 208 draws of 200 slices and of 7: a slice comes again when all others of its study have come as often
        assert counts == {"long": {1, 2}, "short": {29, 30}}


@pytest.mark.parametrize("sampling", ["study", "slice"])
@pytest.mark.parametrize("workers", [0, 2])
def test_both_samplings_go_on_exactly_in_the_middle_of_an_epoch(uneven, settings, sampling, workers):
    wanted = settings.model_copy(update={"sampling": sampling, "workers": workers, "batch_size": 16})
    lanes = max(workers, 1)
    whole = take(open_stream(stream(uneven, wanted)), 16)  # ends in the second epoch
    for done in (3, 13):
        positions = [
            whole[max(n for n in range(done) if n % lanes == lane)].position for lane in range(lanes)
        ]
        resumed = stream(uneven, wanted, step=done, positions=positions)
        assert same(take(open_stream(resumed), 16 - done), whole[done:])
    assert whole[-1].position.epoch == 1
    other = wanted.model_copy(update={"sampling": {"study": "slice", "slice": "study"}[sampling]})
    assert not same(take(open_stream(stream(uneven, other)), 16), whole)
