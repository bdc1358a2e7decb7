from __future__ import annotations

import gc
import hashlib
import json
import tarfile

import numpy as np
import polars as pl
import pytest
import webdataset
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from spine_models.config import ShardSettings
from spine_models.corpus.shards import (
    Quantum,
    assign_splits,
    preprocess,
    read_slices,
    to_output_px,
    to_patient_mm,
    write_shards,
)
from spine_models.corpus.shards.tables import SKIPPED, SLICES, SPLITS

SETTINGS = ShardSettings(size_px=32, workers=1, slices_per_shard=4)


def run(batch, out, settings=SETTINGS):
    return write_shards(batch.instances, batch.series, dicom=batch.folder, out=out, settings=settings)


def arrays(out, tables):
    shards = sorted(set(tables.slices["shard"]))
    return dict(read_slices([out / shard for shard in shards]))


def quantum_of(row):
    return Quantum(row["intensity_origin"], row["intensity_step"])


def patient_of(split: str) -> str:
    keys = [f"{i:032x}" for i in range(200)]
    return next(k for k, s in assign_splits(keys, settings=SETTINGS).items() if s == split)


def test_schemas_layout_and_index_agree(batch, noise, make_dataset, tmp_path):
    patient = patient_of("train")
    for i in range(6):
        batch.add(make_dataset(noise(i), number=i + 1, position_mm=4.0 * i), patient=patient, series="a")
    seen = []
    out = tmp_path / "shards"
    tables = write_shards(
        batch.instances,
        batch.series,
        dicom=batch.folder,
        out=out,
        settings=SETTINGS,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (tables.slices.schema, tables.splits.schema, tables.skipped.schema) == (SLICES, SPLITS, SKIPPED)
    assert seen == [(1, 1)]
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.tar")) == [
        "t2/train/shard-000000.tar",
        "t2/train/shard-000001.tar",
    ]
    assert tables.slices.group_by("shard").len().sort("shard")["len"].to_list() == [4, 2]
    stored = arrays(out, tables)
    assert sorted(stored) == sorted(tables.slices["slice_key"])
    for row in tables.slices.iter_rows(named=True):
        digest = hashlib.sha256(stored[row["slice_key"]].tobytes()).hexdigest()
        assert digest == row["pixel_hash"]


def test_stored_pixels_are_the_preprocessed_source(batch, noise, make_dataset, tmp_path):
    pixels = [noise(i) for i in range(3)]
    for i, frame in enumerate(pixels):
        batch.add(make_dataset(frame, number=i + 1, position_mm=float(i)), patient="p", series="a")
    tables = run(batch, tmp_path / "out")
    row = tables.slices.row(1, named=True)
    expected = preprocess(
        pixels[1].astype(np.float32), (row["window_low"], row["window_high"]), 32, quantum=quantum_of(row)
    )
    np.testing.assert_array_equal(arrays(tmp_path / "out", tables)[row["slice_key"]], expected.array)
    everything = np.sort(np.concatenate([p.ravel() for p in pixels]))
    assert row["window_low"] == pytest.approx(np.percentile(everything, 0.5), abs=2)
    assert row["window_high"] == pytest.approx(np.percentile(everything, 99.5), abs=2)
    assert tables.slices["window_high"].n_unique() == 1


def test_the_same_input_gives_the_same_bytes(batch, noise, make_dataset, tmp_path):
    for i in range(20):
        for n in range(2):
            batch.add(
                make_dataset(noise(i), number=n, position_mm=n), patient=f"p{i % 7}", series=f"s{i:02d}"
            )
    first = run(batch, tmp_path / "one")
    second = run(batch, tmp_path / "two", SETTINGS.model_copy(update={"workers": 2}))
    assert first.slices.equals(second.slices)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.tar"))
    assert len(files) > 2
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    with tarfile.open(tmp_path / "one" / files[0]) as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname) for m in tar} == {(0, 0, 0, "")}


def test_slices_follow_the_normal_not_the_file_order(batch, noise, make_dataset, tmp_path):
    positions = [8.0, -4.0, 0.0, 12.0, 4.0]
    for i, position in enumerate(positions):
        batch.add(make_dataset(noise(i), number=i, position_mm=position), patient="p", series="a")
    slices = run(batch, tmp_path / "out").slices
    x = [row[0] for row in slices.sort("slice_index")["ipp_mm"]]
    assert x in (sorted(positions), sorted(positions, reverse=True))
    assert slices["slice_index"].sort().to_list() == [0, 1, 2, 3, 4]


