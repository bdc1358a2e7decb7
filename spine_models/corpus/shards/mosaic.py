"""The slices of a mosaic: the tiles of its one sheet, and where each lies in the patient.

Belongs here: cutting a decoded sheet, what must be known for it. Does not belong here: the arithmetic of places
(``corpus.frames``), reading private elements (``archive`` does, before they are removed).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pydicom

from spine_models.corpus.frames import tile_geometry, tile_shape
from spine_models.corpus.geometry import FrameGeometry, frame_geometry, slice_normal
from spine_models.corpus.header import numbers_of, read_value
from spine_models.corpus.shards.pixels import Frame, PixelsError

REASON = "mosaic"
"""Of a ``PixelsError``: the tiles of a sheet cannot be told apart or placed."""


@dataclass(frozen=True)
class Sheet:
    """What the index says of a mosaic, as in ``deid.INSTANCES``; each part null where the scanner did not say it."""

    tiles: int | None
    order: int | None


def tile_places(ds: pydicom.Dataset, sheet: Sheet) -> list[FrameGeometry]:
    """Where every tile lies, in stored order.

    Nothing is guessed: without the direction or the distance of its slices a mosaic would be a volume of the wrong
    height, or upside down.

    Raises:
        PixelsError: ``mosaic`` where their number, order, distance or the sheet's own place is missing.
    """
    normal = slice_normal(frame_geometry(ds)[0].iop)
    gap = numbers_of(read_value(ds, "SpacingBetweenSlices"))
    if sheet.order is None or normal is None or gap is None or gap[0] <= 0:
        raise PixelsError(REASON)
    places = tile_geometry(ds, sheet.tiles, tuple(sheet.order * n for n in normal), gap[0])
    if not places:
        raise PixelsError(REASON)
    return places


def cut_tiles(frame: Frame, tiles: int) -> Iterator[Frame]:
    """The slices of a decoded sheet, row by row; what fills up its square is left out.

    Raises:
        PixelsError: ``mosaic`` where the tiles do not divide the sheet.
    """
    shape = tile_shape(*frame.stored.shape, tiles)
    if shape is None:
        raise PixelsError(REASON)
    rows, columns = shape
    edge = math.ceil(math.sqrt(tiles))
    for tile in range(tiles):
        top, left = tile // edge * rows, tile % edge * columns
        # A copy, so that a slice that is kept does not keep its sheet.
        yield replace(
            frame, stored=np.ascontiguousarray(frame.stored[top : top + rows, left : left + columns])
        )
