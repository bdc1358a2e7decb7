"""Mosaics: every slice with its own pixels at its own place, from the scanner's file to the shard; nothing guessed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from spine_models.config import ArchiveSettings, DeidSettings, ShardSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.deid import deidentify_batch
from spine_models.corpus.sequences.tables import SERIES
from spine_models.corpus.shards import read_stored, to_patient_mm, write_shards
from spine_models.domain import Plane, Region
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.dicom import write
from spine_models.phantom.dicom.write import write_series
from spine_models.phantom.records.plants import identify
from spine_models.phantom.scanner.examination import Frame, Order, examine
from tests.phantom.dicom.conftest import scanner_of, study_on

SETTINGS = ShardSettings(size_px=32, workers=1)
AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def sheet_of(tiles: np.ndarray, side: int) -> np.ndarray:
    """Tiles [N, H, W] row by row on a square of side x side."""
    filled = np.concatenate([tiles, np.zeros((side * side - len(tiles), *tiles.shape[1:]), tiles.dtype)])
    rows, columns = tiles.shape[1:]
    return filled.reshape(side, side, rows, columns).swapaxes(1, 2).reshape(side * rows, side * columns)


def mosaic(make_dataset, tiles: np.ndarray, **attributes: object):
    return make_dataset(
        sheet_of(tiles, 3),
        ImageOrientationPatient=AXIAL,
        # The first tile's corner is one tile of 20 x 24 px of half a millimetre further in.
        ImagePositionPatient=[100.0 - 10.0, -50.0 - 12.0, 7.0],
        SpacingBetweenSlices=4.5,
        **attributes,
    )


FACTS = {"image_type": "ORIGINAL\\PRIMARY\\M\\MOSAIC", "mosaic_tiles": 7, "mosaic_order": 1}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("hold_bytes", [1 << 30, 0])
def test_every_tile_is_a_slice_at_its_place(
    batch, noise, make_dataset, tmp_path, monkeypatch, order, hold_bytes
):
    monkeypatch.setattr("spine_models.corpus.shards.series._HOLD_BYTES", hold_bytes)
    volumes = [noise(n, (7, 24, 20)) for n in range(2)]
    for number, tiles in enumerate(volumes):
        ds = mosaic(make_dataset, tiles, number=number)
        batch.add(ds, patient="p", series="a", **FACTS | {"mosaic_order": order})
    tables = write_shards(
        batch.instances, batch.series, dicom=batch.folder, out=tmp_path / "out", settings=SETTINGS
    )
    assert tables.skipped.is_empty()
    assert tables.slices.height == 14
    # Both sheets' slices of one place follow each other, and places run along the normal.
    heights = [row["ipp_mm"][2] for row in tables.slices.sort("slice_index").iter_rows(named=True)]
    assert heights == sorted(heights)
    for row in tables.slices.iter_rows(named=True):
        assert row["ipp_mm"] == pytest.approx([100.0, -50.0, 7.0 + order * 4.5 * row["frame"]])
        assert (row["source_rows"], row["source_columns"]) == (24, 20)
        assert row["slice_thickness_mm"] == 4.0
    quality = tables.quality.row(0, named=True)
    assert (quality["n_slices"], quality["slice_spacing_mm"], quality["repeated_positions"]) == (14, 4.5, 7)


def test_slices_of_a_mosaic_equal_those_of_single_images(batch, noise, make_dataset, tmp_path):
    tiles = noise(3, (7, 24, 20))
    batch.add(mosaic(make_dataset, tiles), patient="p", series="sheet", **FACTS)
    for n, tile in enumerate(tiles):
        place = {"ImagePositionPatient": [100.0, -50.0, 7.0 + 4.5 * n], "ImageOrientationPatient": AXIAL}
        batch.add(make_dataset(tile, number=n, **place), patient="p", series="single")
    slices = write_shards(
        batch.instances, batch.series, dicom=batch.folder, out=tmp_path / "out", settings=SETTINGS
    ).slices
    same = (
        "slice_index",
        "pixel_hash",
        "stored_hash",
        "ipp_mm",
        "output_ipp_mm",
        "window_low",
        "window_high",
    )
    sheet, single = (slices.filter(series_key=key).select(same) for key in ("sheet", "single"))
    assert sheet.equals(single)


@pytest.mark.parametrize(
    ("facts", "without"),
    [
        ({"mosaic_tiles": None}, ()),
        ({"mosaic_order": None}, ()),
        ({"mosaic_tiles": 17}, ()),
        ({"mosaic_tiles": 0}, ()),
        ({}, ("SpacingBetweenSlices",)),
        ({}, ("ImagePositionPatient",)),
        ({}, ("ImageOrientationPatient",)),
        ({}, ("PixelSpacing",)),
    ],
)
def test_a_mosaic_that_says_too_little_is_left_out(batch, noise, make_dataset, tmp_path, facts, without):
    ds = mosaic(make_dataset, noise(0, (7, 24, 20)))
    for keyword in without:
        delattr(ds, keyword)
    batch.add(ds, patient="p", series="a", **FACTS | facts)
    tables = write_shards(
        batch.instances, batch.series, dicom=batch.folder, out=tmp_path / "out", settings=SETTINGS
    )
    assert tables.slices.is_empty()
    assert tables.skipped.select("reason", "n").rows() == [("mosaic", 1)]


def test_from_the_scanner_to_the_shard(tmp_path, monkeypatch):
    """The phantom's mosaics, indexed and de-identified, against the frames that were acquired."""
    monkeypatch.setattr(write, "MOSAIC", 1.0)
    scanner = scanner_of("Siemens", generation="VE")
    spine = make_spine(Region.LUMBAR, [], np.random.default_rng(5), variants=0)
    acquired = examine(spine, [Order("DWI", Plane.SAGITTAL)], 1.5, np.random.default_rng(1))[0]
    folder = tmp_path / "inbox" / "dicom"
    folder.mkdir(parents=True)
    written = write_series(
        folder,
        study_on(scanner, 1),
        acquired,
        3,
        np.random.default_rng(9),
        identify=identify,
        damage_rate=0.0,
    )
    assert written.layout == "mosaic"
    ledger = scan_inbox(tmp_path / "inbox", cohort="internal", ledger=None, settings=ArchiveSettings())
    archive = index_batch(ledger, "internal-0001", settings=ArchiveSettings())
    released = deidentify_batch(
        archive,
        key=b"a key of at least thirty-two bytes",
        out=tmp_path / "dicom",
        settings=DeidSettings(workers=1),
    )
    instances = released.instances
    assert instances["mosaic_tiles"].drop_nulls().len() == instances.height == len(written.files)
    out = _shards(instances, tmp_path, acquired.frames[0].grid.matrix)
    assert _shown(out, acquired.frames, tmp_path / "out") == list(range(len(acquired.frames)))