def test_slices_without_geometry_keep_acquisition_order(batch, noise, make_dataset, tmp_path):
    for number in (3, 1, 2):
        ds = make_dataset(noise(number), number=number)
        del ds.ImagePositionPatient
        batch.add(ds, patient="p", series="a")
    slices = run(batch, tmp_path / "out").slices.sort("slice_index")
    assert [int(key, 16) for key in slices["instance_key"]] == [1, 2, 0]
    assert slices["ipp_mm"].null_count() == 3


def test_enhanced_multiframe_with_rescale_per_frame(batch, noise, make_dataset, tmp_path):
    ds = make_dataset(noise(0, (3, 24, 20)))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    for name in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness"):
        delattr(ds, name)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.8, 0.4], 3.0
    orientation.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for i, z in enumerate([10.0, 0.0, 5.0]):
        group, position, rescale = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [1.0, 2.0, z]
        rescale.RescaleSlope, rescale.RescaleIntercept = 1.0 + i, 100.0 * i
        group.PlanePositionSequence = Sequence([position])
        group.PixelValueTransformationSequence = Sequence([rescale])
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    batch.add(ds, patient="p", series="a")
    tables = run(batch, tmp_path / "out")
    slices = tables.slices.sort("slice_index")
    assert [p[2] for p in slices["ipp_mm"]] == [0.0, 5.0, 10.0]
    assert slices["frame"].to_list() == [1, 2, 0]
    assert slices["slice_key"].to_list()[0].endswith("-0001")
    row = slices.row(1, named=True)
    intensities = ds.pixel_array[2].astype(np.float32) * 3.0 + 200.0
    expected = preprocess(
        intensities,
        (row["window_low"], row["window_high"]),
        32,
        quantum=quantum_of(row),
        spacing_mm=(0.8, 0.4),
    )
    np.testing.assert_array_equal(arrays(tmp_path / "out", tables)[row["slice_key"]], expected.array)
    corner = to_patient_mm(row, to_output_px(row, np.array([[1.0, 1.0]])))
    np.testing.assert_allclose(corner, [[1.4, 2.8, 5.0]], atol=1e-9)


def test_signed_and_monochrome1_pixels(batch, make_dataset, tmp_path):
    ramp = (np.arange(24 * 24).reshape(24, 24) - 288).astype(np.int16)
    batch.add(make_dataset(ramp), patient="p", series="signed")
    inverted = make_dataset(ramp, PhotometricInterpretation="MONOCHROME1")
    batch.add(inverted, patient="p", series="inverted")
    tables = run(batch, tmp_path / "out")
    stored = arrays(tmp_path / "out", tables)
    rows = {row["series_key"]: row for row in tables.slices.iter_rows(named=True)}
    assert rows["signed"]["window_low"] < 0 < rows["signed"]["window_high"]
    assert rows["inverted"]["window_low"] > rows["inverted"]["window_high"]
    upright = stored[rows["signed"]["slice_key"]].astype(int)
    negative = stored[rows["inverted"]["slice_key"]].astype(int)
    np.testing.assert_allclose(upright, 65535 - negative, atol=1)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80"])
def test_compressed_pixels_equal_native_ones(batch, noise, make_dataset, tmp_path, uid):
    native, packed = make_dataset(noise(1, (64, 72))), make_dataset(noise(1, (64, 72)))
    packed.compress(uid, generate_instance_uid=False)
    batch.add(native, patient="p", series="a")
    batch.add(packed, patient="p", series="b")
    slices = run(batch, tmp_path / "out").slices
    assert slices.height == 2
    assert slices["pixel_hash"].n_unique() == 1


def test_a_series_larger_than_memory_allows_is_read_twice(batch, noise, make_dataset, tmp_path, monkeypatch):
    for i in range(3):
        batch.add(make_dataset(noise(i, (2, 24, 20)), number=i), patient="p", series="a")
    held = run(batch, tmp_path / "held").slices
    monkeypatch.setattr("spine_models.corpus.shards.series._HOLD_BYTES", 2500)
    again = run(batch, tmp_path / "again").slices
    assert again.height == 6
    assert again.equals(held)


