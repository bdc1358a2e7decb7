"""Fitted heads of levels: their files, and the probability of every condition at every place.

A folder holds ``level_heads.safetensors`` and ``card.json``: which conditions have a head, of which kind of place, the
operating points, the versions of what they were fitted on. The version is a content hash of both, checked on loading.

Belongs here: writing, reading, versions, probabilities. Does not belong here: fitting (``fit``), boxes (``judge``).
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

from spine_models.domain import condition_keys
from spine_models.findings.levelwise.components import Components, positions_of, vectors_of
from spine_models.findings.levelwise.targets import Kind, places_of
from spine_models.findings.localization.tokens import LocalizationError
from spine_models.findings.probes.calibration import probabilities
from spine_models.findings.probes.fitted_version import fitted_version

WEIGHTS: Final = "level_heads.safetensors"
CARD: Final = "card.json"
REMEDY: Final = "materialise localization/level_heads again"
PLAIN, SIDED = "plain", "sided"
CHUNK: Final = 2048
"""Places whose vectors are in memory at once; a cohort's would be tens of gigabytes."""


@dataclass(frozen=True)
class Head:
    """One condition's.

    Attributes:
        kind: of its places.
        weights: [K + P], of components and positions.
        bias: intercept.
        slope: of the calibration.
        shift: of the calibration.
        threshold: operating point, a probability.
    """

    kind: Kind
    weights: np.ndarray
    bias: float
    slope: float
    shift: float
    threshold: float


@dataclass
class LevelHeads:
    """All heads.

    Attributes:
        heads: by condition.
        components: by ``PLAIN`` and ``SIDED``; none where no condition is of that sort.
        models_version: of the localization whose ladders the views were made with.
        model_versions: of the encoders that looked.
        preprocessing: versions of the slices that were looked at, sorted.
        card: the rest, for people: what has no head and why.
        version: content hash.
    """

    heads: dict[str, Head] = field(default_factory=dict)
    components: dict[str, Components] = field(default_factory=dict)
    models_version: str = ""
    model_versions: list[str] = field(default_factory=list)
    preprocessing: list[str] = field(default_factory=list)
    card: dict[str, Any] = field(default_factory=dict)
    version: str = ""

    def check(self, views: pl.DataFrame) -> None:
        """Refuse views that were made otherwise than those that the heads were fitted on.

        Raises:
            LocalizationError: names what differs and both versions.
        """
        made = {
            "localization": (views["models_version"].unique().sort().to_list(), [self.models_version]),
            "encoders": (
                sorted({"+".join(one) for one in views["model_versions"]}),
                ["+".join(self.model_versions)],
            ),
            "preprocessing": (views["preprocessing_version"].unique().sort().to_list(), self.preprocessing),
        }
        for name, (theirs, ours) in made.items():
            if strange := [one for one in theirs if one not in ours]:
                raise LocalizationError(
                    f"heads of levels were fitted on {name} {', '.join(ours)}, asked with {strange[0]}:"
                    f" materialise localization/level_views of every batch, then {REMEDY.removeprefix('materialise ')}"
                )

    def predict(self, views: pl.DataFrame) -> pl.DataFrame:
        """view (row of ``views``), study_key, level, side, condition, probability and flagged of every place.

        Args:
            views: tables.VIEWS.

        Raises:
            LocalizationError: views of other versions, or vectors that are not finite.
        """
        if not self.heads:
            # Nothing was fitted, so nothing can be of another version; whoever asks is told nothing.
            return pl.DataFrame(schema=PREDICTED)
        self.check(views)
        parts = [pl.DataFrame(schema=PREDICTED)]
        for kind in dict.fromkeys(head.kind for head in self.heads.values()):
            own = {condition: head for condition, head in self.heads.items() if head.kind == kind}
            places, inputs = inputs_of(views, kind, self.components)
            if places.is_empty():
                continue
            logits = inputs @ np.stack([head.weights for head in own.values()], axis=1)
            logits += np.array([head.bias for head in own.values()])
            chance = probabilities(
                logits, np.array([h.slope for h in own.values()]), np.array([h.shift for h in own.values()])
            )
            parts += [
                places.with_columns(
                    condition=pl.lit(condition),
                    probability=pl.Series(chance[:, column], dtype=pl.Float64),
                    flagged=pl.Series(chance[:, column] >= head.threshold),
                ).select(*PREDICTED)
                for column, (condition, head) in enumerate(own.items())
            ]
        return pl.concat(parts)


