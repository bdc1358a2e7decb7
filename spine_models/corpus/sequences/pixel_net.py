"""A small convolutional network in numpy: what a slice looks like, without a deep-learning library at run time.

Belongs here: what a slice becomes before the network, the network's layers, its file. Does not belong here: its fitting
(`pixel_training`), the choice of slices (`pixel_model`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

EDGE: Final = 64
"""Pixels along each edge of the network's input."""
CHANNELS: Final = 2
PIXELS_VERSION: Final = "1"
"""Changes with every change of what a slice becomes; a network of another version is refused."""
PLANES: Final = ("sagittal", "axial", "coronal")
FACTS: Final = len(PLANES) + 2

_TINY: Final = 1e-6


def prepared(image: np.ndarray) -> np.ndarray:
    """One slice ``[H, W]`` of any scale as ``[2, 64, 64]`` float32: intensities, and they against their surroundings.

    The first channel is the intensity over the 99th percentile; the second divides by the local mean, which a surface
    coil's fall-off cannot change. Edges are resampled to 64 pixels whatever the aspect.
    """
    raw = np.nan_to_num(image.astype(np.float32))
    raw = raw - min(0.0, float(raw.min()))
    small = _resampled(raw)
    unit = np.clip(small / max(float(np.percentile(small, 99)), _TINY), 0, 1.5)
    return np.stack([unit, np.clip(unit / (_blurred(unit) + 0.08) - 1, -1.5, 1.5)]).astype(np.float32)


def slice_facts(image: np.ndarray, plane: str) -> np.ndarray:
    """``[5]`` float32: plane as one of three, size of the matrix, share of exact zeros."""
    one_hot = [float(plane == name) for name in PLANES]
    return np.array([*one_hot, np.log2(max(image.shape) / 256), float((image == 0).mean())], dtype=np.float32)


@dataclass(frozen=True)
class PixelNet:
    """Strided 3 by 3 convolutions, mean and maximum over the image, one linear layer to the classes.

    Attributes:
        kernels: ``[out, in, 3, 3]`` of each layer, stride 2, edges of zeros.
        biases: ``[out]`` of each layer.
        head: ``[classes, 2 * channels + FACTS]``.
        head_bias: ``[classes]``.
    """

    kernels: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    head: np.ndarray
    head_bias: np.ndarray

    def scores(self, slices: Sequence[np.ndarray], planes: Sequence[str]) -> np.ndarray:
        """Scores before softmax ``[classes]``, float64: the mean over one to a few slices ``[H, W]``."""
        x = np.stack([prepared(image) for image in slices])
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            x = np.maximum(_convolved(x, kernel) + bias[:, None, None], 0)
        facts = np.stack([slice_facts(i, p) for i, p in zip(slices, planes, strict=True)])
        pooled = np.concatenate([x.mean(axis=(2, 3)), x.max(axis=(2, 3)), facts], axis=1)
        return (pooled @ self.head.T + self.head_bias).astype(np.float64).mean(axis=0)

    def save(self, path: Path) -> None:
        """Write one safetensors file."""
        from safetensors.numpy import save_file

        arrays = {f"kernel{n}": k for n, k in enumerate(self.kernels)}
        arrays |= {f"bias{n}": b for n, b in enumerate(self.biases)}
        save_file(arrays | {"head": self.head, "head_bias": self.head_bias}, path)

    @classmethod
    def load(cls, path: Path) -> PixelNet:
        """Read what `save` wrote."""
        from safetensors.numpy import load_file

        arrays = load_file(path)
        layers = sum(name.startswith("kernel") for name in arrays)
        return cls(
            tuple(arrays[f"kernel{n}"] for n in range(layers)),
            tuple(arrays[f"bias{n}"] for n in range(layers)),
            arrays["head"],
            arrays["head_bias"],
        )


def _convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """``[N, in, H, W]`` to ``[N, out, H/2, W/2]``: 3 by 3, stride 2, one pixel of zeros around."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    return np.einsum("nihwkl,oikl->nohw", windows, kernel, optimize=True)


def _resampled(image: np.ndarray) -> np.ndarray:
    """Area means where the image is larger than the input, linear interpolation where it is smaller."""
    for axis in (0, 1):
        image = np.moveaxis(_along(np.moveaxis(image, axis, 0)), 0, axis)
    return image


def _along(image: np.ndarray) -> np.ndarray:
    size = image.shape[0]
    if size >= EDGE:  # means between fractional borders, by the running sum
        total = np.concatenate(
            [np.zeros((1, image.shape[1]), np.float64), image.cumsum(axis=0, dtype=np.float64)]
        )
        borders = np.linspace(0, size, EDGE + 1)
        low = np.minimum(borders.astype(int), size - 1)
        share = (borders - low)[:, None]
        at = total[low] * (1 - share) + total[low + 1] * share
        return (np.diff(at, axis=0) / (size / EDGE)).astype(np.float32)
    place = np.clip((np.arange(EDGE) + 0.5) * size / EDGE - 0.5, 0, size - 1)
    low = np.minimum(place.astype(int), max(size - 2, 0))
    share = (place - low)[:, None].astype(np.float32)
    return image[low] * (1 - share) + image[np.minimum(low + 1, size - 1)] * share


def _blurred(image: np.ndarray, size: int = 15) -> np.ndarray:
    """Running mean over ``size`` by ``size`` pixels, edges repeated."""
    half = size // 2
    padded = np.pad(image, ((half + 1, half), (half + 1, half)), mode="edge").astype(np.float64)
    total = padded.cumsum(axis=0).cumsum(axis=1)
    return (
        total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    ) / size**2
