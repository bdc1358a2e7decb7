"""The table of the ablations: each variant's mean AUROC and AUPRC beside its reference's, paired by patient.

All variants of a question are scored on the same studies, conditions, folds and bootstrap draws, so that a difference
is one of variants. A condition counts where every variant can be evaluated on it.

Belongs here: pairing. Does not belong here: fitting (``probes.evaluate``), draws and means (``probes.draws``), the
vectors (``vectors``), recall (``recall``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import ProbeSettings
from spine_models.domain import Split
from spine_models.findings.ablations.tables import SCORES
from spine_models.findings.ablations.variants import COMPARISONS, Comparison
from spine_models.findings.embeddings.versions import Table
from spine_models.findings.probes.draws import Bootstrap, Replicated, Score, mean_of
from spine_models.findings.probes.evaluate import FittedSet, fit_set, train_folds
from spine_models.findings.probes.scores import auroc, average_precision
from spine_models.findings.probes.strata.resampling import Scored, scored, too_few
from spine_models.findings.probes.studies import ProbeInputError, StudyLabels, model_versions, study_labels

MEASURES: Final = {"auroc": auroc, "auprc": average_precision}
SPLITS: Final = {"cv": Split.TRAIN, "test": Split.TEST}


def score_ablations(
    vectors: pl.DataFrame, labels: pl.DataFrame, splits: pl.DataFrame, *, settings: ProbeSettings
) -> pl.DataFrame:
    """SCORES of every question that has vectors of its reference and of a variant.

    Args:
        vectors: ablations.VECTORS.
        labels: labels.CONSENSUS.
        splits: patient_key and split.
        settings: of the probes: folds, grid, bootstrap, least number of patients, seed.

    Raises:
        ProbeInputError: two vectors of one study, a variant's vectors of one route from two models, a patient in two
            splits, duplicated rows.
    """
    truth = study_labels(labels, splits)
    folds = train_folds(truth, settings)
    rows: list[dict[str, object]] = []
    for question, comparison in COMPARISONS.items():
        own = vectors.filter(pl.col("question") == question.value)
        names = own["variant"].unique().sort().to_list()
        if comparison.reference not in names or len(names) < 2:
            continue
        for name in names:
            table = Table(
                f"ablations/vectors of {name}", "materialise ablations/vectors again", ProbeInputError
            )
            model_versions(own.filter(pl.col("variant") == name), table)
        for sequence_set in comparison.sequence_sets:
            fitted = {
                name: fit_set(own.filter(pl.col("variant") == name), sequence_set, truth, folds, settings)
                for name in names
            }
            for evaluation in comparison.evaluations:
                found = _compared(comparison, fitted, truth, evaluation, settings)
                place = {"question": question.value, "sequence_set": sequence_set, "evaluation": evaluation}
                rows += [place | row for row in found]
    return pl.DataFrame(rows, schema=SCORES)


def _compared(
    comparison: Comparison,
    fitted: dict[str, FittedSet],
    truth: StudyLabels,
    evaluation: str,
    settings: ProbeSettings,
) -> Iterator[dict[str, object]]:
    """One row per variant and measure, the reference first."""
    order = sorted(fitted, key=lambda name: (name != comparison.reference, name))
    sides = _on_common_studies([scored(fitted[name], truth, evaluation) for name in order])
    labels, patients = sides[0].labels, sides[0].patient_keys
    chosen = [
        c
        for c in range(labels.shape[1])
        if too_few(labels[:, c], patients, settings.min_positive) is None
        and all(np.isfinite(side.probabilities[labels[:, c] >= 0, c]).all() for side in sides)
    ]
    count = {"conditions": len(chosen), "n_studies": len(patients)}
    if not chosen:
        reason = "no condition has enough patients of both kinds with vectors of every variant"
        for name in order:
            for measure in MEASURES:
                yield _named(comparison, name, measure) | count | {"reason": reason}
        return
    bootstrap = Bootstrap.of(patients, settings.bootstrap, (settings.seed, list(SPLITS).index(evaluation)))
    for measure, score in MEASURES.items():
        found = [_mean_score(score, side, chosen, bootstrap) for side in sides]
        for name, own in zip(order, found, strict=True):
            held = own.columns("value")
            row: dict[str, object] = _named(comparison, name, measure) | count
            row |= {"value": own.value, "low": held["value_low"], "high": held["value_high"]}
            if name != comparison.reference:
                gain = found[0].gain_over(own)
                row |= (found[0] - own).columns("difference") | gain.columns("relative_gain")
                row |= {} if np.isfinite(gain.value) else {"relative_gain": None}
            yield row


def _named(comparison: Comparison, variant: str, measure: str) -> dict[str, object]:
    return {"variant": variant, "is_reference": variant == comparison.reference, "measure": measure}


def _on_common_studies(sides: Sequence[Scored]) -> list[Scored]:
    """Each variant on the studies that all of them have, in key order."""
    common = reduce(np.intersect1d, [side.study_keys for side in sides])
    orders = [np.argsort(side.study_keys) for side in sides]
    return [
        side.where(order[np.isin(side.study_keys[order], common)])
        for side, order in zip(sides, orders, strict=True)
    ]


def _mean_score(score: Score, side: Scored, chosen: Sequence[int], bootstrap: Bootstrap) -> Replicated:
    """Mean of a score over conditions.

    Conditions are summed as deviations from their own values, which keeps the last bit of tables that are published.
    """
    parts = []
    for c in chosen:
        used = side.labels[:, c] >= 0
        label, chances = side.labels[used, c], side.probabilities[used, c]
        parts.append(bootstrap.score(score, label, chances, side.patient_keys[used]))
    apart = mean_of([Replicated(0.0, part.replicates - part.value) for part in parts])
    value = float(np.mean([part.value for part in parts]))
    return Replicated(value, value + apart.replicates)
