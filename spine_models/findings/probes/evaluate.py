"""The probes' evaluation: each condition, encoder, head and sequence set, by folds and on the test patients.

``cv`` scores the held-out probabilities of the train patients; ``test`` scores, once, the heads fitted on all train
patients. Patients of val, outside or no split are in neither. A sequence set whose vectors may carry the reports of
train patients (a synthesizer's route) has no ``cv``; what its thresholds are drawn from stands in the predictions as
``val`` (val patients, by the final heads) and ``seen`` (out of fold), and is never scored. A combination that cannot be
scored keeps its row, with status ``not_evaluable`` and the reason.

Belongs here: who is scored on what, and the tables of metrics and predictions. Does not belong here: fitting
(``fitting``, ``mil``), scores (``bootstrap``), encoders beside each other (``compare``), saving heads (``heads``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import ProbeSettings
from spine_models.domain import Split, condition_keys
from spine_models.findings.embeddings.versions import Table
from spine_models.findings.probes.aligned import NO_CV, aligned_routes, no_cv_of, reports_seen
from spine_models.findings.probes.bootstrap import SCORES, Replicates, replicate
from spine_models.findings.probes.compare import ALIGNED, SPINEFM, Comparable, compare
from spine_models.findings.probes.fitting import (
    NO_VECTORS,
    FittedSet,
    fit_set,
    fold_count,
    too_few,
    train_folds,
)
from spine_models.findings.probes.judgement import (
    EVALUATIONS,
    Judgement,
    OperatingPoint,
    Scored,
    linear_judgement,
)
from spine_models.findings.probes.scores import patient_draws
from spine_models.findings.probes.sources import source_name
from spine_models.findings.probes.studies import (
    ROUTES_OF_SET,
    ProbeInputError,
    model_versions,
    study_labels,
)
from spine_models.findings.probes.tables import METRICS, PREDICTIONS

__all__ = [
    "EVALUATIONS",
    "NO_VECTORS",
    "SPINEFM",
    "FittedSet",
    "ProbeTables",
    "evaluate_probes",
    "fit_set",
    "fold_count",
    "train_folds",
]

SPLITS: Final = {"cv": Split.TRAIN, "test": Split.TEST}


@dataclass(frozen=True)
class ProbeTables:
    """probes.METRICS, PREDICTIONS, SUMMARY and COMPARISONS."""

    metrics: pl.DataFrame
    predictions: pl.DataFrame
    summary: pl.DataFrame
    comparisons: pl.DataFrame


@dataclass(frozen=True)
class _Draws:
    """Patients of an evaluation, sorted, and how often each is drawn, int32 [P, B]: one matrix for all scores."""

    patients: np.ndarray
    weights: np.ndarray


def evaluate_probes(
    study_vectors: pl.DataFrame,
    baselines: pl.DataFrame | None,
    labels: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    settings: ProbeSettings,
    aligned: pl.DataFrame | None = None,
    more: Sequence[Judgement] = (),
) -> ProbeTables:
    """Score SpineFM's vectors and every baseline's in the same way, on the same folds and bootstrap draws.

    Args:
        study_vectors: embeddings.STUDIES of all batches (encoder ``spinefm`` in the result). Sets with a route of an
            encoder named "synthesizer-..." have no cross-validation.
        baselines: probes.BASELINES of all batches, or None to score SpineFM alone.
        labels: labels.CONSENSUS; -1 is in neither training nor scores.
        splits: patient_key and split.
        settings: folds, grid, bootstrap, specificity, seed.
        aligned: embeddings/aligned of all batches (encoder ``spinefm_aligned``), or None to leave it out. Its train
            patients' reports were trained on, so cross-validation is not evaluable.
        more: judgements by other heads (``mil.fit_mil``), made on the same labels and splits.

    Returns:
        Metrics with exactly conditions x (encoder, head, sequence set) x 2 evaluations rows, the predictions of every
        labelled study that a fitted head covers (with ``val`` and ``seen`` where there is no ``cv``), and the encoders
        beside each other.

    Raises:
        ProbeInputError: mixed model versions, a patient in two splits, duplicated rows, numbers not finite.
    """
    model_versions(study_vectors)
    truth = study_labels(labels, splits)
    folds = train_folds(truth, settings)
    seen = reports_seen(study_vectors, truth.study_keys[truth.split == Split.TRAIN].tolist())
    draws = {}
    for number, evaluation in enumerate(EVALUATIONS):
        patients = np.unique(truth.patient_keys[truth.split == SPLITS[evaluation]])
        drawn = patient_draws(len(patients), settings.bootstrap, (settings.seed, number))
        draws[evaluation] = _Draws(patients, np.ascontiguousarray(drawn.T))

    def judgements() -> Iterator[Judgement]:
        for encoder, frame in _encoders(study_vectors, baselines, aligned, settings):
            for sequence_set in ROUTES_OF_SET:
                found = fit_set(frame, sequence_set, truth, folds, settings)
                ours = encoder == SPINEFM
                reason = no_cv_of(sequence_set, seen) if ours else NO_CV if encoder == ALIGNED else None
                yield linear_judgement(found, encoder, sequence_set, no_cv=reason, calibrates=ours)
        yield from more

    metrics: list[dict[str, object]] = []
    predictions: list[pl.DataFrame] = []
    comparable: list[Comparable] = []
    for judged in judgements():
        for number, condition in enumerate(condition_keys()):
            for part, scored in judged.calibrating(truth, number).items():
                identity = {"condition": condition, "evaluation": part} | judged.identity
                predictions.append(scored.frame(identity))
        for evaluation in EVALUATIONS:
            for number, condition in enumerate(condition_keys()):
                scored = judged.scored(truth, evaluation, number)
                identity = {"condition": condition, "evaluation": evaluation} | judged.identity
                reason = judged.no_cv if evaluation == "cv" else None
                reason = reason or judged.unfit[number] or _unscorable(scored, evaluation, settings)
                found = None if reason else _replicates(scored, draws[evaluation], settings)
                point = judged.operating_point(truth, number, settings.specificity)
                metrics.append(identity | _row(scored, found, reason, settings, point))
                comparable.append(Comparable(**identity, scored=scored, found=found, reason=reason))
                if scored.probability is not None:
                    predictions.append(scored.frame(identity))
    summary, comparisons = compare(
        comparable,
        lambda scored, evaluation: _replicates(scored, draws[evaluation], settings),
    )
    table = pl.concat(predictions) if predictions else pl.DataFrame(schema=PREDICTIONS)
    order = ["condition", "encoder", "head", "sequence_set", "evaluation", "study_key"]
    return ProbeTables(pl.DataFrame(metrics, schema=METRICS), table.sort(order), summary, comparisons)


def _unscorable(scored: Scored, evaluation: str, settings: ProbeSettings) -> str | None:
    return too_few(scored.label, scored.patient_keys, settings.min_positive, SPLITS[evaluation].value)


def _replicates(scored: Scored, draws: _Draws, settings: ProbeSettings) -> Replicates:
    members = np.searchsorted(draws.patients, scored.patient_keys)
    return replicate(
        scored.label, scored.probability, members, draws.weights, specificity=settings.specificity
    )


def _row(
    scored: Scored,
    found: Replicates | None,
    reason: str | None,
    settings: ProbeSettings,
    point: OperatingPoint,
) -> dict[str, object]:
    row: dict[str, object] = {
        "status": "not_evaluable" if found is None else "evaluated",
        "reason": reason,
        "n_studies": len(scored.label),
        "n_patients": len(np.unique(scored.patient_keys)),
        "n_positive": int((scored.label == 1).sum()),
        "specificity": settings.specificity,
        "threshold": point.threshold,
        "threshold_on": point.chosen_on,
    }
    for score in SCORES if found is not None else ():
        interval = found.interval(score)
        row |= {score: interval.value, f"{score}_low": interval.low, f"{score}_high": interval.high}
    return row


def _encoders(
    study_vectors: pl.DataFrame,
    baselines: pl.DataFrame | None,
    aligned: pl.DataFrame | None,
    settings: ProbeSettings,
) -> list[tuple[str, pl.DataFrame]]:
    """SpineFM, plain and aligned, the configured baselines, any others in the frame; each with its vectors."""
    found = [(SPINEFM, study_vectors)]
    if aligned is not None:
        found.append((ALIGNED, aligned_routes(aligned)))
    if baselines is not None:
        wanted = [source_name(entry) for entry in settings.baselines]
        extra = sorted(set(baselines["encoder"].to_list()) - set(wanted))
        for name in (*wanted, *extra):
            own = baselines.filter(pl.col("encoder") == name)
            model_versions(
                own,
                Table(f"probes/baselines of {name}", "materialise probes/baselines again", ProbeInputError),
            )
            found.append((name, own))
    return found
