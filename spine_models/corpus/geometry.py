"""Planes, slice order and slice spacing in patient coordinates (LPS, millimetres).

Belongs here: geometry that archive, sequences and shards must judge alike, of frames and of series.
Does not belong here: resampling, pixel data, or vertebral levels.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spine_models.corpus.csa import csa_values
from spine_models.corpus.header import (
    Header,
    frame_items,
    functional_group_items,
    numbers_of,
    private_value,
    read_value,
    text_of,
)
from spine_models.domain import Plane

OBLIQUE_ABOVE_DEGREES: Final = 36.0
"""Axial slices angled along a disc (up to about 35 degrees at L5-S1) are still axial."""

_PLANES: Final = (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)
_SAME_DIRECTION: Final = math.cos(math.radians(2.0))
_SAME_POSITION_MM: Final = 0.05
_REGULAR_TOLERANCE: Final = 0.05
MAX_FRAMES: Final = 20_000

Vector = tuple[float, ...]


@dataclass(frozen=True)
class FrameGeometry:
    """Where one frame lies; each part is null where the header does not say.

    Attributes:
        iop: six direction cosines (of increasing column, then of increasing row).
        ipp_mm: centre of the first voxel.
        pixel_spacing_mm: between rows, between columns.
        slice_thickness_mm: nominal thickness.
    """

    iop: Vector | None
    ipp_mm: Vector | None
    pixel_spacing_mm: Vector | None = None
    slice_thickness_mm: float | None = None


@dataclass(frozen=True)
class SeriesGeometry:
    """How the frames of a series lie to each other; `geometry` as in ``archive.SERIES``."""

    n_slices: int
    plane: Plane
    slice_spacing_mm: float | None
    geometry: str


def slice_normal(iop: Sequence[float] | None) -> Vector | None:
    """Unit normal of direction cosines ``[6]``; null when they are absent, not finite or not a plane."""
    if iop is None or len(iop) != 6 or not all(math.isfinite(c) for c in iop):
        return None
    a, b, c, d, e, f = iop
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    length = math.sqrt(sum(n * n for n in normal))
    # Two unit vectors at right angles have a product of length one; far from it, these are no directions.
    if not 0.8 < length < 1.25:
        return None
    return tuple(n / length for n in normal)


def plane_of(iop: Sequence[float] | None) -> Plane:
    """Plane by the axis nearest to the slice normal; oblique `OBLIQUE_ABOVE_DEGREES` or more from all."""
    normal = slice_normal(iop)
    if normal is None:
        return Plane.UNKNOWN
    axis = max(range(3), key=lambda i: abs(normal[i]))
    angle = math.degrees(math.acos(min(1.0, abs(normal[axis]))))
    return _PLANES[axis] if angle <= OBLIQUE_ABOVE_DEGREES else Plane.OBLIQUE


def frame_geometry(ds: Header) -> list[FrameGeometry]:
    """Geometry of every frame in stored order: one entry for a classic object, one a frame for enhanced.

    Frames of an enhanced object beyond its per-frame items lie nowhere; items beyond its frames are ignored.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # malformed values are expected here and become nulls
        items = min(frame_items(ds), MAX_FRAMES)
        if not items:
            return [geometry_of([ds])]
        frames = stored_frames(ds, 1)
        placed = [geometry_of([*functional_group_items(ds, n), ds]) for n in range(min(items, frames))]
        return placed + [FrameGeometry(None, None)] * (frames - len(placed))


def stored_frames(ds: Header, absent: int) -> int:
    """NumberOfFrames, at most `MAX_FRAMES`; ``absent`` where it is missing or no number."""
    numbers = numbers_of(read_value(ds, "NumberOfFrames"))
    return min(int(numbers[0]), MAX_FRAMES) if numbers and numbers[0] >= 1 else absent


def order_along_normal(
    iops: Sequence[Sequence[float] | None], ipps: Sequence[Sequence[float] | None]
) -> list[int]:
    """Indices of the frames along the first frame's normal; ties and unplaced frames keep their order.

    Sagittal slices therefore run towards the patient's right and axial ones towards the head for the usual
    orientations (LPS axes). Frames without a position come last.
    """
    normal = next((n for iop in iops if (n := slice_normal(iop)) is not None), None)
    if normal is None:
        return list(range(len(ipps)))
    return sorted(
        range(len(ipps)),
        key=lambda i: (math.inf if ipps[i] is None else round(_dot(ipps[i], normal), 4), i),
    )


