"""What differs between the frames of one object: place, stack, b-value, echo time, time point.

Belongs here: the functional groups of enhanced multi-frame objects (PS3.3 C.7.6.16), frame by frame, and the tiles of a
mosaic. Does not belong here: what all frames share (``header``), how frames lie to each other (``geometry``).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from spine_models.corpus.geometry import (
    MAX_FRAMES,
    FrameGeometry,
    Vector,
    frame_geometry,
    geometry_of,
    mosaic_normal,
    mosaic_tiles,
    slice_normal,
    stored_frames,
)
from spine_models.corpus.header import (
    Header,
    b_value_of,
    frame_items,
    functional_group_items,
    numbers_of,
    read_value,
    text_of,
)

_MIN_TILE_PX: Final = 4
_SAME_DIRECTION: Final = math.cos(math.radians(2.0))


@dataclass(frozen=True)
class FrameFacts:
    """One frame; each part is null where the header does not say.

    Attributes:
        geometry: where it lies.
        stack: StackID; frames of one stack are parallel slices of one volume.
        position: InStackPositionNumber, from 1.
        dimensions: DimensionIndexValues, in the order of the object's DimensionIndexSequence.
        b_value: s/mm^2.
        te_ms: effective echo time.
        time_point: TemporalPositionIndex, from 1.
    """

    geometry: FrameGeometry
    stack: str | None = None
    position: int | None = None
    dimensions: tuple[int, ...] = ()
    b_value: float | None = None
    te_ms: float | None = None
    time_point: int | None = None


def frame_facts(ds: Header) -> list[FrameFacts]:
    """Facts of every frame in stored order: one entry for a classic object, one a frame for an enhanced one.

    An object with fewer per-frame items than frames has frames of which nothing is known; one of several frames
    without any has frames that lie nowhere, since its one position is true of one of them at most.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # malformed values are expected here and become nulls
        items = min(frame_items(ds), MAX_FRAMES)
        if not items:
            te, frames = numbers_of(read_value(ds, "EchoTime")), stored_frames(ds, 1)
            geometry = frame_geometry(ds)[0] if frames == 1 else FrameGeometry(None, None)
            return [FrameFacts(geometry, b_value=b_value_of(ds), te_ms=te[0] if te else None)] * frames
        frames = stored_frames(ds, 1)
        known = [_facts(ds, frame) for frame in range(min(items, frames))]
        return known + [FrameFacts(FrameGeometry(None, None))] * (frames - len(known))


def mosaic_geometry(ds: Header) -> list[FrameGeometry]:
    """Place of every tile of a Siemens mosaic, in stored order; empty where the header does not say enough.

    Slices follow each other along the normal of the CSA header, else along that of the orientation; a missing
    distance between slices is taken to be their thickness.
    """
    sheet = frame_geometry(ds)[0]
    normal = mosaic_normal(ds) or slice_normal(sheet.iop)
    gap = numbers_of(read_value(ds, "SpacingBetweenSlices"))
    return tile_geometry(ds, mosaic_tiles(ds), normal, gap[0] if gap else sheet.slice_thickness_mm)


def tile_geometry(
    ds: Header, tiles: int | None, normal: Vector | None, distance_mm: float | None
) -> list[FrameGeometry]:
    """Place of every tile of a mosaic; empty where anything is missing or the tiles do not fill the sheet evenly.

    The position that a mosaic states is the corner of a slice as large as the whole sheet around the first tile's
    centre.

    Args:
        ds: header of the sheet.
        tiles: how many of its tiles are slices; the tiles form the smallest square that holds them.
        normal: from one slice to the next, unit length.
        distance_mm: between the centres of neighbouring slices.
    """
    sheet = frame_geometry(ds)[0]
    shape = tile_shape(_whole(ds, "Rows"), _whole(ds, "Columns"), tiles)
    if None in (shape, normal, sheet.ipp_mm, sheet.iop, sheet.pixel_spacing_mm, distance_mm):
        return []
    down, across = (
        (size - tile) / 2 * spacing
        for size, tile, spacing in zip(
            (_whole(ds, "Rows"), _whole(ds, "Columns")), shape, sheet.pixel_spacing_mm, strict=True
        )
    )
    corner = [
        p + across * sheet.iop[axis] + down * sheet.iop[axis + 3] for axis, p in enumerate(sheet.ipp_mm)
    ]
    return [replace(sheet, ipp_mm=_along(corner, normal, tile * distance_mm)) for tile in range(tiles)]


def tile_shape(rows: int | None, columns: int | None, tiles: int | None) -> tuple[int, int] | None:
    """Rows and columns of one tile of a mosaic; null where its tiles do not divide the sheet."""
    if None in (rows, columns, tiles) or min(rows, columns, tiles) < 1:
        return None
    edge = math.ceil(math.sqrt(tiles))
    if rows % edge or columns % edge or min(rows, columns) // edge < _MIN_TILE_PX:
        return None
    return rows // edge, columns // edge


def mosaic_order(ds: Header) -> int | None:
    """Which way the slices of a mosaic follow each other: 1 along the normal of its orientation, -1 against it.

    Null where the CSA header names no direction, or one that is not the normal.
    """
    told, own = mosaic_normal(ds), slice_normal(frame_geometry(ds)[0].iop)
    if told is None or own is None:
        return None
    cosine = sum(a * b for a, b in zip(told, own, strict=True))
    return None if abs(cosine) < _SAME_DIRECTION else 1 if cosine > 0 else -1


def _whole(ds: Header, keyword: str) -> int | None:
    numbers = numbers_of(read_value(ds, keyword))
    return int(numbers[0]) if numbers else None


def _along(point: Sequence[float], direction: Sequence[float], distance: float) -> tuple[float, ...]:
    return tuple(p + d * distance for p, d in zip(point, direction, strict=True))


def _facts(ds: Header, frame: int) -> FrameFacts:
    groups = list(functional_group_items(ds, frame))

    def numbers(*keywords: str) -> list[float] | None:
        for keyword in keywords:
            for group in groups:
                found = numbers_of(read_value(group, keyword))
                if found is not None:
                    return found
        return None

    def whole(keyword: str) -> int | None:
        found = numbers(keyword)
        return int(found[0]) if found else None

    te = numbers("EffectiveEchoTime", "EchoTime")
    return FrameFacts(
        geometry=geometry_of([*groups, ds]),
        stack=next((t for g in groups if (t := text_of(read_value(g, "StackID")))), None),
        position=whole("InStackPositionNumber"),
        dimensions=tuple(int(n) for n in numbers("DimensionIndexValues") or ()),
        b_value=b_value_of(*groups),
        te_ms=te[0] if te else None,
        time_point=whole("TemporalPositionIndex"),
    )
