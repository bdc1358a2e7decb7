"""A pixel of a preprocessed slice, its source pixel, its voxel in the patient, and back."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from spine_models.config import ShardSettings
from spine_models.corpus.shards import from_patient_mm, read_stored, to_output_px, to_patient_mm, write_shards


def orientation(angle: float, tilt: float) -> list[float]:
    rows = np.array([np.cos(angle), np.sin(angle), 0.0])
    down = np.array([-np.sin(angle) * np.cos(tilt), np.cos(angle) * np.cos(tilt), np.sin(tilt)])
    return [*rows, *down]


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (50, 50)])
@pytest.mark.parametrize("spacing", [(0.5, 0.5), (1.2, 0.4), (0.3, 0.9)])
def test_a_voxel_found_in_the_shard_is_where_the_scanner_put_it(
    batch, make_dataset, tmp_path, shape, spacing
):
    iop = orientation(0.3, 1.1)
    rng = np.random.default_rng(0)
    for number, z in enumerate((0.0, 4.0)):
        pixels = rng.integers(0, 5, shape).astype(np.uint16)
        pixels[12, 30] = 4000
        ds = make_dataset(pixels, number=number)
        ds.ImageOrientationPatient, ds.PixelSpacing = iop, list(spacing)
        ds.ImagePositionPatient = [-20.0 + z, 15.0, 7.0 - z]
        batch.add(ds, patient="p", series="a")
    settings = ShardSettings(size_px=96, workers=1)
    slices = write_shards(
        batch.instances, batch.series, dicom=batch.folder, out=tmp_path / "out", settings=settings
    ).slices
    stored = dict(read_stored(sorted((tmp_path / "out").rglob("*.tar"))))
    for row in slices.iter_rows(named=True):
        source = pydicom.dcmread(batch.folder / f"{row['instance_key']}.dcm")
        ipp = np.array(source.ImagePositionPatient, float)
        x, y = np.array(iop[:3]), np.array(iop[3:])
        truth = ipp + 12 * spacing[0] * y + 30 * spacing[1] * x
        weights = stored[row["slice_key"]].intensities().astype(float)
        weights[weights < 400] = 0
        rows, columns = np.indices(weights.shape)
        centre = np.array([[(rows * weights).sum(), (columns * weights).sum()]]) / weights.sum()
        np.testing.assert_allclose(to_patient_mm(row, centre)[0], truth, atol=0.35 * max(spacing))
        back, off_plane = from_patient_mm(row, truth[None])
        np.testing.assert_allclose(back, to_output_px(row, np.array([[12.0, 30.0]])), atol=1e-9)
        assert abs(off_plane[0]) < 1e-9


def test_patient_points_round_trip_and_know_their_distance_from_the_plane(
    batch, noise, make_dataset, tmp_path
):
    ds = make_dataset(noise(0, (33, 57)), PixelSpacing=[0.7, 0.35])
    ds.ImageOrientationPatient = orientation(-0.8, 0.4)
    batch.add(ds, patient="p", series="a")
    settings = ShardSettings(size_px=64, workers=1)
    row = write_shards(
        batch.instances, batch.series, dicom=batch.folder, out=tmp_path / "out", settings=settings
    ).slices.row(0, named=True)
    points = np.random.default_rng(1).uniform(-5, 70, (30, 2))
    back, distance = from_patient_mm(row, to_patient_mm(row, points))
    np.testing.assert_allclose(back, points, atol=1e-9)
    np.testing.assert_allclose(distance, 0, atol=1e-9)
    normal = np.cross(row["iop"][:3], row["iop"][3:])
    _, lifted = from_patient_mm(row, to_patient_mm(row, points) + 3.0 * normal)
    np.testing.assert_allclose(lifted, 3.0, atol=1e-9)


def test_the_preprocessed_grid_is_an_image_plane_of_its_own(batch, noise, make_dataset, tmp_path):
    """DICOM's own formula over output_ipp_mm, output_spacing_mm and iop gives what the index's affine gives."""
    ds = make_dataset(noise(0, (40, 72)), PixelSpacing=[0.9, 0.6])
    batch.add(ds, patient="p", series="a")
    lost = make_dataset(noise(1), number=2)
    del lost.PixelSpacing
    batch.add(lost, patient="p", series="b")
    settings = ShardSettings(size_px=48, workers=1)
    slices = write_shards(
        batch.instances, batch.series, dicom=batch.folder, out=tmp_path / "out", settings=settings
    ).slices
    row = slices.filter(series_key="a").row(0, named=True)
    points = np.array([[0.0, 0.0], [10.0, 47.0], [31.5, 2.25]])
    along, down = np.array(row["iop"][:3]), np.array(row["iop"][3:])
    step = row["output_spacing_mm"]
    plane = np.array(row["output_ipp_mm"]) + points[:, :1] * step * down + points[:, 1:] * step * along
    np.testing.assert_allclose(plane, to_patient_mm(row, points), atol=1e-9)
    assert step == pytest.approx(72 * 0.6 / 48)
    without = slices.filter(series_key="b").row(0, named=True)
    assert (without["output_spacing_mm"], without["output_ipp_mm"]) == (None, None)
    with pytest.raises(ValueError, match="pixel_spacing_mm"):
        from_patient_mm(without, np.zeros((1, 3)))