def test_what_cannot_be_used_is_counted_by_reason(batch, noise, make_dataset, tmp_path):
    batch.add(make_dataset(noise(0)), patient="p", series="good")
    batch.add(make_dataset(np.full((24, 20), 7, np.uint16)), patient="p", series="flat")
    batch.add(make_dataset(noise(1)), patient="p", series="loc", contrast="localizer", route="other")
    batch.add(make_dataset(noise(1)), patient="p", series="mpr", contrast="derived", route="other")
    batch.add(make_dataset(noise(1)), patient="p", series="mosaic", image_type="ORIGINAL\\PRIMARY\\MOSAIC")
    batch.add(make_dataset(noise(1, (8, 8))), patient="p", series="tiny")
    batch.add(b"not dicom", patient="p", series="junk")
    short = make_dataset(noise(2))
    short.PixelData = short.PixelData[:100]
    batch.add(short, patient="p", series="short")
    batch.add(make_dataset(noise(3), number=2), patient="p", series="short")
    batch.add(make_dataset(noise(1), PhotometricInterpretation="PALETTE COLOR"), patient="p", series="colour")
    empty = make_dataset(noise(1))
    del empty.PixelData
    batch.add(empty, patient="p", series="empty")
    batch.add(make_dataset(noise(4)), patient="p", series="gone")
    (batch.folder / batch.instances["dicom_path"][-1]).unlink()
    tables = run(batch, tmp_path / "out")
    assert set(tables.slices["series_key"]) == {"good", "short"}
    assert dict(tables.skipped.select("series_key", "reason").iter_rows()) == {
        "flat": "constant",
        "loc": "localizer",
        "mpr": "derived",
        "mosaic": "mosaic",
        "tiny": "too_small",
        "junk": "unreadable",
        "short": "undecodable",
        "colour": "not_greyscale",
        "empty": "no_pixels",
        "gone": "missing_file",
    }
    used = set(tables.slices["instance_key"])
    assert len(used) + tables.skipped["n"].sum() == batch.instances.height


def test_an_abstained_series_goes_to_route_other(batch, noise, make_dataset, tmp_path):
    batch.add(make_dataset(noise(0)), patient="p", series="a", contrast=None, route="other", abstained=True)
    slices = run(batch, tmp_path / "out").slices
    assert slices["route"].to_list() == ["other"]
    assert slices["contrast"].to_list() == [None]


@pytest.mark.parametrize("region", ["other", "unknown", None])
def test_what_is_no_spine_never_reaches_train(batch, noise, make_dataset, tmp_path, region):
    patient = patient_of("train")
    batch.add(make_dataset(noise(0)), patient=patient, series="a", region=region)
    batch.add(make_dataset(noise(1)), patient=patient, series="b", region="cervical")
    kept = run(batch, tmp_path / "out")
    assert dict(kept.slices.select("series_key", "split").iter_rows()) == {"a": "outside", "b": "train"}
    assert kept.splits["split"].to_list() == ["train"]
    dropped = run(batch, tmp_path / "drop", SETTINGS.model_copy(update={"other_regions": "drop"}))
    assert set(dropped.slices["series_key"]) == {"b"}
    assert dropped.skipped["reason"].to_list() == ["region_other" if region == "other" else "region_unknown"]


def test_an_empty_batch_keeps_its_schemas(batch, tmp_path):
    tables = run(batch, tmp_path / "out")
    assert (tables.slices.schema, tables.splits.schema, tables.skipped.schema) == (SLICES, SPLITS, SKIPPED)
    assert tables.slices.height == tables.skipped.height == 0


def test_shards_are_never_appended_to(batch, noise, make_dataset, tmp_path):
    batch.add(make_dataset(noise(0)), patient="p", series="a")
    run(batch, tmp_path / "out")
    with pytest.raises(FileExistsError, match="fresh"):
        run(batch, tmp_path / "out")


# webdataset leaves the closing of its stream to the garbage collector
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
def test_plain_webdataset_opens_the_tars(batch, noise, make_dataset, tmp_path):
    for i in range(3):
        batch.add(make_dataset(noise(i), number=i, position_mm=i), patient="p", series="a")
    tables = run(batch, tmp_path / "out")
    url = str(tmp_path / "out" / tables.slices["shard"][0])
    samples = list(webdataset.WebDataset(url, shardshuffle=False))
    gc.collect()
    assert [s["__key__"] for s in samples] == tables.slices.sort("slice_index")["slice_key"].to_list()
    about = json.loads(samples[0]["json"])
    row = tables.slices.row(0, named=True)
    assert about == json.loads(json.dumps(row))


def test_the_split_ledger_holds_every_patient(batch, noise, make_dataset, tmp_path):
    batch.add(make_dataset(noise(0)), patient="p1", series="a")
    batch.add(make_dataset(noise(0)), patient="p2", series="b", contrast="localizer")
    splits = run(batch, tmp_path / "out").splits
    expected = assign_splits(["p1", "p2"], settings=SETTINGS)
    assert dict(splits.select("patient_key", "split").iter_rows()) == {
        k: v.value for k, v in expected.items()
    }
    assert isinstance(splits, pl.DataFrame)
