"""Fitting of the heads of levels on the reports of train patients.

One penalised logistic regression per condition, on all its places at once; the same penalty for all. Train patients are
dealt into folds: what is said of a place out of fold calibrates the heads, chooses their operating points and is what a
report model is conditioned on. Components, which know no label, are those of all train patients, and slope and
threshold are fitted on the very predictions that they are applied to: figures out of fold are a little better than they
would be elsewhere, those of test patients are not. Val and test patients are never read in a fit.

Belongs here: the order of fits, folds, operating points. Does not belong here: scores of test patients (``skill``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.corpus.statements import Reference
from spine_models.domain import Split, condition_keys
from spine_models.encoder.seen import PATIENTS
from spine_models.findings.levelwise.components import find_components, vectors_of
from spine_models.findings.levelwise.heads import PLAIN, SIDED, Head, LevelHeads, inputs_of
from spine_models.findings.levelwise.tables import PREDICTIONS
from spine_models.findings.levelwise.targets import KINDS, Kind, kinds_of, labels_of, places_of
from spine_models.findings.localization.tokens import LocalizationError
from spine_models.findings.probes.calibration import fit_platt, probabilities
from spine_models.findings.probes.folds import patient_folds
from spine_models.findings.probes.logistic import Basis, fit
from spine_models.findings.probes.operating import prevalence_threshold

CV: Final = "cv"
TRAIN: Final = Split.TRAIN.value
NO_LADDER: Final = "no level of a train study is in view"


@dataclass(frozen=True)
class Fitted:
    """What ``fit_level_heads`` found.

    Attributes:
        heads: to be saved; its card has ``missing``, the reason by condition without a head.
        out_of_fold: rows of PREDICTIONS of train patients, without heads_version.
        patients: encoder.seen.PATIENTS.
        kinds: of every condition's places.
    """

    heads: LevelHeads
    out_of_fold: pl.DataFrame
    patients: pl.DataFrame
    kinds: dict[str, Kind]


def chosen_studies(
    studies: pl.DataFrame, splits: pl.DataFrame, settings: LocalizationSettings
) -> pl.DataFrame:
    """Studies to fit on, at most ``max_studies``, and a quarter as many of each other split to score on.

    Args:
        studies: batch_key, patient_key, study_key.
        splits: patient_key and split (shards.SPLITS).

    Returns:
        batch_key, patient_key, study_key and split, sorted by study.
    """
    own = (
        studies.select("batch_key", "patient_key", "study_key")
        .unique("study_key")
        .join(splits.select("patient_key", "split").unique("patient_key"), on="patient_key", how="inner")
        .sort("study_key")
    )
    drawn = own[own["study_key"].hash(settings.seed).arg_sort()]
    most = settings.levelwise.max_studies
    place = pl.int_range(pl.len()).over("split")
    allowed = pl.when(pl.col("split") == TRAIN).then(most).otherwise(-(-most // 4))
    return drawn.filter(place < allowed).sort("study_key")


def fit_level_heads(
    views: pl.DataFrame,
    splits: pl.DataFrame,
    reports: Mapping[str, Reference],
    *,
    settings: LocalizationSettings,
) -> Fitted:
    """Fit every condition that has enough places.

    Args:
        views: tables.VIEWS of any patients; those of train patients with a report are fitted on.
        splits: patient_key and split, one a patient.
        reports: ``targets.references``.
        settings: numbers.

    Raises:
        LocalizationError: views of several versions, or vectors that are not finite.
    """
    own = (
        views.join(splits.filter(split=TRAIN).select("patient_key").unique(), on="patient_key", how="semi")
        .filter(pl.col("study_key").is_in(list(reports)))
        .sort("study_key", maintain_order=True)
    )
    kinds = kinds_of(reports[study] for study in own["study_key"].unique().sort())
    heads = LevelHeads(
        models_version=_one(views["models_version"], "localization models"),
        model_versions=_one(views["model_versions"].list.join("|"), "encoders").split("|")
        if views.height
        else [],
        preprocessing=sorted(own["preprocessing_version"].unique()),
        card={"missing": dict.fromkeys(condition_keys(), NO_LADDER)},
    )
    parts = [pl.DataFrame(schema={n: t for n, t in PREDICTIONS.items() if n != "heads_version"})]
    if own.height:
        heads.card["missing"] = {}
        heads.components = _components(own, settings)
        folds = _folds(own, reports, settings)
        for kind in KINDS:
            parts += _fit_kind(
                own, kind, [c for c in condition_keys() if kinds[c] == kind], reports, folds, heads, settings
            )
    rows = own.group_by("patient_key").agg(n=pl.col("study_key").n_unique().cast(pl.Int32))
    patients = rows.with_columns(training=pl.lit("levels"), route=pl.lit("all"), role=pl.lit("train"))
    heads.heads = {c: heads.heads[c] for c in condition_keys() if c in heads.heads}
    return Fitted(heads, pl.concat(parts), patients.select(*PATIENTS).sort("patient_key"), kinds)


def _one(versions: pl.Series, name: str) -> str:
    found = versions.unique().sort().to_list()
    if len(found) > 1:
        raise LocalizationError(
            f"views of levels are of {len(found)} versions of {name}: materialise localization/level_views of every"
            " batch again"
        )
    return str(found[0]) if found else ""


def _components(views: pl.DataFrame, settings: LocalizationSettings) -> dict:
    numbers = settings.levelwise
    found = {}
    for name, sided in ((PLAIN, False), (SIDED, True)):
        places = pl.concat([places_of(views, kind) for kind in KINDS if kind.sided == sided])
        if places.height > numbers.max_places:
            picked = np.random.default_rng(settings.seed).choice(
                places.height, numbers.max_places, replace=False
            )
            places = places[np.sort(picked).tolist()]
        vectors = vectors_of(views, places, sided=sided)
        if not np.isfinite(vectors).all():
            raise LocalizationError(
                "views of levels are not finite: materialise localization/level_views of every batch again"
            )
        found[name] = find_components(vectors, numbers.components, seed=settings.seed)
    return found


def _folds(
    views: pl.DataFrame, reports: Mapping[str, Reference], settings: LocalizationSettings
) -> dict[str, int]:
    """Fold by patient; every condition spread evenly."""
    studies = views.select("patient_key", "study_key").unique("study_key").sort("study_key")
    labels = np.array(
        [
            [int(any(unit.condition == c for unit in reports[study].units)) for c in condition_keys()]
            for study in studies["study_key"]
        ],
        dtype=np.int8,
    )
    patients = studies["patient_key"].to_numpy()
    folds = patient_folds(patients, labels, folds=settings.levelwise.folds, seed=settings.seed)
    return dict(zip(patients, (int(fold) for fold in folds), strict=True))


def _fit_kind(
    views: pl.DataFrame,
    kind: Kind,
    conditions: list[str],
    reports: Mapping[str, Reference],
    fold_of: Mapping[str, int],
    heads: LevelHeads,
    settings: LocalizationSettings,
) -> Iterator[pl.DataFrame]:
    """Heads of the conditions of one kind of place into ``heads``; their predictions out of fold."""
    if not conditions:
        return
    numbers = settings.levelwise
    places, inputs = inputs_of(views, kind, heads.components)
    labels = labels_of(places, reports, conditions)
    patients = (
        views["patient_key"].to_numpy()[places["view"].to_numpy()] if places.height else np.zeros(0, str)
    )
    folds = np.array([fold_of[patient] for patient in patients], dtype=np.int64)
    learned = []
    for column, condition in enumerate(conditions):
        positive = labels[:, column] == 1
        owners = len(set(patients[positive]))
        # Every fit has both classes only where every fold leaves some of either to the others.
        spread = all(len(set(folds[labels[:, column] == label])) > 1 for label in (0, 1))
        if positive.sum() < numbers.min_positive or owners < numbers.min_patients:
            heads.card["missing"][condition] = (
                f"{int(positive.sum())} train places of {owners} patients,"
                f" {numbers.min_positive} of {numbers.min_patients} are needed"
            )
        elif not spread:
            heads.card["missing"][condition] = (
                "places with it, or without it, are in one fold of patients alone"
            )
        else:
            learned.append(column)
    if not learned:
        return
    known = labels[:, learned]
    held_out = np.full(known.shape, np.nan)
    for fold in np.unique(folds):
        here = folds == fold
        weights, bias = _solve(inputs[~here], known[~here], numbers.penalty)
        held_out[here] = inputs[here] @ weights + bias
    weights, bias = _solve(inputs, known, numbers.penalty)
    # As they are stored: what is published and what is loaded again says the same.
    weights = weights.astype(np.float32).astype(np.float64)
    slope, shift = fit_platt(held_out, known)
    chance = probabilities(held_out, slope, shift)
    for at, column in enumerate(learned):
        condition = conditions[column]
        usable = known[:, at] >= 0
        wanted = max(1, round(numbers.named * int((known[:, at] == 1).sum())))
        threshold = prevalence_threshold(chance[usable, at], wanted)
        heads.heads[condition] = Head(
            kind, weights[:, at], float(bias[at]), float(slope[at]), float(shift[at]), threshold
        )
        owners = views.select("batch_key", "patient_key", level_uncertain=~pl.col("settled"))[
            places["view"].to_numpy().tolist()
        ]
        yield (
            pl.concat([owners, places.select("study_key", "level", "side")], how="horizontal")
            .with_columns(
                split=pl.lit(TRAIN),
                evaluation=pl.lit(CV),
                condition=pl.lit(condition),
                label=pl.Series(known[:, at]),
                probability=pl.Series(chance[:, at]),
                flagged=pl.Series(chance[:, at] >= threshold),
            )
            .select(*(name for name in PREDICTIONS if name != "heads_version"))
        )


def _solve(inputs: np.ndarray, labels: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights [K, C] and intercepts [C]; the inputs are taken as they are, not standardised."""
    mean = inputs.mean(axis=0)
    centred = inputs - mean
    basis = Basis(mean, np.ones_like(mean), np.eye(len(mean)), centred, (centred**2).sum(axis=0))
    strengths = 1.0 / (penalty * (labels >= 0).sum(axis=0))
    weights, bias = fit(basis, labels, strengths)
    return weights, bias - mean @ weights
