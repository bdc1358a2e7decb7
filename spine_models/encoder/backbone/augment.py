"""Crops of greyscale MR slices: several views of one slice that a radiologist would read alike.

Belongs here: geometry and intensity changes that MR itself makes (field of view, small tilt, gain, contrast, blur).
Does not belong here, on purpose: flips, since findings have sides and slices a head end; solarisation, hue and
saturation, since intensities are grey and ordered.

Everything is drawn from one generator per sample and applied to whole batches, so a sample's views depend on its own
seed alone and not on its batch mates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spine_models.config import BackboneSettings

DRAWS = 11  # uniform numbers that one view takes from its sample's generator
BLUR_RADIUS_PX = 4


class Crops(NamedTuple):
    """Views of B slices."""

    global_crops: Tensor  # [G, B, 1, image_px, image_px] in [0, 1]
    local_crops: Tensor | None  # [L, B, 1, local_px, local_px] in [0, 1]


def to_unit(slices: np.ndarray) -> Tensor:
    """uint16 [N, S, S] to float32 [N, 1, S, S] in [0, 1], losing nothing."""
    return torch.from_numpy(slices.astype(np.float32)).unsqueeze(1) / 65535.0


def crop_grid(
    draws: Tensor,
    size_px: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    rotation_degrees: float,
) -> Tensor:
    """Sampling grid [B, size, size, 2] of a random resized and slightly rotated crop, one per row of ``draws`` [B, 5].

    Area is uniform in ``scale`` (fraction of the slice), aspect log-uniform in ``ratio``, the centre such that the
    unrotated crop lies inside. The map keeps left on the left and top at the top: its axes are positive multiples of
    the image's, turned by at most ``rotation_degrees``.
    """
    area = scale[0] + (scale[1] - scale[0]) * draws[:, 0]
    log_low, log_high = math.log(ratio[0]), math.log(ratio[1])
    aspect = (log_low + (log_high - log_low) * draws[:, 1]).exp()
    width, height = (area * aspect).sqrt().clamp(max=1.0), (area / aspect).sqrt().clamp(max=1.0)
    centre_x, centre_y = (1 - width) * (2 * draws[:, 2] - 1), (1 - height) * (2 * draws[:, 3] - 1)
    angle = torch.deg2rad(rotation_degrees * (2 * draws[:, 4] - 1))
    cos, sin = angle.cos(), angle.sin()
    affine = torch.stack(
        [
            torch.stack([width * cos, -height * sin, centre_x], dim=1),
            torch.stack([width * sin, height * cos, centre_y], dim=1),
        ],
        dim=1,
    )
    return functional.affine_grid(affine, [len(draws), 1, size_px, size_px], align_corners=False)


def jitter_intensity(images: Tensor, draws: Tensor, settings: BackboneSettings) -> Tensor:
    """Gain, contrast about the mean, and gamma of [B, 1, H, W] in [0, 1]; ``draws`` [B, 4]; the rest are untouched."""

    def spread(column: int, low: float, high: float) -> Tensor:
        return (low + (high - low) * draws[:, column]).view(-1, 1, 1, 1)

    changed = images * spread(1, 1 - settings.brightness, 1 + settings.brightness)
    mean = changed.mean(dim=(1, 2, 3), keepdim=True)
    changed = (changed - mean) * spread(2, 1 - settings.contrast, 1 + settings.contrast) + mean
    changed = changed.clamp(0.0, 1.0).pow(spread(3, *settings.gamma))
    return torch.where((draws[:, 0] < settings.jitter_probability).view(-1, 1, 1, 1), changed, images)


def blur(images: Tensor, draws: Tensor, probability: float, sigma_px: tuple[float, float]) -> Tensor:
    """Gaussian blur of those rows of [B, 1, H, W] whose first draw [B, 2] is below ``probability``."""
    chosen = draws[:, 0] < probability
    n = int(chosen.sum())
    if n == 0:
        return images
    sigma = sigma_px[0] + (sigma_px[1] - sigma_px[0]) * draws[chosen, 1]
    offsets = torch.arange(-BLUR_RADIUS_PX, BLUR_RADIUS_PX + 1, dtype=torch.float32)
    kernel = (-0.5 * (offsets / sigma.unsqueeze(1)).square()).exp()
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).unsqueeze(1)  # [n, 1, taps]
    rows = images[chosen].transpose(0, 1)  # one channel per image: a grouped convolution, one kernel each
    pad = BLUR_RADIUS_PX
    rows = functional.pad(rows, (pad, pad, pad, pad), mode="reflect")
    rows = functional.conv2d(rows, kernel.unsqueeze(2), groups=n)
    rows = functional.conv2d(rows, kernel.unsqueeze(3), groups=n)
    blurred = images.clone()
    blurred[chosen] = rows.transpose(0, 1)
    return blurred


class MultiCrop:
    """Global and local views of a batch of slices."""

    def __init__(self, settings: BackboneSettings) -> None:
        self.settings = settings

    def _view(
        self, images: Tensor, draws: Tensor, size_px: int, scale: tuple[float, float], p_blur: float
    ) -> Tensor:
        settings = self.settings
        grid = crop_grid(draws[:, :5], size_px, scale, settings.crop_ratio, settings.rotation_degrees)
        view = functional.grid_sample(
            images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
        view = jitter_intensity(view, draws[:, 5:9], settings)
        return blur(view, draws[:, 9:11], p_blur, settings.blur_sigma_px)

    def __call__(self, slices: np.ndarray, seeds: Sequence[int]) -> Crops:
        """Make all views.

        Args:
            slices: [B, S, S] uint16.
            seeds: one non-negative integer per slice; the same slice and seed give the same views in any batch.
        """
        settings = self.settings
        views = settings.global_crops + settings.local_crops
        uniform = np.stack([np.random.default_rng(seed).random((views, DRAWS)) for seed in seeds], axis=1)
        draws = torch.from_numpy(uniform.astype(np.float32))  # [views, B, DRAWS]
        images = to_unit(slices)
        first, other, local = settings.blur_probability
        global_crops = torch.stack(
            [
                self._view(
                    images, draws[view], settings.image_px, settings.global_scale, other if view else first
                )
                for view in range(settings.global_crops)
            ]
        )
        if settings.local_crops == 0:
            return Crops(global_crops, None)
        local_crops = [
            self._view(images, draws[view], settings.local_px, settings.local_scale, local)
            for view in range(settings.global_crops, views)
        ]
        return Crops(global_crops, torch.stack(local_crops))
