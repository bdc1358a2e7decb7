"""Series as they leave the scanner.

Belongs here: the images of one series and what is known of them. Does not belong here: how they were made
(``examination``, ``derived``), how they are written (``dicom``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spine_models.domain import Plane
from spine_models.phantom.scanner.planning import Slice
from spine_models.phantom.scanner.protocol import Sequence


@dataclass(frozen=True)
class Frame:
    """One image: its grid in patient LPS, its pixels uint16 [rows, cols], its weighting and echo where many."""

    grid: Slice
    pixels: np.ndarray
    b_value: float | None = None
    te_ms: float | None = None


@dataclass(frozen=True)
class Acquired:
    """One series as it leaves the scanner, frames in the order of acquisition.

    Attributes:
        name: contrast.
        plane: plane of the stack; ``OBLIQUE`` for a localizer of three planes.
        derivation: what it was computed as (ADC, SUB, MPR, MIP), if it was.
        dixon_group: number shared by the parts of one Dixon acquisition.
        bits_stored: bits that a pixel may use.
        motion: share of the phase-encoded lines displaced by motion, 0 none .. 1.
    """

    name: str
    plane: Plane
    sequence: Sequence
    thickness_mm: float
    spacing_mm: float
    frames: tuple[Frame, ...]
    derivation: str | None = None
    dixon_group: int | None = None
    bits_stored: int = 12
    motion: float = 0.0
