"""The guards as files: abstention thresholds and scope, bound to the heads that they were made for.

A folder holds ``scope.safetensors`` (per route: the Gaussian and the calibration distances) and ``card.json``
(thresholds, reasons, the heads' and encoders' versions). The version is a content hash of both; guards of other heads
are refused.

Belongs here: writing, reading, judging predictions. Does not belong here: the method (``conformal``, ``scope``), the
table of a batch (``guarded``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.domain import Split
from spine_models.findings.probes.evaluate import train_folds
from spine_models.findings.probes.heads import Heads
from spine_models.findings.probes.strata.conformal import (
    ABSTAIN,
    NO_THRESHOLD,
    Threshold,
    calibrate,
    calibration_rows,
    decide,
)
from spine_models.findings.probes.strata.scope import (
    STUDY,
    Ellipsoid,
    RouteScope,
    attainable,
    fit_route,
    scores,
)
from spine_models.findings.probes.strata.tables import GUARD_PATIENTS
from spine_models.findings.probes.studies import (
    model_versions,
    of_another_encoder,
    preprocessing_versions,
    study_labels,
)

WEIGHTS: Final = "scope.safetensors"
CARD: Final = "card.json"
FORMAT: Final = 2
"""2: the preprocessing beside the encoder's version, and whom a threshold was calibrated on."""
SAME: Final = 1e-3
"""How far a head's answer may be from the prediction written beside it; heads are stored as float32."""

DECIDED: Final = {"decision": pl.String, "reason": pl.String}
SCOPED: Final = {"out_of_scope": pl.Float64, "in_scope": pl.Boolean}


class GuardsError(ValueError):
    """Guards that cannot be used, or not with these heads; the message says why and what to do."""


@dataclass(frozen=True)
class FittedGuards:
    """The card as written, and probes.GUARD_PATIENTS."""

    card: dict[str, Any]
    patients: pl.DataFrame


