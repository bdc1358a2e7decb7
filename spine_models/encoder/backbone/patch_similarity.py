"""What patch tokens look like: similarity of one patch to all others, and their main directions as colours.

Belongs here: arrays for pictures. Does not belong here: drawing them, encoding (``Encoder.encode_patches``).
"""

from __future__ import annotations

import numpy as np

EPSILON = 1e-8
COLOURS = 3


def similarity_map(patches: np.ndarray, row: int, column: int) -> np.ndarray:
    """Cosine similarity of one patch to all patches of its image, as DINOv3 (arXiv 2508.10104) shows them.

    Args:
        patches: [h, w, D] float tokens of one image.
        row: of the patch that is compared, from 0.
        column: of the patch that is compared, from 0.

    Returns:
        [h, w] float32 in [-1, 1]; 1 at the patch itself.

    Raises:
        ValueError: tokens that are not [h, w, D].
        IndexError: a patch outside the grid.
    """
    if patches.ndim != 3:
        raise ValueError(f"patch tokens of one image are [h, w, D], not {list(patches.shape)}")
    height, width = patches.shape[:2]
    if not (0 <= row < height and 0 <= column < width):
        raise IndexError(f"no patch ({row}, {column}) in a grid of {height}x{width}")
    tokens = patches.astype(np.float64)
    unit = tokens / np.maximum(np.linalg.norm(tokens, axis=2, keepdims=True), EPSILON)
    return np.clip(unit @ unit[row, column], -1.0, 1.0).astype(np.float32)


def principal_colours(patches: np.ndarray) -> np.ndarray:
    """First three principal components of the tokens as red, green and blue (as DINOv3 shows them).

    Components are of all given images together, so equal colours in two images mean like tokens. Each is stretched
    to [0, 1] over all of them; its sign is such that its largest loading is positive. A component without variance
    is 0.5 everywhere.

    Args:
        patches: [N, h, w, D] float tokens.

    Returns:
        [N, h, w, 3] float32 in [0, 1].

    Raises:
        ValueError: tokens that are not [N, h, w, D], or none.
    """
    if patches.ndim != 4 or patches.size == 0:
        raise ValueError(f"patch tokens are [N, h, w, D] and not empty, not {list(patches.shape)}")
    tokens = patches.reshape(-1, patches.shape[-1]).astype(np.float64)
    centred = tokens - tokens.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    colours = np.full((len(tokens), COLOURS), 0.5)
    for index in range(min(COLOURS, len(spread))):
        if spread[index] <= EPSILON * max(spread[0], 1.0):
            continue
        direction = directions[index]
        along = centred @ (direction * np.sign(direction[np.abs(direction).argmax()]))
        low, high = along.min(), along.max()
        colours[:, index] = (along - low) / (high - low)
    return colours.reshape(*patches.shape[:-1], COLOURS).astype(np.float32)
