"""A few slices to look at.

Belongs here: choosing them. Does not belong here: drawing them, the probe that judges a training (probe).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from spine_models.corpus.shards import EpochReader
from spine_models.encoder.backbone.probe import split_tars


def sample_slices(tars: Sequence[Path], n: int, *, seed: int) -> np.ndarray:
    """The first slices that a reader draws with studies in turn, of validation tars where there are any.

    Args:
        tars: shards of one route.
        n: how many; fewer where there are no more.
        seed: of the draw.

    Returns:
        uint16 [N, S, S]; [0, 0, 0] without slices.
    """
    train, val = split_tars(tars)
    for source in (val, train):
        if source:
            reader = EpochReader(source, seed=seed, rank=0, world=1, balance="study")
            drawn = {}
            for key, image in islice(reader.epoch(0), 8 * n):
                drawn.setdefault(key, image)
            if drawn:
                return np.stack(list(drawn.values())[:n])
    return np.zeros((0, 0, 0), dtype=np.uint16)