def fit_guards(
    predictions: pl.DataFrame,
    study_vectors: pl.DataFrame,
    labels: pl.DataFrame,
    splits: pl.DataFrame,
    heads: Heads,
    *,
    probes: ProbeSettings,
    settings: StratumSettings,
    out: Path,
) -> FittedGuards:
    """Calibrate abstention and scope on the train patients and write them to ``out``.

    Args:
        predictions: probes.PREDICTIONS, of the same run as the heads.
        study_vectors: embeddings.STUDIES of all batches.
        labels: labels.CONSENSUS; the scope is that of the labelled train studies.
        splits: patient_key and split.
        heads: the heads that are guarded.
        probes: folds and their seed.
        settings: alpha, scope level and components, seed.
        out: folder, made if it is not there.

    Raises:
        GuardsError: the predictions are not those of the heads.
        HeadsError: vectors of another encoder than the heads'.
        ProbeInputError: mixed model versions, a patient in two splits or two evaluations.
    """
    truth = study_labels(labels, splits)
    versions, preprocessings = model_versions(study_vectors), preprocessing_versions(study_vectors)
    thresholds = calibrate(predictions, settings)
    _same_heads(predictions, study_vectors, heads)
    folds = train_folds(truth, probes)
    train = truth.split == Split.TRAIN
    fold_of = dict(zip(truth.patient_keys[train].tolist(), folds[train].tolist(), strict=True))
    labelled = study_vectors.filter(pl.col("study_key").is_in(truth.study_keys[train].tolist()))
    scopes: dict[str, RouteScope] = {}
    unscoped: dict[str, str] = {}
    used = [
        rows.select("patient_key", "study_key").with_columns(part=pl.lit("conformal"))
        for _, _, rows in calibration_rows(predictions, settings)
    ]
    for route in sorted(heads.model_versions):
        fitted = fit_route(labelled.filter(pl.col("route") == route), fold_of, settings)
        if isinstance(fitted, str):
            unscoped[route] = fitted
            continue
        scopes[route] = fitted[0]
        used.append(fitted[1].with_columns(part=pl.lit("scope")))
    arrays = {f"{route}.{name}": a for route, scope in scopes.items() for name, a in _arrays(scope).items()}
    card: dict[str, Any] = {
        "kind": "probe_guards",
        "format": FORMAT,
        "heads_version": heads.version,
        "model_versions": {route: versions[route] for route in scopes},
        "preprocessing_versions": {r: preprocessings[r] for r in scopes if r in preprocessings},
        "level": settings.scope_level,
        "thresholds": [asdict(one) for one in thresholds],
        "unscoped": unscoped,
        "settings": settings.model_dump(mode="json"),
    }
    card["guards_version"] = _version(arrays, card)
    out.mkdir(parents=True, exist_ok=True)
    save_file(arrays, out / WEIGHTS)
    (out / CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    patients = pl.DataFrame(schema=GUARD_PATIENTS)
    if used:
        counted = (
            pl.concat(used).group_by("patient_key", "part").agg(n_studies=pl.col("study_key").n_unique())
        )
        patients = counted.cast({"n_studies": pl.Int32}).select(*GUARD_PATIENTS).sort("part", "patient_key")
    return FittedGuards(card, patients)


@dataclass(frozen=True)
class Guards:
    """Loaded guards.

    Attributes:
        version: content hash.
        heads_version: of the only heads whose predictions they judge.
        model_versions: encoder version by route of the scopes.
        preprocessing_versions: that of their slices by route.
        level: a study whose score is at most this is out of scope.
        thresholds: by condition and sequence set.
        scopes: by route.
    """

    version: str
    heads_version: str
    model_versions: Mapping[str, str]
    level: float
    thresholds: Mapping[tuple[str, str], Threshold]
    scopes: Mapping[str, RouteScope]
    preprocessing_versions: Mapping[str, str] = field(default_factory=dict)

    def judge(self, vectors: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
        """The predictions with decision, reason, out_of_scope and in_scope; row order is kept.

        Args:
            vectors: embeddings.STUDIES of the studies, as the heads were asked with.
            predictions: what ``Heads.predict`` gave for them.

        A study of which no route has a scope, or whose routes have too few calibration patients to show anything at
        this level, counts as in scope; its score is null where no route has one. A condition without threshold
        always abstains.

        Raises:
            GuardsError: vectors of another encoder or preprocessing version than the scope was fitted on.
        """
        own = vectors.filter(pl.col("route").is_in(list(self.scopes)))
        if strange := of_another_encoder(own, self.model_versions, self.preprocessing_versions):
            raise GuardsError(
                f"the scope was {strange}materialise embeddings, probes and guards with one encoder"
            )
        found = scores(own, self.scopes).filter(pl.col("route") == STUDY)
        routes = {str(key): part["route"].to_list() for (key,), part in own.group_by("study_key")}
        score_of = dict(found.select("study_key", "score").iter_rows())
        rows: list[tuple[float | None, bool]] = []
        for study in predictions["study_key"]:
            score = score_of.get(study)
            odd = score is not None and score <= self.level + 1e-12
            odd = odd and attainable(self.scopes, routes[study], self.level)
            rows.append((score, not odd))
        return self.decide(predictions).hstack(pl.DataFrame(rows, schema=SCOPED, orient="row"))

    def decide(self, predictions: pl.DataFrame) -> pl.DataFrame:
        """The predictions with decision and reason, whatever the scope of their studies; row order is kept.

        Args:
            predictions: with condition, sequence_set and probability; a condition without threshold always abstains.
        """
        rows: list[tuple[str, str | None]] = []
        for condition, name, chance in predictions.select(
            "condition", "sequence_set", "probability"
        ).iter_rows():
            threshold = self.thresholds.get((condition, name))
            if threshold is None:
                rows.append((ABSTAIN, NO_THRESHOLD))
            else:
                decisions, reasons = decide(threshold, np.array([chance]))
                rows.append((decisions[0], reasons[0]))
        return predictions.hstack(pl.DataFrame(rows, schema=DECIDED, orient="row"))


def load_guards(folder: Path, heads: Heads) -> Guards:
    """Open what ``fit_guards`` wrote.

    Raises:
        GuardsError: a file is missing, arrays and card are not of one piece, or they belong to other heads.
    """
    if not (folder / WEIGHTS).is_file() or not (folder / CARD).is_file():
        raise GuardsError(f"no guards in folder {folder.name}: materialise probes/guards first")
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    if card.get("kind") == "probe_guards" and card.get("format") != FORMAT:
        raise GuardsError(
            f"the guards in folder {folder.name} are of format {card.get('format')}, this version reads format "
            f"{FORMAT}: materialise probes/guards again"
        )
    arrays = load_file(folder / WEIGHTS)
    if card.get("kind") != "probe_guards" or card.get("guards_version") != _version(arrays, card):
        raise GuardsError(
            f"the guards in folder {folder.name} do not match their card: materialise probes/guards again"
        )
    if card["heads_version"] != heads.version:
        raise GuardsError(
            f"these guards belong to heads {card['heads_version']}, the heads are {heads.version}: materialise "
            "probes/guards again"
        )
    thresholds = [Threshold(**one) for one in card["thresholds"]]
    return Guards(
        version=card["guards_version"],
        heads_version=card["heads_version"],
        model_versions=card["model_versions"],
        level=card["level"],
        thresholds={(one.condition, one.sequence_set): one for one in thresholds},
        scopes={route: _scope(arrays, route) for route in card["model_versions"]},
        preprocessing_versions=card["preprocessing_versions"],
    )


def _same_heads(predictions: pl.DataFrame, vectors: pl.DataFrame, heads: Heads) -> None:
    """The test predictions must be what the heads say of the same vectors."""
    held = predictions.filter((pl.col("encoder") == "spinefm") & (pl.col("evaluation") == "test"))
    held = held.filter(pl.col("head") == "linear") if "head" in held.columns else held
    # A few studies tell whether the two are of one run.
    keys = held["study_key"].unique().sort().head(20).to_list()
    asked = heads.predict(vectors.filter(pl.col("study_key").is_in(keys))) if keys else None
    if asked is None or asked.is_empty():
        return
    both = held.join(asked, on=["study_key", "condition", "sequence_set"], suffix="_asked")
    if both.is_empty() or ((both["probability"] - both["probability_asked"]).abs() > SAME).any():
        raise GuardsError("probes/predictions are not those of probes/heads: materialise probes again")


def _arrays(scope: RouteScope) -> dict[str, np.ndarray]:
    shape = scope.shape
    found = {
        "mean": shape.mean,
        "scale": shape.scale,
        "directions": shape.directions,
        "variances": shape.variances,
        "residual": np.array([shape.residual]),
        "calibration": scope.calibration,
    }
    return {name: np.ascontiguousarray(array, dtype=np.float64) for name, array in found.items()}


def _scope(arrays: Mapping[str, np.ndarray], route: str) -> RouteScope:
    part = {name: arrays[f"{route}.{name}"] for name in ("mean", "scale", "directions", "variances")}
    shape = Ellipsoid(**part, residual=float(arrays[f"{route}.residual"][0]))
    return RouteScope(shape, arrays[f"{route}.calibration"])


def _version(arrays: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> str:
    """sha256 (first 16 hex digits) over the arrays and what of the card bears on a judgement."""
    digest = hashlib.sha256()
    names = ("format", "heads_version", "model_versions", "preprocessing_versions", "level", "thresholds")
    digest.update(json.dumps({name: card[name] for name in names}, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], dtype="<f8")
        digest.update(f"{name}:{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
