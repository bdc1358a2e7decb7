"""The baselines' slice encoders: what SpineFM has to beat, none of them weakened.

``random_init``: SpineFM's own network before any training. ``pixel_pca``: principal components of the pixels,
per route, fitted on slices of train patients alone. ``efficientnet_lite0``: ImageNet features
(``efficientnet``). ``timm:<model>`` and ``transformers:<folder>``: any model whose weights are on disk (``networks``).

Belongs here: slices in, vectors out. Does not belong here: reading shards, pooling, probes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch.nn.functional import adaptive_avg_pool2d

from spine_models.config import BackboneSettings, ProbeSettings
from spine_models.encoder.backbone.encoder import load_encoder
from spine_models.encoder.backbone.train import untrained
from spine_models.findings.probes.efficientnet import EfficientNetLite0
from spine_models.findings.probes.fingerprint import content_version
from spine_models.findings.probes.networks import Network
from spine_models.findings.probes.sources import source_of

PCA_PX: Final = 56
"""Edge to which slices are averaged before PCA; the kept components are far coarser."""


class Featurizer(Protocol):
    """A baseline's slice encoder."""

    def encode(self, images: np.ndarray, route: str) -> np.ndarray | None:
        """Vectors float32 [N, D] of slices uint16 [N, S, S], or None where it has nothing for that route."""
        ...

    def version(self, route: str) -> str:
        """Content hash of what turns slices of that route into vectors; asked of routes that it has vectors for."""
        ...


class RandomInit:
    """SpineFM's network as initialised, one per route as in SpineFM."""

    def __init__(self, settings: BackboneSettings, routes: Sequence[str]) -> None:
        self._encoders = {}
        with tempfile.TemporaryDirectory() as folder:
            for route in routes:
                place = Path(folder) / route
                untrained(settings, place, route=route)
                self._encoders[route] = load_encoder(place)

    def encode(self, images: np.ndarray, route: str) -> np.ndarray:
        """CLS, mean and maximum of patch tokens, as SpineFM's vectors."""
        return self._encoders[route].encode(images)

    def version(self, route: str) -> str:
        """Of the weights as initialised and the network's settings."""
        return self._encoders[route].version


class PixelPca:
    """Scores on the first principal components of the slices, averaged to 56 px.

    Args:
        train: uint16 [N, S, S] by route, slices of train patients alone; a route with fewer than two has
            none.
        settings: number of components (fewer where there are fewer slices or pixels) and seed.
    """

    def __init__(self, train: Mapping[str, np.ndarray], settings: ProbeSettings) -> None:
        self._models = {}
        for route, images in train.items():
            if len(images) < 2:
                continue
            pixels = _pixels(images)
            components = min(settings.pca_components, len(pixels) - 1, pixels.shape[1])
            model = PCA(components, svd_solver="randomized", random_state=settings.seed)
            self._models[route] = model.fit(pixels)

    def encode(self, images: np.ndarray, route: str) -> np.ndarray | None:
        """Scores float32 [N, components]."""
        model = self._models.get(route)
        return None if model is None else model.transform(_pixels(images)).astype(np.float32)

    def version(self, route: str) -> str:
        """Of the fitted mean and components; another fit has other ones."""
        model = self._models[route]
        return content_version({"mean": model.mean_, "components": model.components_}, {"edge": PCA_PX})


def featurizer(
    name: str,
    *,
    backbone: BackboneSettings,
    settings: ProbeSettings,
    routes: Sequence[str],
    train: Mapping[str, np.ndarray],
) -> Featurizer:
    """The baseline of that name.

    Raises:
        ValueError: an unknown name; lists the known ones.
        WeightsError: a library model whose weights are not on disk.
    """
    source = source_of(name)
    if source is not None:
        weights = None if settings.weights is None else Path(settings.weights)
        return Network(source, weights=weights, seed=settings.seed)
    if name == "random_init":
        return RandomInit(backbone, routes)
    if name == "pixel_pca":
        return PixelPca(train, settings)
    return EfficientNetLite0()


def _pixels(images: np.ndarray) -> np.ndarray:
    """float32 [N, P] in 0 .. 1, averaged over areas to at most 56 x 56."""
    grey = torch.from_numpy(images.astype(np.float32) / 65535.0)
    edge = min(PCA_PX, images.shape[-1])
    return adaptive_avg_pool2d(grey, edge).flatten(1).numpy()
