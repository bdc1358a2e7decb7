"""The fitted localization as files, and what it says of slices.

A folder holds ``localization.safetensors`` and ``card.json`` (which heads there are, which there are not and why, the
encoder versions they belong to, calibration, level ladders). The version is a content hash of both, checked on loading.

Belongs here: writing, reading, versions. Does not belong here: fitting (``fit``), the forms of heads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from spine_models.findings.localization.boxes import BoxHead
from spine_models.findings.localization.levels import LevelModel
from spine_models.findings.localization.slices import LinearMap
from spine_models.findings.localization.tokens import LocalizationError
from spine_models.findings.localization.versions import check_versions
from spine_models.findings.probes.fitted_version import fitted_version

WEIGHTS: Final = "localization.safetensors"
CARD: Final = "card.json"

Pair = tuple[str, str]


@dataclass
class Models:
    """Everything that is fitted; pairs are (condition, route).

    Attributes:
        slice_heads: logits of ``slices.slice_features``.
        box_heads: one strength, one ridge.
        position_heads: logits of ``slices.position_features`` alone, the prior that slice heads are compared with.
        mean_boxes: mean train box [4] by (condition, plane), the prior that boxes are compared with.
        planes: planes in which a pair's train findings lie.
        calibration: slope and intercept of the confidence by supervision; none where it could not be fitted.
        levels: where levels lie.
        model_versions: encoder version by route.
        preprocessing_versions: of the slices that were learned from, by route; none of a route without any, and
            none at all in models of before it was kept.
        card: the rest, for people.
    """

    slice_heads: dict[Pair, LinearMap] = field(default_factory=dict)
    box_heads: dict[Pair, BoxHead] = field(default_factory=dict)
    position_heads: dict[Pair, LinearMap] = field(default_factory=dict)
    mean_boxes: dict[Pair, np.ndarray] = field(default_factory=dict)
    planes: dict[Pair, list[str]] = field(default_factory=dict)
    calibration: dict[str, tuple[float, float]] = field(default_factory=dict)
    levels: LevelModel | None = None
    model_versions: dict[str, str] = field(default_factory=dict)
    preprocessing_versions: dict[str, str] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    version: str = ""

    def confidence(self, supervision: str, logit: float) -> float | None:
        """Probability that a box holds its finding, given that the study has the condition (``fit``).

        None where there was too little to calibrate on.
        """
        if supervision not in self.calibration:
            return None
        slope, intercept = self.calibration[supervision]
        return float(0.5 * (1 + np.tanh(0.5 * (slope * logit + intercept))))

    def check_encoders(self, versions: Mapping[str, str]) -> None:
        """Refuse vectors or encoders of other versions than the heads were fitted on.

        Raises:
            LocalizationError: names the route and both versions.
        """
        for route, version in versions.items():
            mine = self.model_versions.get(route)
            if mine is not None and mine != version:
                raise LocalizationError(
                    f"localization was fitted on encoder {mine} of route {route!r}, asked with {version}: "
                    "materialise localization again"
                )

    def check_rows(self, rows: pl.DataFrame) -> None:
        """Refuse vectors or slices of other versions than the heads were fitted on, even among others that fit.

        Args:
            rows: route, model_version and preprocessing_version; model_version may be missing (shards.SLICES).

        Raises:
            LocalizationError: names the route and both versions.
        """
        check_versions(
            rows,
            self.model_versions,
            self.preprocessing_versions,
            by="localization was",
            remedy="materialise localization again",
        )


def save_models(models: Models, out: Path) -> dict[str, Any]:
    """Write weights and card to folder ``out`` (made if it is not there); returns the card with ``models_version``."""
    arrays = _arrays(models)
    card = dict(models.card) | {
        "kind": "localization",
        "format": 1,
        "reaches": {".".join(pair): head.reach for pair, head in sorted(models.box_heads.items())},
        "planes": {".".join(pair): planes for pair, planes in sorted(models.planes.items())},
        "calibration": {name: list(pair) for name, pair in sorted(models.calibration.items())},
        "levels": None if models.levels is None else models.levels.card(),
        "model_versions": dict(sorted(models.model_versions.items())),
        "preprocessing_versions": dict(sorted(models.preprocessing_versions.items())),
    }
    card["models_version"] = _version(arrays, card)
    out.mkdir(parents=True, exist_ok=True)
    save_file(arrays, out / WEIGHTS)
    (out / CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return card


def load_models(folder: Path) -> Models:
    """Open what ``save_models`` wrote.

    Raises:
        LocalizationError: a file is missing, or the two are not the ones that were written together.
    """
    if not (folder / WEIGHTS).is_file() or not (folder / CARD).is_file():
        raise LocalizationError(
            f"no localization models in folder {folder.name}: materialise localization first"
        )
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    arrays = load_file(folder / WEIGHTS)
    if card.get("kind") != "localization" or card.get("models_version") != _version(arrays, card):
        raise LocalizationError(
            f"the localization models in folder {folder.name} do not match their card: materialise localization again"
        )

    def maps(kind: str) -> dict[Pair, LinearMap]:
        found = {}
        for name in arrays:
            parts = name.split(".")
            if parts[0] == kind and parts[-1] == "weights":
                bias = arrays[".".join([*parts[:-1], "bias"])].astype(np.float64)
                found[parts[1], parts[2]] = LinearMap(arrays[name].astype(np.float64), bias)
        return found

    shapes = maps("shape")
    return Models(
        slice_heads=maps("slice"),
        box_heads={
            pair: BoxHead(heat, (shapes[pair],), card["reaches"][".".join(pair)])
            for pair, heat in maps("heat").items()
        },
        position_heads=maps("position"),
        mean_boxes={
            (name.split(".")[1], name.split(".")[2]): array.astype(np.float64)
            for name, array in arrays.items()
            if name.startswith("box.")
        },
        planes={(name.split(".")[0], name.split(".")[1]): planes for name, planes in card["planes"].items()},
        calibration={name: (pair[0], pair[1]) for name, pair in card["calibration"].items()},
        levels=None if card["levels"] is None else LevelModel.of(card["levels"], arrays),
        model_versions=card["model_versions"],
        preprocessing_versions=card.get("preprocessing_versions", {}),
        card=card,
        version=card["models_version"],
    )


def _arrays(models: Models) -> dict[str, np.ndarray]:
    named: dict[str, np.ndarray] = {}
    boxes = {pair: head.heat for pair, head in models.box_heads.items()}
    shapes = {pair: head.shapes[0] for pair, head in models.box_heads.items()}
    kinds = {"slice": models.slice_heads, "position": models.position_heads, "heat": boxes, "shape": shapes}
    for kind, heads in kinds.items():
        for pair, head in heads.items():
            named[f"{kind}.{pair[0]}.{pair[1]}.weights"] = head.weights
            named[f"{kind}.{pair[0]}.{pair[1]}.bias"] = head.bias
    named |= {f"box.{pair[0]}.{pair[1]}": box for pair, box in models.mean_boxes.items()}
    if models.levels is not None:
        named |= models.levels.arrays()
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in sorted(named.items())}


def _version(arrays: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> str:
    """Over the arrays and what of the card bears on the output."""
    content = {
        name: card[name]
        for name in ("format", "reaches", "planes", "calibration", "levels", "model_versions")
    }
    # Models of before it was kept have the version that they were written with.
    if "preprocessing_versions" in card:
        content["preprocessing_versions"] = card["preprocessing_versions"]
    return fitted_version(content, arrays)