def _shards(instances: pl.DataFrame, root: Path, size_px: int) -> pl.DataFrame:
    who = instances.select("batch_key", "patient_key", "study_key", "series_key").row(0, named=True)
    known = who | {"contrast": "DWI", "route": "dwi", "plane": "sagittal", "region": "lumbar"}
    tables = write_shards(
        instances,
        pl.DataFrame([known], schema=SERIES),
        dicom=root / "dicom",
        out=root / "out",
        settings=SETTINGS.model_copy(update={"size_px": size_px}),
    )
    assert tables.skipped.is_empty()
    return tables.slices


def _shown(slices: pl.DataFrame, frames: Sequence[Frame], out: Path) -> list[int]:
    """Which frame of the acquisition every slice is, by its pixels; each lies where that frame was taken."""
    held = dict(read_stored(sorted(out.rglob("*.tar"))))
    numbers = []
    for row in slices.iter_rows(named=True):
        seen = np.rint(held[row["slice_key"]].intensities())
        number = next(n for n, frame in enumerate(frames) if np.array_equal(frame.pixels, seen))
        grid = frames[number].grid
        assert row["iop"] == pytest.approx(list(grid.iop), abs=1e-4)
        assert row["ipp_mm"] == pytest.approx(list(grid.ipp_mm), abs=1e-2)
        assert to_patient_mm(row, np.zeros((1, 2)))[0] == pytest.approx(list(grid.ipp_mm), abs=1e-2)
        numbers.append(number)
    return sorted(numbers)
