"""The fitted heads as files: what the diagnosis agents load and ask.

A folder holds ``heads.safetensors`` (per sequence set: mean, scale, weights, bias, slope, intercept), where attention
heads were fitted ``mil.safetensors``, and ``card.json`` (which heads there are, which there are not and why, the
encoder versions that they belong to). The version is a content hash of them; it is checked on loading.

Belongs here: writing, reading, predicting. Does not belong here: fitting (``crossfit``), thresholds and
wording (``reporting.agents``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from spine_models.config import ProbeSettings
from spine_models.domain import Split, condition_keys
from spine_models.findings.probes.aligned import no_cv_of, reports_seen
from spine_models.findings.probes.compare import SPINEFM
from spine_models.findings.probes.crossfit import LinearHeads
from spine_models.findings.probes.fitted_version import fitted_version
from spine_models.findings.probes.fitting import FittedSet, fit_set, train_folds
from spine_models.findings.probes.judgement import linear_judgement
from spine_models.findings.probes.studies import (
    ROUTES_OF_SET,
    Layout,
    ProbeInputError,
    model_versions,
    of_another_encoder,
    preprocessing_versions,
    set_vectors,
    study_labels,
)

if TYPE_CHECKING:
    from spine_models.findings.probes.mil_heads import MilHead

WEIGHTS: Final = "heads.safetensors"
CARD: Final = "card.json"
ARRAYS: Final = ("mean", "scale", "weights", "bias", "slope", "intercept")
FORMAT: Final = 3
"""1: ``all`` was T1 followed by T2 of studies that have both; 2: blocks with indicators of what is missing; 3: the
preprocessing beside the encoder's version."""

PREFERENCE: Final = ("all", "t2", "t1", "other")
"""A study is judged by the first of these that it has the sequences for and the condition a head for."""

PROBABILITIES: Final = pl.Schema(
    {"study_key": pl.String, "condition": pl.String, "sequence_set": pl.String, "probability": pl.Float64}
)


class HeadsError(ValueError):
    """Heads that cannot be used, or not with these vectors; the message says why and what to do."""


