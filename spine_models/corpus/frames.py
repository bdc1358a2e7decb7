"""What differs between the frames of one object: place, stack, b-value, echo time, time point.

Belongs here: the functional groups of enhanced multi-frame objects (PS3.3 C.7.6.16), frame by frame, and the tiles of a
mosaic. Does not belong here: what all frames share (``header``), how frames lie to each other (``geometry``).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spine_models.corpus.geometry import (
    MAX_FRAMES,
    FrameGeometry,
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

    The position that a mosaic states is the corner of a slice as large as the whole sheet around the first tile's
    centre. Slices follow each other along the normal of the CSA header, else along that of the orientation.
    """
    tiles = mosaic_tiles(ds)
    sheet = frame_geometry(ds)[0]
    normal = mosaic_normal(ds) or slice_normal(sheet.iop)
    gap = numbers_of(read_value(ds, "SpacingBetweenSlices"))
    size = [numbers_of(read_value(ds, keyword)) for keyword in ("Rows", "Columns")]
    distance = gap[0] if gap else sheet.slice_thickness_mm
    if None in (tiles, normal, sheet.ipp_mm, sheet.pixel_spacing_mm, distance, *size):
        return []
    edge = math.ceil(math.sqrt(tiles))
    rows, columns = (int(n[0]) for n in size if n)
    if min(rows, columns) // edge < _MIN_TILE_PX or len(sheet.ipp_mm) != 3:
        return []
    down = (rows - rows // edge) / 2 * sheet.pixel_spacing_mm[0]
    across = (columns - columns // edge) / 2 * sheet.pixel_spacing_mm[1]
    corner = [
        p + across * sheet.iop[axis] + down * sheet.iop[axis + 3] for axis, p in enumerate(sheet.ipp_mm)
    ]
    return [
        FrameGeometry(sheet.iop, _along(corner, normal, tile * distance), sheet.pixel_spacing_mm, distance)
        for tile in range(tiles)
    ]


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
