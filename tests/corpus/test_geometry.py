from __future__ import annotations

import math

import pytest
from pydicom.dataset import Dataset

from spine_models.corpus.geometry import (
    FrameGeometry,
    frame_geometry,
    is_mosaic,
    mosaic_tiles,
    order_along_normal,
    plane_of,
    series_geometry,
)
from spine_models.domain import Plane

SAGITTAL, AXIAL, CORONAL = (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1)


def tilted(degrees: float) -> tuple[float, ...]:
    """Axial slices angled in the sagittal plane, as along a disc."""
    angle = math.radians(degrees)
    return (1, 0, 0, 0, math.cos(angle), math.sin(angle))


@pytest.mark.parametrize(
    ("iop", "plane"),
    [
        (SAGITTAL, Plane.SAGITTAL),
        (AXIAL, Plane.AXIAL),
        (CORONAL, Plane.CORONAL),
        ([-c for c in SAGITTAL], Plane.SAGITTAL),
        (tilted(35), Plane.AXIAL),
        (tilted(-35), Plane.AXIAL),
        (tilted(45), Plane.OBLIQUE),
        (tilted(60), Plane.CORONAL),
        (None, Plane.UNKNOWN),
        ((0, 0, 0, 0, 0, 0), Plane.UNKNOWN),
        ((1, 0, 0, 1, 0, 0), Plane.UNKNOWN),
        ((math.nan, 0, 0, 0, 1, 0), Plane.UNKNOWN),
        ((1, 0, 0), Plane.UNKNOWN),
    ],
)
def test_plane_by_normal(iop, plane):
    assert plane_of(iop) is plane


def stack(iop, positions):
    return [FrameGeometry(tuple(iop), tuple(p)) for p in positions]


def test_regular_stack_with_repeated_positions():
    places = [(4.0 * i, 0, 0) for i in (2, 0, 1, 3)] * 2
    lies = series_geometry(stack(SAGITTAL, places))
    assert (lies.n_slices, lies.plane, lies.geometry) == (4, Plane.SAGITTAL, "regular")
    assert lies.slice_spacing_mm == pytest.approx(4.0)


def test_a_missing_slice_is_irregular():
    assert (
        series_geometry(stack(SAGITTAL, [(0, 0, 0), (4, 0, 0), (8, 0, 0), (16, 0, 0)])).geometry
        == "irregular"
    )


def test_spacing_is_along_the_normal_not_between_origins():
    angle = math.radians(30)
    step = (0, -4 * math.sin(angle), 4 * math.cos(angle))
    places = [tuple(i * s + shift for s, shift in zip(step, (0, 3.0 * i, 0), strict=True)) for i in range(4)]
    lies = series_geometry(stack(tilted(30), places))
    assert lies.plane is Plane.AXIAL
    assert lies.slice_spacing_mm == pytest.approx(4 - 3 * math.sin(angle))


def test_blocks_along_discs_are_axial_of_mixed_orientation():
    frames = stack(tilted(10), [(0, 0, z) for z in (0, 4)]) + stack(
        tilted(-20), [(0, 0, z) for z in (30, 34)]
    )
    lies = series_geometry(frames)
    assert (lies.n_slices, lies.plane, lies.slice_spacing_mm, lies.geometry) == (
        4,
        Plane.AXIAL,
        None,
        "mixed_orientation",
    )


def test_three_planes_have_none():
    frames = [FrameGeometry(iop, (0, 0, 0)) for iop in (SAGITTAL, AXIAL, CORONAL)]
    assert series_geometry(frames).plane is Plane.UNKNOWN


def test_unplaced_and_single_frames():
    assert series_geometry([FrameGeometry(None, None)] * 3) == series_geometry(
        [FrameGeometry(None, (1, 2, 3))] * 3
    )
    assert series_geometry([FrameGeometry(None, None)]).geometry == "unknown"
    assert series_geometry(stack(AXIAL, [(0, 0, 1)])).geometry == "single"
    assert series_geometry([]).n_slices == 0


def test_order_along_normal_is_stable_and_puts_unplaced_frames_last():
    ipps = [(9, 0, 0), None, (1, 0, 0), (5, 0, 0), (1, 0, 0)]
    order = order_along_normal([SAGITTAL] * 5, ipps)
    # The normal of (0,1,0),(0,0,-1) points to the patient's right, so x decreases.
    assert order == [0, 3, 2, 4, 1]
    assert order_along_normal([None] * 3, [None] * 3) == [0, 1, 2]


def test_frame_geometry_of_a_classic_header():
    ds = Dataset()
    ds.ImageOrientationPatient, ds.ImagePositionPatient = list(AXIAL), [1, 2, 3]
    ds.PixelSpacing, ds.SliceThickness = [0.5, 0.6], "3.5"
    assert frame_geometry(ds) == [FrameGeometry(tuple(map(float, AXIAL)), (1.0, 2.0, 3.0), (0.5, 0.6), 3.5)]


def test_mosaics_by_image_type_or_private_count():
    ds = Dataset()
    assert not is_mosaic(ds)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    assert is_mosaic(ds)
    other = Dataset()
    other.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 30)
    assert is_mosaic(other)
    assert mosaic_tiles(other) == 30
    moved = Dataset()
    moved.private_block(0x0019, "ANOTHER MAKER", create=True).add_new(0x0A, "US", 7)
    moved.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 30)
    assert mosaic_tiles(moved) == 30
