"""The second reader of a header: a small calibrated model that has seen what damaged headers leave over.

Belongs here: loading the reviewed model, probabilities of kinds of header, their calibrated confidence.
Does not belong here: rules, fitting (`training`), the decision between readers (`decision`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from spine_models.corpus.sequences.calibration import Calibration
from spine_models.corpus.sequences.features import FEATURES_VERSION, NAMES, header_features
from spine_models.corpus.sequences.trees import Trees
from spine_models.corpus.sequences.verdict import Facts
from spine_models.domain import Contrast

FOLDER: Final = Path(__file__).with_name("models")
CLASSES: Final[tuple[Contrast, ...]] = tuple(Contrast)
"""Order of the scores of every model of this stage."""


class ModelError(ValueError):
    """A stored model does not fit the code that reads it; the message names the file and the remedy."""


@dataclass(frozen=True)
class HeaderModel:
    """Trees on `header_features` and their calibration; ``card`` says what it was made from."""

    trees: Trees
    calibration: Calibration
    card: dict[str, Any]

    def probabilities(self, facts: Sequence[Facts]) -> np.ndarray:
        """``[N, 17]`` in the order of `CLASSES`, float64, rows adding up to one."""
        if not facts:
            return np.zeros((0, len(CLASSES)))
        return self.calibration.probabilities(
            self.trees.scores(np.stack([header_features(f) for f in facts]))
        )

    def confidence(self, top: float) -> float:
        """The share of answers with this top probability that were right on scanners left out."""
        return float(self.calibration.confidence(np.array([top]))[0])


@lru_cache(maxsize=1)
def header_model() -> HeaderModel:
    """The model in the package.

    Raises:
        ModelError: its features are not those of this code.
    """
    card, trees = load_stored("header")
    if card["features_version"] != FEATURES_VERSION or card["features"] != len(NAMES):
        raise ModelError(
            "models/header.json was made for other features: run tests/benchmarks/train_sequences.py headers"
        )
    return HeaderModel(trees, Calibration.from_json(card["calibration"]), card)


def load_stored(name: str) -> tuple[dict[str, Any], Trees]:
    """Card and trees of ``models/<name>.json`` and ``models/<name>.safetensors``.

    Raises:
        ModelError: the classes are not those of the domain, in its order.
    """
    return load_card(name), Trees.load(FOLDER / f"{name}.safetensors")


def load_card(name: str) -> dict[str, Any]:
    """The card of ``models/<name>.json``.

    Raises:
        ModelError: the classes are not those of the domain, in its order.
    """
    card: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    if card["classes"] != [contrast.value for contrast in CLASSES]:
        raise ModelError(
            f"models/{name}.json knows other contrasts than the domain: run tests/benchmarks/train_sequences.py"
        )
    return card
