"""From labels to stored integers: partial volume, chemical shift, coil, motion, noise.

Belongs here: what a scanner adds to the signal of the tissues. Does not belong here: headers (``dicom``), anatomy,
the choice of sequences (``examination``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter

from spine_models.domain import Plane
from spine_models.phantom.body.anatomy import Spine
from spine_models.phantom.body.shapes import label
from spine_models.phantom.body.tissue import Tissue
from spine_models.phantom.scanner.planning import SUPERSAMPLING, Stack
from spine_models.phantom.scanner.protocol import Sequence
from spine_models.phantom.scanner.relaxation import lookup

FULL_SCALE: Final = 1400.0
MOTION_RATE: Final = 0.10
"""Share of series in which the patient moved."""
_MOST_LINES: Final = 0.3
_COPIES: Final = {"in": (1.0, 1.0), "opposed": (1.0, -1.0), "water": (1.0, 0.0), "fat": (0.0, 1.0)}


@dataclass(frozen=True)
class Conditions:
    """What one series suffers from; drawn once, so that the images of one acquisition share it.

    Attributes:
        bias: receive sensitivity [1 or n, n, n].
        noise: deviation of either channel, as a share of the bright signal.
        ghost: strength of the flow ghost.
        motion: share of phase-encoded lines taken while the patient was displaced.
        scale: stored units of the bright signal.
    """

    bias: np.ndarray
    noise: float
    ghost: float
    motion: float
    scale: float


def labels_of(spine: Spine, stack: Stack) -> np.ndarray:
    """Supersampled labels of a stack, int16 [slices, n * 2, n * 2]; shared by all its sequences."""
    return np.stack([label(spine, s.points(SUPERSAMPLING, stack.thickness_mm)) for s in stack.slices])


def draw_conditions(stack: Stack, size: int, field_t: float, rng: np.random.Generator) -> Conditions:
    """Coil, noise, ghost and motion of one series; noise falls with the field."""
    moved = rng.random() < MOTION_RATE
    return Conditions(
        bias=_coil(stack, size, rng) * _drift(size, rng),
        noise=float(rng.uniform(0.012, 0.024) * (1.5 / field_t) ** 0.5),
        ghost=float(rng.uniform(0, 0.02)),
        motion=float(rng.uniform(0.05, _MOST_LINES)) if moved else 0.0,
        scale=FULL_SCALE * float(rng.uniform(0.7, 1.3)),
    )


def weighted(
    spine: Spine, labels: np.ndarray, sequence: Sequence, field_t: float, b_value: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Water and fat of every voxel, signed, float32 [slices, n, n] each: partial volume over the supersamples.

    Fat lies displaced by a part of a pixel along the frequency direction, which is along the spine in sagittal and
    coronal stacks and front to back in axial ones.
    """
    tables = lookup(sequence, field_t, spine.dryness, b_value)
    water, fat = (table[labels] for table in tables)
    grain = _texture(labels.shape[1:], spine.texture_seed)
    marrow = (labels == Tissue.MARROW) | (labels == Tissue.FATTY_MARROW)
    modulation = np.where(marrow, 1 + 0.10 * grain, 1 + 0.03 * grain).astype(np.float32)
    water *= modulation
    fat *= modulation
    if sequence.kind == "se" and sequence.te_ms > 60:
        # Pulsating CSF loses signal in places; never so much that it looks like tissue.
        flow = np.clip(_texture(labels.shape[1:], spine.texture_seed + 1), 0, 2)
        water = np.where(labels == Tissue.CSF, water * (1 - 0.12 * flow), water)
    if sequence.dixon_part is None:
        fat = np.roll(fat, 1, axis=1)
    return _average(water), _average(fat)


def combine(water: np.ndarray, fat: np.ndarray, sequence: Sequence) -> np.ndarray:
    """The image of a sequence from its averaged water and fat: their sum, or the Dixon part; magnitude."""
    of_water, of_fat = _COPIES[sequence.dixon_part or "in"]
    return np.abs(of_water * water + of_fat * fat)