PREDICTED: Final = {
    "view": pl.UInt32, "study_key": pl.String, "level": pl.String, "side": pl.String, "condition": pl.String,
    "probability": pl.Float64, "flagged": pl.Boolean,
}  # fmt: skip


def inputs_of(
    views: pl.DataFrame, kind: Kind, components: Mapping[str, Components]
) -> tuple[pl.DataFrame, np.ndarray]:
    """Places of a kind, and what heads see of them, float64 [N, K + P].

    Raises:
        LocalizationError: vectors that are not finite.
    """
    places = places_of(views, kind)
    seen = components[SIDED if kind.sided else PLAIN]
    found = np.empty((places.height, seen.directions.shape[1]))
    for start in range(0, places.height, CHUNK):
        vectors = vectors_of(views, places.slice(start, CHUNK), sided=kind.sided)
        if not np.isfinite(vectors).all():
            raise LocalizationError(
                "views of levels are not finite: materialise localization/level_views of every batch again"
            )
        found[start : start + CHUNK] = seen(vectors)
    return places, np.hstack([found, positions_of(views, places)])


def save_heads(heads: LevelHeads, out: Path) -> dict[str, Any]:
    """Write weights and card to folder ``out`` (made if it is not there); returns the card with ``heads_version``."""
    arrays = _arrays(heads)
    card = dict(heads.card) | {
        "kind": "level_heads",
        "format": 1,
        "heads": {
            condition: {
                "vertebra": head.kind.vertebra,
                "sided": head.kind.sided,
                **{name: getattr(head, name) for name in ("bias", "slope", "shift", "threshold")},
            }
            for condition, head in heads.heads.items()
        },
        "models_version": heads.models_version,
        "model_versions": heads.model_versions,
        "preprocessing": heads.preprocessing,
    }
    card["heads_version"] = _version(arrays, card)
    out.mkdir(parents=True, exist_ok=True)
    save_file(arrays, out / WEIGHTS)
    (out / CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return card


def load_level_heads(folder: Path) -> LevelHeads:
    """Open what ``save_heads`` wrote.

    Raises:
        LocalizationError: a file is missing, or the two are not the ones that were written together.
    """
    if not (folder / WEIGHTS).is_file() or not (folder / CARD).is_file():
        raise LocalizationError(f"no heads of levels in folder {folder.name}: {REMEDY}")
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    arrays = load_file(folder / WEIGHTS)
    if card.get("kind") != "level_heads" or card.get("heads_version") != _version(arrays, card):
        raise LocalizationError(
            f"the heads of levels in folder {folder.name} do not match their card: {REMEDY}"
        )
    order = condition_keys()
    return LevelHeads(
        heads={
            condition: Head(
                Kind(held["vertebra"], held["sided"]),
                arrays[f"head.{condition}"].astype(np.float64),
                *(held[name] for name in ("bias", "slope", "shift", "threshold")),
            )
            for condition, held in sorted(card["heads"].items(), key=lambda one: order.index(one[0]))
        },
        components={name: Components.of(arrays, name) for name in (PLAIN, SIDED) if f"{name}.mean" in arrays},
        models_version=card["models_version"],
        model_versions=card["model_versions"],
        preprocessing=card["preprocessing"],
        card=card,
        version=card["heads_version"],
    )


def _arrays(heads: LevelHeads) -> dict[str, np.ndarray]:
    named = {f"head.{condition}": head.weights for condition, head in heads.heads.items()}
    for name, components in heads.components.items():
        named |= components.arrays(name)
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in sorted(named.items())}


def _version(arrays: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> str:
    names = ("format", "heads", "models_version", "model_versions", "preprocessing")
    return fitted_version({name: card[name] for name in names}, arrays)
