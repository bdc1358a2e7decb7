"""Which patches the student does not see.

Belongs here: blocks of patches and how many images of a batch get them. Does not belong here: the mask token.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

SMALLEST_BLOCK = 4
LARGEST_ASPECT = 1 / 0.3
ATTEMPTS = 10


def block_mask(rows: int, columns: int, n_masked: int, generator: np.random.Generator) -> np.ndarray:
    """A bool grid [rows, columns] with exactly ``n_masked`` true patches, mostly in rectangles.

    Rectangles as in BEiT (Bao 2022) and iBOT are laid until the next one would be too many; what is then missing is
    filled with single patches, so that the ratio drawn is the ratio masked.
    """
    mask = np.zeros((rows, columns), dtype=bool)
    failures = 0
    while failures < ATTEMPTS and (missing := n_masked - int(mask.sum())) >= SMALLEST_BLOCK:
        area = generator.uniform(SMALLEST_BLOCK, missing)
        aspect = math.exp(generator.uniform(-math.log(LARGEST_ASPECT), math.log(LARGEST_ASPECT)))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if not (0 < height <= rows and 0 < width <= columns):
            failures += 1
            continue
        top = int(generator.integers(0, rows - height + 1))
        left = int(generator.integers(0, columns - width + 1))
        block = mask[top : top + height, left : left + width]
        if 0 < block.size - int(block.sum()) <= missing:
            block[...] = True
            failures = 0
        else:
            failures += 1
    missing = n_masked - int(mask.sum())
    if missing > 0:
        mask.ravel()[generator.choice(np.flatnonzero(~mask.ravel()), missing, replace=False)] = True
    return mask


def batch_masks(
    n_images: int,
    grid: tuple[int, int],
    *,
    probability: float,
    ratio: tuple[float, float],
    generator: np.random.Generator,
) -> Tensor:
    """Masks for a batch of global crops, [n_images, rows * columns] bool.

    ``int(n_images * probability)`` images are masked. The ratio range is cut into as many equal parts as there are
    masked images and each image draws from its own part, so every batch covers the whole range (DINOv2). Which image
    gets which is shuffled. Each masked image has at least one masked patch.
    """
    rows, columns = grid
    masks = np.zeros((n_images, rows * columns), dtype=bool)
    chosen = generator.permutation(n_images)[: int(n_images * probability)]
    edges = np.linspace(ratio[0], ratio[1], len(chosen) + 1)
    for image, low, high in zip(chosen, edges[:-1], edges[1:], strict=True):
        n_masked = max(1, int(rows * columns * generator.uniform(low, high)))
        masks[image] = block_mask(rows, columns, n_masked, generator).ravel()
    return torch.from_numpy(masks)
