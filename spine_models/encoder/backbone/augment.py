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
    gram_crops: Tensor | None = None  # [G, B, 1, gram_px, gram_px] in [0, 1]; twins of the global crops


class SlicesTooSmall(ValueError):
    """Slices with fewer pixels than the Gram teacher's crops need."""


def to_unit(slices: np.ndarray) -> Tensor:
    """uint16 [N, S, S] to float32 [N, 1, S, S] in [0, 1], losing nothing."""
    return torch.from_numpy(slices.astype(np.float32)).unsqueeze(1) / 65535.0


def source_px_needed(settings: BackboneSettings, gram_px: int) -> int:
    """Smallest edge of a slice whose smallest global crop still has ``gram_px`` pixels along its shorter side."""
    narrowest = math.sqrt(settings.global_scale[0] * min(settings.crop_ratio[0], 1 / settings.crop_ratio[1]))
    return math.ceil(gram_px / min(narrowest, 1.0) - 1e-9)


def reduced(images: Tensor, size_px: int) -> Tensor:
    """[B, 1, S, S] made smaller to [B, 1, size, size] with a low-pass; as they are where they are not larger."""
    if images.shape[-1] <= size_px:
        return images
    size = (size_px, size_px)
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)


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
    """Global and local views of a batch of slices, and with ``gram_px`` the global ones at that resolution too.

    Views are cut out of slices that were first brought down to ``image_px`` where they are larger: a grid that skips
    pixels aliases, and in use a slice comes at that size.

    With ``gram_px`` a global view is cut out of the slice once, at ``gram_px``: that is the twin, which the Gram
    teacher sees. The student's view is the twin made smaller, so both show the same rectangle, turned and changed in
    intensity alike; only the blur is the student's alone. A twin is never made larger than what the slice holds.
    """

    def __init__(self, settings: BackboneSettings, gram_px: int | None = None) -> None:
        if gram_px is not None and gram_px < settings.image_px:
            raise ValueError(
                f"gram.px ({gram_px}) is smaller than the student's crop ({settings.image_px} px)"
            )
        self.settings, self.gram_px = settings, gram_px

    def _cut(self, images: Tensor, draws: Tensor, size_px: int, scale: tuple[float, float]) -> Tensor:
        """A view before its blur."""
        settings = self.settings
        grid = crop_grid(draws[:, :5], size_px, scale, settings.crop_ratio, settings.rotation_degrees)
        view = functional.grid_sample(
            images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
        return jitter_intensity(view, draws[:, 5:9], settings)

    def _blurred(self, view: Tensor, draws: Tensor, probability: float) -> Tensor:
        return blur(view, draws[:, 9:11], probability, self.settings.blur_sigma_px)

    def _globals(self, images: Tensor, draws: Tensor) -> tuple[Tensor, Tensor | None]:
        """Global views of ``draws`` [G, B, DRAWS] and their twins."""
        settings = self.settings
        cut_px = settings.image_px if self.gram_px is None else self.gram_px
        cut = [self._cut(images, own, cut_px, settings.global_scale) for own in draws]
        first, other, _ = settings.blur_probability
        views = [
            self._blurred(reduced(view, settings.image_px), own, other if index else first)
            for index, (view, own) in enumerate(zip(cut, draws, strict=True))
        ]
        return torch.stack(views), None if self.gram_px is None else torch.stack(cut)

    def __call__(self, slices: np.ndarray, seeds: Sequence[int]) -> Crops:
        """Make all views.

        Args:
            slices: [B, S, S] uint16.
            seeds: one non-negative integer per slice; the same slice and seed give the same views in any batch.

        Raises:
            SlicesTooSmall: with ``gram_px``, slices whose smallest global crop has fewer pixels than that.
        """
        settings = self.settings
        views = settings.global_crops + settings.local_crops
        uniform = np.stack([np.random.default_rng(seed).random((views, DRAWS)) for seed in seeds], axis=1)
        draws = torch.from_numpy(uniform.astype(np.float32))  # [views, B, DRAWS]
        images = to_unit(slices)
        whole = reduced(images, settings.image_px)
        if self.gram_px is None:
            images = whole
        else:
            needed = source_px_needed(settings, self.gram_px)
            if images.shape[-1] < needed:
                raise SlicesTooSmall(
                    f"slices of {images.shape[-1]} px cannot show the Gram teacher crops of {self.gram_px} px without "
                    f"making them larger: {needed} px are needed for global crops from {settings.global_scale[0]:g} "
                    "of the area; write shards with a larger shards.size_px, lower gram.px (and gram.image_px), or "
                    "raise the lower end of gram.global_scale"
                )
            images = reduced(images, needed)
        global_crops, gram_crops = self._globals(images, draws[: settings.global_crops])
        if settings.local_crops == 0:
            return Crops(global_crops, None, gram_crops)
        local_crops = [
            self._blurred(
                self._cut(whole, own, settings.local_px, settings.local_scale),
                own,
                settings.blur_probability[2],
            )
            for own in draws[settings.global_crops :]
        ]
        return Crops(global_crops, torch.stack(local_crops), gram_crops)
