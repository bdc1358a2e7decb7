"""The third reader: what the middle slices look like, asked where a header is silent or contradicts itself.

Belongs here: reading those slices, the reviewed model, its calibrated opinion.
Does not belong here: how much the opinion counts (`decision`), fitting (`training`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from spine_models.corpus.geometry import frame_geometry, plane_of
from spine_models.corpus.header import numbers_of, read_value
from spine_models.corpus.sequences.calibration import Calibration
from spine_models.corpus.sequences.decision import Opinion
from spine_models.corpus.sequences.header_model import CLASSES, FOLDER, ModelError, load_card
from spine_models.corpus.sequences.pixel_net import PIXELS_VERSION, PixelNet
from spine_models.corpus.shards.pixels import PixelsError, open_header, read_frames

PLACES: Final = (0.3, 0.5, 0.7)
"""Where along a series its slices are looked at; shares of its length."""

_SMALLEST: Final = 24
_MOST_FRAMES: Final = 400


@dataclass(frozen=True)
class PixelModel:
    """A network on slices and its calibration; ``prior`` is the share of each class in training."""

    net: PixelNet
    calibration: Calibration
    prior: np.ndarray
    card: dict[str, Any]

    def opinion(self, slices: Sequence[np.ndarray], planes: Sequence[str]) -> Opinion:
        """The likelihood ``[17]`` of each class, 1 for classes that no image taught, and the best answer.

        Args:
            slices: one to a few images ``[H, W]`` of source intensities, any scale.
            planes: their planes.
        """
        p = self.calibration.probabilities(self.net.scores(slices, planes)[None])[0]
        taught = self.prior > 0
        likelihood = np.ones(len(p))
        likelihood[taught] = p[taught] / self.prior[taught]
        best = int(np.where(taught, p, 0).argmax())
        confidence = float(self.calibration.confidence(p[[best]])[0])
        return Opinion(CLASSES[best], confidence, likelihood)


@lru_cache(maxsize=1)
def pixel_model() -> PixelModel:
    """The model in the package.

    Raises:
        ModelError: it was made for other pixels than this code prepares.
    """
    card = load_card("pixels")
    if card["pixels_version"] != PIXELS_VERSION:
        raise ModelError(
            "models/pixels.json was made for other pixels: run tests/benchmarks/train_sequences.py pixels"
        )
    net = PixelNet.load(FOLDER / "pixels.safetensors")
    return PixelModel(net, Calibration.from_json(card["calibration"]), np.array(card["prior"]), card)


def pixel_opinion(paths: Sequence[Path]) -> Opinion | None:
    """What the pixels of a series say; null where none of its middle slices can be decoded.

    Args:
        paths: its files in order of acquisition; of many, only those at `PLACES` are opened.
    """
    slices, planes = middle_slices(paths)
    return pixel_model().opinion(slices, planes) if slices else None


def middle_slices(paths: Sequence[Path]) -> tuple[list[np.ndarray], list[str]]:
    """Up to three images ``[H, W]`` of source intensities and their planes; undecodable ones are left out."""
    slices, planes = [], []
    wanted = sorted({int(place * len(paths)) for place in PLACES})
    for index in wanted:
        try:
            ds = open_header(paths[index])
            geometry = frame_geometry(ds)
            frames = max(len(geometry), int((numbers_of(read_value(ds, "NumberOfFrames")) or [1])[0]))
            if frames > _MOST_FRAMES:
                continue
            chosen = {int(place * frames) for place in PLACES} if len(paths) < len(PLACES) else {frames // 2}
            for number, frame in enumerate(read_frames(paths[index])):
                if number in chosen and min(frame.stored.shape) >= _SMALLEST:
                    image = frame.intensities()
                    slices.append(-image if frame.inverted else image)
                    planes.append(plane_of(geometry[min(number, len(geometry) - 1)].iop).value)
                if number >= max(chosen):
                    break
        except PixelsError:
            continue
    return slices, planes
