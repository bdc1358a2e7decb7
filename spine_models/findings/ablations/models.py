"""Variants that encode slices, with the face of the probes' featurizers.

Belongs here: which network reads a route under which variant. Does not belong here: trainings, pooling, probes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from spine_models.domain import Route
from spine_models.encoder.backbone.encoder import load_encoder
from spine_models.encoder.snapshots import snapshots_of
from spine_models.encoder.synthesizer.encode import Synthesizer
from spine_models.encoder.synthesizer.files import load_fused
from spine_models.findings.ablations.variants import CONCATENATED, WITHOUT_GRAM, Question, snapshot_name


class SliceEncoder(Protocol):
    """What a variant needs of an encoder."""

    version: str

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Vectors float32 [N, D] of images uint16 [N, S, S]."""
        ...


class Routed:
    """One encoder per route; a route without one has no vector."""

    def __init__(self, encoders: Mapping[str, SliceEncoder]) -> None:
        self._encoders = dict(encoders)

    def reads(self, route: str) -> bool:
        """Whether there is an encoder of a route."""
        return route in self._encoders

    def encode(self, images: np.ndarray, route: str) -> np.ndarray:
        """Vectors float32 [N, D] of slices uint16 [N, S, S] of a route that has an encoder."""
        return self._encoders[route].encode(images)

    def version(self, route: str) -> str:
        """Of the encoder of a route."""
        return self._encoders[route].version


class SideBySide:
    """Several encoders' vectors of the same slice, one after the other."""

    def __init__(self, *encoders: SliceEncoder) -> None:
        self._encoders = encoders
        self.version = "+".join(encoder.version for encoder in encoders)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """float32 [N, sum of D]."""
        return np.concatenate([encoder.encode(images) for encoder in self._encoders], axis=1)


Models = dict[tuple[Question, str], Routed]


def gram_models(pretrained: Mapping[str, Path]) -> Models:
    """The encoders before anchoring, by route."""
    encoders = {route: load_encoder(folder) for route, folder in pretrained.items()}
    return {(Question.GRAM, WITHOUT_GRAM): Routed(encoders)}


def length_models(pretrained: Mapping[str, Path]) -> Models:
    """Snapshots that every route has, and the end of pretraining."""
    found = {route: snapshots_of(folder) for route, folder in pretrained.items()}
    shared = set.intersection(*(set(steps) for steps in found.values())) if found else set()
    return {
        (Question.LENGTH, snapshot_name(step)): Routed(
            {route: load_encoder(steps[step]) for route, steps in found.items()}
        )
        for step in sorted(shared)
    }


def synthesizer_models(
    anchored: Mapping[str, Path], conditional: Path | None, others: Mapping[str, Path]
) -> Models:
    """What reads the series of other contrasts: gates, one encoder alone, both side by side.

    Args:
        anchored: encoders of t1 and t2; without both there is nothing to compare.
        conditional: folder of the gates in use, None where there are none.
        others: folders of trained variants by name.

    Raises:
        EncoderError: gates of other encoders than these.
    """
    if set(anchored) != {Route.T1.value, Route.T2.value}:
        return {}
    t1, t2 = (load_encoder(anchored[route]) for route in (Route.T1.value, Route.T2.value))
    readers: dict[str, SliceEncoder] = {
        "t1_only": t1,
        "t2_only": t2,
        CONCATENATED: SideBySide(t1, t2),
    }
    trained = ({} if conditional is None else {"conditional": conditional}) | dict(others)
    for name, folder in trained.items():
        readers[name] = Synthesizer(load_fused(folder, anchored["t1"], anchored["t2"]))
    return {
        (Question.SYNTHESIZER, name): Routed({Route.OTHER.value: reader}) for name, reader in readers.items()
    }