def degrade(
    images: np.ndarray, conditions: Conditions, rng: np.random.Generator, *, bright: float | None = None
) -> np.ndarray:
    """What the receiver makes of ideal magnitude images, float32 [slices, n, n], in stored units.

    Args:
        images: ideal magnitudes.
        conditions: of the series.
        rng: of noise and of the lines that moved.
        bright: signal that becomes the series' scale; by default the 99.5th percentile of ``images``.
    """
    images = images * conditions.bias
    bright = bright or float(np.percentile(images, 99.5))
    size = images.shape[1]
    images = images + conditions.ghost * np.roll(images, size // 3, axis=1)
    if conditions.motion:
        images = _moved(images, conditions.motion, rng)
    noise = conditions.noise * bright
    real = images + rng.normal(0, noise, images.shape)
    imaginary = rng.normal(0, noise, images.shape)
    return np.hypot(real, imaginary) * (conditions.scale / bright)


def stored(images: np.ndarray) -> np.ndarray:
    """As the file holds it: uint16 of at most 12 bits."""
    return np.clip(images, 0, 4095).astype(np.uint16)


def blurred(images: np.ndarray, pixels: float) -> np.ndarray:
    """Images of a coarser acquisition on the same grid; deviation of the point spread in pixels."""
    return gaussian_filter(images, (0, pixels, pixels))


def _average(images: np.ndarray) -> np.ndarray:
    count, size = images.shape[0], images.shape[1] // SUPERSAMPLING
    return images.reshape(count, size, SUPERSAMPLING, size, SUPERSAMPLING).mean(axis=(2, 4))


def _moved(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Phase-encoded lines in a few bursts are of a displaced patient; the phase direction is along the columns."""
    lines = np.fft.fft(images, axis=1)
    size = images.shape[1]
    frequency = np.fft.fftfreq(size)
    shift = np.zeros(size)
    burst = max(2, size // 24)
    for start in rng.choice(size, max(1, round(share * size / burst)), replace=False):
        shift[(start + np.arange(burst)) % size] = rng.normal(0, 2.0)
    shift[np.abs(frequency) < 0.012] = 0  # the middle of k-space sets where the image lies
    return np.abs(np.fft.ifft(lines * np.exp(-2j * np.pi * frequency * shift)[None, :, None], axis=1))


def _texture(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Smooth zero-mean texture of unit deviation, the same for every sequence of a patient."""
    coarse = np.random.default_rng(seed).normal(0, 1, (shape[0] // 4, shape[1] // 4)).astype(np.float32)
    fine = np.repeat(np.repeat(coarse, 4, axis=0), 4, axis=1)
    smooth = (fine + np.roll(fine, 2, 0) + np.roll(fine, 2, 1) + np.roll(fine, (2, 2), (0, 1))) / 4
    return smooth / smooth.std()


def _coil(stack: Stack, size: int, rng: np.random.Generator) -> np.ndarray:
    """Surface coil behind the back: brighter there, falling to about half in front."""
    depth = np.linspace(0, 1, size, dtype=np.float32)
    fall = 0.55 + 0.75 * depth ** float(rng.uniform(1.0, 1.8))
    along = 1 + 0.12 * np.cos(np.pi * (depth - float(rng.uniform(0.3, 0.7))))
    if stack.plane is Plane.SAGITTAL:
        return fall[None, None, :] * along[None, :, None]
    if stack.plane is Plane.AXIAL:
        return fall[None, :, None] * along[None, None, :]
    return along[None, :, None] * np.ones_like(along)[None, None, :]


def _drift(size: int, rng: np.random.Generator) -> np.ndarray:
    """Slow bias over the image by transmit field and dielectric effects, within about a tenth; [1, n, n]."""
    x, y = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    a, b, c, d = rng.uniform(-0.05, 0.05, 4)
    return (1 + a * x + b * y + c * x * y + d * (x**2 + y**2 - 0.67))[None].astype(np.float32)
