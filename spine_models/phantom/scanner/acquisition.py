"""Stacks of slices through a spine: geometry, partial volume, coil shading, flow, noise, ghosts.

Belongs here: from labels to stored integers. Does not belong here: headers (``vendors``), anatomy.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from spine_models.domain import Plane
from spine_models.phantom.body.anatomy import Spine
from spine_models.phantom.body.shapes import label
from spine_models.phantom.body.tissue import Tissue
from spine_models.phantom.scanner.planning import SUPERSAMPLING, Stack
from spine_models.phantom.scanner.protocol import Sequence
from spine_models.phantom.scanner.relaxation import lookup

FULL_SCALE: Final = 1400.0


def labels_of(spine: Spine, stack: Stack) -> np.ndarray:
    """Supersampled labels of a stack, int16 [slices, n * 2, n * 2]; shared by all its sequences."""
    return np.stack([label(spine, s.points(SUPERSAMPLING, stack.thickness_mm)) for s in stack.slices])


def acquire(
    spine: Spine,
    stack: Stack,
    labels: np.ndarray,
    sequence: Sequence,
    field_t: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Images of one sequence, uint16 [slices, n, n], 12 bits used."""
    table = lookup(sequence, field_t, spine.dryness)
    images = table[labels]
    count, size = images.shape[0], images.shape[1] // SUPERSAMPLING
    marrow = labels == Tissue.MARROW
    grain = _texture(images.shape[1:], spine.texture_seed)
    images = images * np.where(marrow, 1 + 0.10 * grain, 1 + 0.03 * grain)
    if sequence.kind == "se" and sequence.te_ms > 60:
        # Pulsating CSF loses signal in places; never so much that it looks like tissue.
        flow = _texture(images.shape[1:], spine.texture_seed + 1)
        images = np.where(labels == Tissue.CSF, images * (1 - 0.12 * np.clip(flow, 0, 2)), images)
    images = images.reshape(count, size, SUPERSAMPLING, size, SUPERSAMPLING).mean(axis=(2, 4))
    images = images * _coil(stack, size, rng)
    bright = np.percentile(images, 99.5)
    noise = rng.uniform(0.012, 0.024) * bright
    ghost = rng.uniform(0, 0.02)
    images = images + ghost * np.roll(images, size // 3, axis=1)
    real = images + rng.normal(0, noise, images.shape)
    imaginary = rng.normal(0, noise, images.shape)
    scale = FULL_SCALE * rng.uniform(0.7, 1.3) / bright
    return np.clip(np.hypot(real, imaginary) * scale, 0, 4095).astype(np.uint16)


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
    return fall[None, :, None] * along[None, None, :]