def series_geometry(frames: Sequence[FrameGeometry]) -> SeriesGeometry:
    """Number of distinct slices, plane, spacing of slice centres and regularity of a series' frames.

    Frames at the same place (echoes, b-values, time points) count as one slice. Spacing is the median
    distance along the normal; a series whose distances differ from it by more than 5 % is ``irregular``; one
    whose normals differ by more than 2 degrees is ``mixed_orientation`` and has no spacing.
    """
    placed = [(n, f) for f in frames if (n := slice_normal(f.iop)) is not None and _is_place(f.ipp_mm)]
    if not placed or len(placed) < len(frames):
        planes = {plane_of(f.iop) for f in frames}
        plane = planes.pop() if len(planes) == 1 else Plane.UNKNOWN
        return SeriesGeometry(len(frames), plane, None, "unknown")
    first = placed[0][0]
    if any(abs(_dot(normal, first)) < _SAME_DIRECTION for normal, _ in placed):
        distinct = {
            (*(round(n, 2) for n in normal), *(round(p, 1) for p in f.ipp_mm)) for normal, f in placed
        }
        return SeriesGeometry(len(distinct), _majority_plane(frames), None, "mixed_orientation")
    distances = sorted(_dot(f.ipp_mm, first) for _, f in placed)
    distinct = [distances[0]]
    for distance in distances[1:]:
        if distance - distinct[-1] > _SAME_POSITION_MM:
            distinct.append(distance)
    plane = plane_of(placed[0][1].iop)
    if len(distinct) == 1:
        return SeriesGeometry(1, plane, None, "single")
    gaps = [b - a for a, b in itertools.pairwise(distinct)]
    median = sorted(gaps)[len(gaps) // 2]
    regular = max(abs(gap - median) for gap in gaps) <= max(_REGULAR_TOLERANCE * median, _SAME_POSITION_MM)
    return SeriesGeometry(len(distinct), plane, median, "regular" if regular else "irregular")


def is_mosaic(ds: Header) -> bool:
    """Whether one frame holds the tiles of a whole volume (Siemens mosaic), which is not a slice."""
    if "MOSAIC" in (text_of(read_value(ds, "ImageType")) or "").upper():
        return True
    return (mosaic_tiles(ds) or 1) > 1


def mosaic_tiles(ds: Header) -> int | None:
    """Number of slices in a Siemens mosaic from its private header or its CSA header; null when both are silent."""
    value = private_value(ds, 0x0019, "SIEMENS MR HEADER", 0x0A)
    if isinstance(value, bytes):
        value = int.from_bytes(value, "little") if len(value) == 2 else None
    numbers = numbers_of(value)
    if numbers and 0 < numbers[0] < MAX_FRAMES:
        return int(numbers[0])
    texts = _csa(ds, "NumberOfImagesInMosaic")
    return int(texts[0]) if texts and texts[0].isdecimal() and 0 < int(texts[0]) < MAX_FRAMES else None


def mosaic_normal(ds: Header) -> Vector | None:
    """Direction in which the tiles of a Siemens mosaic follow each other, unit length; null when it is not said."""
    numbers = numbers_of(_csa(ds, "SliceNormalVector")) or []
    length = math.sqrt(sum(n * n for n in numbers))
    return tuple(n / length for n in numbers) if len(numbers) == 3 and 0.8 < length < 1.25 else None


def _csa(ds: Header, name: str) -> list[str]:
    value = private_value(ds, 0x0029, "SIEMENS CSA HEADER", 0x10)
    return csa_values(value, name) if isinstance(value, bytes) else []


def geometry_of(places: Sequence[Header]) -> FrameGeometry:
    """Geometry of one frame from the places that may state it, the most specific first."""

    def vector(keyword: str, size: int) -> Vector | None:
        for place in places:
            numbers = numbers_of(read_value(place, keyword))
            if numbers is not None and len(numbers) == size:
                return tuple(numbers)
        return None

    spacing = vector("PixelSpacing", 2)
    thickness = vector("SliceThickness", 1)
    return FrameGeometry(
        iop=vector("ImageOrientationPatient", 6),
        ipp_mm=vector("ImagePositionPatient", 3),
        pixel_spacing_mm=spacing if spacing is not None and min(spacing) > 0 else None,
        slice_thickness_mm=thickness[0] if thickness is not None and thickness[0] >= 0 else None,
    )


def _majority_plane(frames: Sequence[FrameGeometry]) -> Plane:
    plane, count = Counter(plane_of(f.iop) for f in frames).most_common(1)[0]
    return plane if count >= 0.8 * len(frames) else Plane.UNKNOWN


def _is_place(point: Sequence[float] | None) -> bool:
    return point is not None and len(point) == 3 and all(math.isfinite(p) for p in point)


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