def fit_heads(
    study_vectors: pl.DataFrame,
    labels: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    settings: ProbeSettings,
    out: Path,
    mil: Mapping[str, MilHead] | None = None,
) -> dict[str, Any]:
    """Fit one head per condition and sequence set on the train patients and write them to ``out``.

    Strength and calibration come from out-of-fold predictions; these are the heads that ``evaluate_probes`` scores on
    the test patients. So do operating thresholds, but for sets whose vectors saw the train reports: there val patients
    choose them where they suffice (``Judgement.operating_point``). Conditions with too few patients get no head and
    are listed with the reason; that there is no head at all is no error.

    Args:
        study_vectors: embeddings.STUDIES of all batches.
        labels: labels.CONSENSUS.
        splits: patient_key and split.
        settings: folds, grid, least number of patients, seed.
        out: folder, made if it is not there.
        mil: attention heads by sequence set (``mil.fit_mil``), or None; fitted on slices of the same encoders.

    Returns:
        The card, as written.

    Raises:
        ProbeInputError: mixed model versions, attention heads of other ones, a patient in two splits, duplicated rows.
    """
    _same_encoders(study_vectors, mil or {})
    versions = model_versions(study_vectors)
    truth = study_labels(labels, splits)
    folds = train_folds(truth, settings)
    seen = reports_seen(study_vectors, truth.study_keys[truth.split == Split.TRAIN].tolist())
    arrays: dict[str, np.ndarray] = {}
    heads: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    layouts: dict[str, Layout] = {}
    for sequence_set in ROUTES_OF_SET:
        found = fit_set(study_vectors, sequence_set, truth, folds, settings)
        no_cv = no_cv_of(sequence_set, seen)
        judged = linear_judgement(found, SPINEFM, sequence_set, no_cv=no_cv, calibrates=True)
        for number, condition in enumerate(condition_keys()):
            entry = {"sequence_set": sequence_set, "condition": condition}
            if found.unfit[number] is not None:
                missing.append(entry | {"reason": found.unfit[number]})
                continue
            point = judged.operating_point(truth, number, settings.specificity)
            column = truth.labels[found.rows[found.train], number]
            heads.append(
                entry
                | {
                    "n_positive": int((column == 1).sum()),
                    "n_negative": int((column == 0).sum()),
                    "strength": float(found.result.heads.strength[number]),
                    "threshold": point.threshold,
                    "threshold_on": point.chosen_on,
                }
            )
        arrays |= _arrays(found, sequence_set)
        if found.result.heads.fitted.any():
            layouts[sequence_set] = found.vectors.layout
    fitted_routes = {route for layout in layouts.values() for route, _ in layout}
    card: dict[str, Any] = {
        "kind": "probe_heads",
        "format": FORMAT,
        "conditions": list(condition_keys()),
        "heads": heads,
        "missing": missing,
        "layouts": {name: [list(block) for block in layout] for name, layout in layouts.items()},
        "model_versions": {route: version for route, version in versions.items() if route in fitted_routes},
        "preprocessing_versions": {
            route: version
            for route, version in preprocessing_versions(study_vectors).items()
            if route in fitted_routes
        },
        "settings": settings.model_dump(mode="json"),
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file(arrays, out / WEIGHTS)
    if mil:
        from spine_models.findings.probes.mil_heads import save_mil

        card["mil"] = save_mil(mil, out)
    card["heads_version"] = _version(arrays, card)
    (out / CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return card


def load_heads(folder: Path) -> Heads:
    """Open what ``fit_heads`` wrote.

    Raises:
        HeadsError: a file is missing, or arrays and card are not the ones that were written together.
    """
    if not (folder / WEIGHTS).is_file() or not (folder / CARD).is_file():
        raise HeadsError(f"no heads in folder {folder.name}: materialise probes first")
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    if card.get("kind") == "probe_heads" and card.get("format") != FORMAT:
        raise HeadsError(
            f"the heads in folder {folder.name} are of format {card.get('format')}, this version reads format "
            f"{FORMAT}: fit them again (spineagent run --retrain)"
        )
    arrays = load_file(folder / WEIGHTS)
    if card.get("kind") != "probe_heads" or card.get("heads_version") != _version(arrays, card):
        raise HeadsError(
            f"the heads in folder {folder.name} do not match their card: materialise probes again"
        )
    mil = None
    if card.get("mil"):
        from spine_models.findings.probes.mil_heads import load_mil

        mil = load_mil(card["mil"], folder)
        if mil is None:
            raise HeadsError(
                f"the attention heads in folder {folder.name} do not match their card: materialise probes again"
            )
    names = card["conditions"]
    sets: dict[str, LinearHeads] = {}
    for sequence_set in ROUTES_OF_SET:
        held = {head["condition"]: head for head in card["heads"] if head["sequence_set"] == sequence_set}
        if held:
            sets[sequence_set] = LinearHeads(
                **{name: arrays[f"{sequence_set}.{name}"].astype(np.float64) for name in ARRAYS},
                strength=np.array([held[name]["strength"] if name in held else 0.0 for name in names]),
                fitted=np.array([name in held for name in names]),
            )
    known = {
        name for _, head in sets.items() for name, fitted in zip(names, head.fitted, strict=True) if fitted
    }
    return Heads(
        version=card["heads_version"],
        conditions=tuple(name for name in names if name in known),
        model_versions=card["model_versions"],
        preprocessing_versions=card["preprocessing_versions"],
        card=card,
        sets=sets,
        layouts={
            name: tuple((str(route), int(width)) for route, width in layout)
            for name, layout in card["layouts"].items()
        },
        mil=mil,
    )


@dataclass(frozen=True)
class Heads:
    """Loaded heads.

    Attributes:
        version: content hash.
        conditions: those with a head for at least one sequence set.
        model_versions: encoder version by route that the heads were fitted on, and the only ones they take.
        preprocessing_versions: that of their slices by route, likewise.
        card: the whole card.
        sets: linear heads by sequence set, columns in the card's order of conditions.
        layouts: blocks that the heads of a sequence set read, by sequence set.
        mil: attention heads by sequence set, or None where none were fitted.
    """

    version: str
    conditions: tuple[str, ...]
    model_versions: Mapping[str, str]
    card: Mapping[str, Any]
    sets: Mapping[str, LinearHeads]
    layouts: Mapping[str, Layout]
    mil: Mapping[str, MilHead] | None = None
    preprocessing_versions: Mapping[str, str] = field(default_factory=dict)

    def predict(self, vectors: pl.DataFrame) -> pl.DataFrame:
        """Calibrated probabilities of every study that a head covers.

        A study is judged by the heads of ``all``, whichever routes it has; where a condition has no head for
        ``all``, by T2's, then T1's, then that of other sequences. Studies or conditions without a head have no
        row.

        Args:
            vectors: embeddings.STUDIES. Routes that no head uses are ignored.

        Returns:
            study_key, condition, sequence_set, probability, sorted by study and condition order.

        Raises:
            HeadsError: vectors of another encoder or preprocessing version than the heads were fitted on.
            ProbeInputError: vectors of one route from two models, of another length than the heads', or with
                numbers that are not finite.
        """
        used = vectors.filter(pl.col("route").is_in(list(self.model_versions)))
        if strange := of_another_encoder(used, self.model_versions, self.preprocessing_versions):
            raise HeadsError(f"these heads were {strange}materialise embeddings and probes with one encoder")
        names = self.card["conditions"]
        taken: dict[tuple[str, int], tuple[str, float]] = {}
        for sequence_set in PREFERENCE:
            if sequence_set not in self.sets:
                continue
            studies = set_vectors(used, sequence_set, layout=self.layouts[sequence_set])
            if len(studies.study_keys) == 0:
                continue
            head = self.sets[sequence_set]
            for study, row in zip(studies.study_keys, head.probabilities(studies.values), strict=True):
                for column in np.flatnonzero(head.fitted):
                    taken.setdefault((study, int(column)), (sequence_set, float(row[column])))
        rows = [(study, names[column], *found) for (study, column), found in sorted(taken.items())]
        return pl.DataFrame(rows, schema=PROBABILITIES, orient="row")


def _same_encoders(study_vectors: pl.DataFrame, mil: Mapping[str, MilHead]) -> None:
    """Attention heads and study vectors must come from the same encoders, as far as either names them."""
    for head in mil.values():
        models, preprocessings = (
            {route: told[name] for route, told in head.versions.items() if name in told}
            for name in ("model_version", "preprocessing_version")
        )
        if strange := of_another_encoder(study_vectors, models, preprocessings):
            raise ProbeInputError(f"attention heads {strange}materialise the embeddings of every batch again")


def _arrays(found: FittedSet, sequence_set: str) -> dict[str, np.ndarray]:
    """float32 arrays of a set with at least one head, else nothing."""
    heads = found.result.heads
    if not heads.fitted.any():
        return {}
    return {
        f"{sequence_set}.{name}": np.ascontiguousarray(getattr(heads, name), dtype=np.float32)
        for name in ARRAYS
    }


def _version(arrays: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> str:
    """Over the arrays and what of the card bears on predictions."""
    names = ("format", "conditions", "heads", "layouts", "model_versions", "preprocessing_versions")
    content = {name: card[name] for name in names}
    if card.get("mil"):
        content["mil"] = card["mil"]
    return fitted_version(content, arrays)
