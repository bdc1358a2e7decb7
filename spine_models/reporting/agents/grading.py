"""A fitted severity grading as files, and the grades that it gives.

A folder holds ``grading.safetensors`` (the heads of the cuts) and ``card.json`` (which conditions are graded, the
proof of each, the encoder versions that they belong to). The version is a content hash of both, checked on loading.

Belongs here: writing, reading, grading. Does not belong here: fit and proof (``grading_fit``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from spine_models.findings.probes.crossfit import LinearHeads
from spine_models.findings.probes.fitted_version import fitted_version
from spine_models.findings.probes.studies import Layout, of_another_encoder, set_vectors
from spine_models.reporting.agents.versions import AgentsError

WEIGHTS: Final = "grading.safetensors"
CARD: Final = "card.json"
ARRAYS: Final = ("mean", "scale", "weights", "bias", "slope", "intercept")


class Cuts(NamedTuple):
    """A graded condition: its grades, mild first, and the columns of the cuts between them."""

    condition: str
    grades: tuple[str, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Grading:
    """A loaded grading.

    Attributes:
        version: content hash.
        grades: by condition the grades that are told apart, mild first; conditions that are not graded are missing.
        model_versions, preprocessing_versions: by route, of the only vectors that it takes.
        cuts: heads, one column a condition and cut.
        base_rates: of each column.
        columns: by condition the columns of its cuts, in order.
        layout: blocks that the heads read.
    """

    version: str
    grades: Mapping[str, tuple[str, ...]]
    model_versions: Mapping[str, str]
    preprocessing_versions: Mapping[str, str]
    cuts: LinearHeads | None
    base_rates: np.ndarray
    columns: Mapping[str, tuple[int, ...]]
    layout: Layout

    def grade(self, study_vectors: pl.DataFrame) -> dict[tuple[str, str], str]:
        """Grade by study and condition, of every study with vectors and every graded condition.

        It holds given that the study has the condition; who asks knows whether it has.

        Args:
            study_vectors: embeddings.STUDIES; routes that were not fitted on are ignored.

        Raises:
            AgentsError: vectors of another encoder or preprocessing than it was fitted on.
        """
        if self.cuts is None:
            return {}
        used = study_vectors.filter(pl.col("route").is_in(list(self.model_versions)))
        if strange := of_another_encoder(used, self.model_versions, self.preprocessing_versions):
            raise AgentsError(f"the severity grading was {strange}materialise agents/grading again")
        studies = set_vectors(used, "all", layout=self.layout)
        if len(studies.study_keys) == 0:
            return {}
        over = self.cuts.probabilities(studies.values) > self.base_rates
        return {
            (str(study), condition): names[int(over[row, list(self.columns[condition])].sum())]
            for condition, names in self.grades.items()
            for row, study in enumerate(studies.study_keys)
        }


def load_grading(folder: Path) -> Grading:
    """Open what ``fit_grading`` wrote.

    Raises:
        AgentsError: a file is missing, or arrays and card are not of one piece.
    """
    if not (folder / WEIGHTS).is_file() or not (folder / CARD).is_file():
        raise AgentsError(f"no severity grading in folder {folder.name}: materialise agents/grading first")
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    arrays = load_file(folder / WEIGHTS)
    if card.get("kind") != "severity_grading" or card.get("grading_version") != _version(card, arrays):
        raise AgentsError(
            f"the severity grading in folder {folder.name} does not match its card: materialise agents/grading again"
        )
    columns = {condition: tuple(held["columns"]) for condition, held in card["conditions"].items()}
    n = sum(len(own) for own in columns.values())
    cuts = LinearHeads(
        **{name: arrays[name].astype(np.float64) for name in ARRAYS},
        strength=np.zeros(n),
        fitted=np.ones(n, dtype=bool),
    )
    return Grading(
        version=card["grading_version"],
        grades={condition: tuple(held["grades"]) for condition, held in card["conditions"].items()},
        model_versions=card["model_versions"],
        preprocessing_versions=card["preprocessing_versions"],
        cuts=cuts if n else None,
        base_rates=arrays["base_rates"].astype(np.float64),
        columns=columns,
        layout=tuple((str(route), int(width)) for route, width in card["layout"]),
    )


def save_grading(
    out: Path,
    heads: LinearHeads | None,
    base_rates: np.ndarray | None,
    cuts: Sequence[Cuts],
    *,
    layout: Layout,
    model_versions: Mapping[str, str],
    preprocessing_versions: Mapping[str, str],
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the cuts that are used to folder ``out`` (made if it is not there); returns the card as written.

    Args:
        out: the folder.
        heads: one column a cut, used or not; None where nothing could be fitted.
        base_rates: of the columns [K].
        cuts: the graded conditions.
        layout: blocks of the vectors that the heads read.
        model_versions, preprocessing_versions: of these vectors, by route.
        about: the rest of the card, for people.
    """
    kept = [column for cut in cuts for column in cut.columns]
    if heads is None or base_rates is None:
        arrays = {name: np.zeros(0) for name in (*ARRAYS, "base_rates")}
    else:
        arrays = {name: getattr(heads, name) for name in ("mean", "scale")}
        arrays["weights"] = heads.weights[:, kept]
        arrays |= {name: getattr(heads, name)[kept] for name in ("bias", "slope", "intercept")}
        arrays["base_rates"] = base_rates[kept]
    arrays = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}
    conditions: dict[str, dict[str, Any]] = {}
    for cut in cuts:
        columns = [kept.index(column) for column in cut.columns]
        conditions[cut.condition] = {"grades": list(cut.grades), "columns": columns}
    card: dict[str, Any] = dict(about) | {
        "kind": "severity_grading",
        "format": 1,
        "conditions": conditions,
        "layout": [list(block) for block in layout],
        "model_versions": dict(sorted(model_versions.items())),
        "preprocessing_versions": dict(sorted(preprocessing_versions.items())),
    }
    card["grading_version"] = _version(card, arrays)
    out.mkdir(parents=True, exist_ok=True)
    save_file(arrays, out / WEIGHTS)
    (out / CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return card


def _version(card: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Over the arrays and what of the card bears on a grade."""
    names = ("format", "conditions", "layout", "model_versions", "preprocessing_versions")
    return fitted_version({name: card[name] for name in names}, arrays)
