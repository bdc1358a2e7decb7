"""Siemens mosaics: all slices of one diffusion weighting as tiles of one large image.

Belongs here: tiling, and the place that the header then states. Does not belong here: classic images (``headers``).

The stated position is that of a single image of the mosaic's size around the first slice, so readers move it by half
the difference of the sizes (as public converters do) to find the first tile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from spine_models.phantom.dicom.headers import image_header, put, shared_elements
from spine_models.phantom.dicom.private import add_numbers
from spine_models.phantom.dicom.series import SeriesPlan
from spine_models.phantom.scanner.examination import Frame


@dataclass(frozen=True)
class Mosaic:
    """One weighting as one image: header, pixels uint16 [n * rows, n * columns], frames in tile order."""

    header: Dataset
    pixels: np.ndarray
    frames: tuple[int, ...]


def is_stack(frames: Sequence[Frame]) -> bool:
    """Whether the frames of one weighting are parallel and evenly spaced along their normal, as a mosaic implies."""
    grids = [frame.grid for frame in frames if frame.b_value == frames[0].b_value]
    places = np.array([grid.ipp_mm for grid in grids])
    normal = np.cross(grids[0].iop[:3], grids[0].iop[3:])
    steps = np.diff(places, axis=0)
    along = steps @ normal
    return (
        len(grids) > 1
        and all(np.allclose(grid.iop, grids[0].iop) for grid in grids)
        and np.allclose(along, along[0])
        and np.allclose(steps, along[:, None] * normal)
    )


def mosaics(plan: SeriesPlan) -> list[Mosaic]:
    """One image for each b-value of a series."""
    frames = plan.acquired.frames
    values = dict(plan.values)
    told = values.get("ImageType", [])
    values["ImageType"] = [*(told if isinstance(told, list) else [told]), "MOSAIC"]
    weightings = list(dict.fromkeys(frame.b_value for frame in frames))
    made = []
    for number, weighting in enumerate(weightings):
        members = tuple(n for n, frame in enumerate(frames) if frame.b_value == weighting)
        image = _tiled([frames[n].pixels for n in members])
        whole = replace(plan, acquired=replace(plan.acquired, frames=(_placed(frames[members[0]], image),)))
        header = image_header(whole, shared_elements(values), 0)
        put(header, "SOPInstanceUID", f"{plan.uid}.{number + 1}")
        put(header, "InstanceNumber", number + 1)
        add_numbers(header, whole, whole.acquired.frames[0], tiles=len(members))
        made.append(Mosaic(header, image, members))
    return made


def _tiled(slices: Sequence[np.ndarray]) -> np.ndarray:
    """Slices row by row in the smallest square of tiles; what is left over is zero."""
    side = math.ceil(math.sqrt(len(slices)))
    rows, columns = slices[0].shape
    image = np.zeros((side * rows, side * columns), np.uint16)
    for n, pixels in enumerate(slices):
        top, left = n // side * rows, n % side * columns
        image[top : top + rows, left : left + columns] = pixels
    return image


def _placed(first: Frame, image: np.ndarray) -> Frame:
    grid = first.grid
    row, column = np.array(grid.iop[:3]), np.array(grid.iop[3:])
    extra = np.array([image.shape[1] - first.pixels.shape[1], image.shape[0] - first.pixels.shape[0]]) / 2
    corner = np.asarray(grid.ipp_mm) - grid.spacing_mm * (extra[0] * row + extra[1] * column)
    return replace(first, grid=replace(grid, ipp_mm=corner), pixels=image)
