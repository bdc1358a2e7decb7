"""From one cohort to another: heads fitted on one hospital's train patients, tested on another's.

A cohort with reports has the consensus as labels. One in the RSNA LumbarDISC layout has none: its graded levels are
collapsed as the paper does, any level of grade 1 or more is present, all graded and none is absent, everything else
(cells left empty and nothing found) is -1. Three conditions have such grades.

Tested are the cohort's patients of val and test: nobody's weights were fitted on them (val chose when encoders stopped
training). Within-cohort rows are tested on the same patients, for reference.

Belongs here: cohorts of studies, collapsed labels, the transfer table. Does not belong here: fitting (``evaluate``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.domain import Split, condition_keys
from spine_models.findings.probes.evaluate import SPINEFM, fit_set, train_folds
from spine_models.findings.probes.strata.resampling import (
    Bootstrap,
    Replicated,
    Scored,
    condition_aurocs,
    difference,
    mean_of,
    scored,
)
from spine_models.findings.probes.strata.tables import COHORTS
from spine_models.findings.probes.studies import StudyLabels, model_versions, study_labels

GRADED: Final = ("canal", "neuroforaminal", "subarticular")
MEAN: Final = "mean"
TESTED: Final = (Split.VAL.value, Split.TEST.value)
LABELS: Final = pl.Schema(
    {"study_key": pl.String, "patient_key": pl.String, "condition": pl.String, "label": pl.Int8}
)


def cohort_of(batch_key: str) -> str:
    """Cohort of a batch: its key without the running number (``rsna-0001`` is of ``rsna``)."""
    return batch_key.rpartition("-")[0] or batch_key


def collapsed_labels(annotations: pl.DataFrame) -> pl.DataFrame:
    """Labels of the three graded conditions over all levels and sides.

    Args:
        annotations: deid.ANNOTATIONS; rows of kind ``label``, grade null for an empty cell.

    Returns:
        study_key, patient_key, condition, label (1, 0, -1), sorted; one row per annotated study and condition.
    """
    cells = annotations.filter((pl.col("kind") == "label") & pl.col("condition").is_in(GRADED))
    grade = pl.col("grade")
    label = (
        pl.when((grade >= 1).any())
        .then(pl.lit(1))
        .when(grade.is_not_null().all())
        .then(pl.lit(0))
        .otherwise(pl.lit(-1))
    )
    found = cells.group_by("study_key", "patient_key", "condition").agg(label=label.cast(pl.Int8))
    return found.select(pl.col(name).cast(kind) for name, kind in LABELS.items()).sort(*LABELS)


def transfer_labels(consensus: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    """Labels of the graded conditions: the consensus, and the grades of studies that no report speaks of."""
    reported = consensus.filter(pl.col("condition").is_in(GRADED)).select(
        pl.col(name).cast(kind) for name, kind in LABELS.items()
    )
    graded = collapsed_labels(annotations).join(reported, on="study_key", how="anti")
    return pl.concat([reported, graded])


def cohort_transfer(
    study_vectors: pl.DataFrame,
    consensus: pl.DataFrame,
    annotations: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    probes: ProbeSettings,
    settings: StratumSettings,
) -> pl.DataFrame:
    """probes.COHORTS: sequence sets x cohorts x cohorts x (three conditions and their mean).

    Args:
        study_vectors: embeddings.STUDIES of all batches; a study's cohort is that of its batch.
        consensus: labels.CONSENSUS.
        annotations: deid.ANNOTATIONS of all batches.
        splits: patient_key and split.
        probes: folds, grid, least number of patients of either class.
        settings: sequence sets, least number of train patients, bootstrap, seed.

    Returns:
        Empty with no study; within-cohort rows alone with one cohort.

    Raises:
        ProbeInputError: mixed model versions, a patient in two splits, duplicated rows.
    """
    model_versions(study_vectors)
    truth = study_labels(transfer_labels(consensus, annotations), splits)
    home = {
        study: cohort_of(batch)
        for study, batch in study_vectors.select("study_key", "batch_key").unique().iter_rows()
    }
    cohorts = np.array([home.get(key, "") for key in truth.study_keys], dtype=object)
    names = sorted(set(cohorts.tolist()) - {""})
    tested = truth.patient_keys[np.isin(truth.split, TESTED)]
    bootstrap = Bootstrap.of(tested, settings.bootstrap, (settings.seed, 11))
    rows: list[dict[str, object]] = []
    for sequence_set in settings.sets:
        parts: dict[tuple[str, str], Scored | str] = {}
        counts: dict[str, dict[str, object]] = {}
        for train in names:
            own = _trained_on(truth, cohorts, train)
            fitted = own.split == Split.TRAIN
            n = len(np.unique(own.patient_keys[fitted]))
            counts[train] = {"n_train_studies": int(fitted.sum()), "n_train_patients": n}
            if n < settings.min_patients:
                why = f"{n} train patients of this cohort, at least {settings.min_patients} are needed"
                parts |= {(train, test): why for test in names}
                continue
            found = scored(
                fit_set(study_vectors, sequence_set, own, train_folds(own, probes), probes), own, "test"
            )
            of_study = np.array([home[key] for key in found.study_keys], dtype=object)
            parts |= {(train, test): found.where(of_study == test) for test in names}
        for test in names:
            aurocs = {
                train: condition_aurocs(part, bootstrap, probes.min_positive)
                for train in names
                if isinstance(part := parts[train, test], Scored)
            }
            for train in names:
                identity = {"encoder": SPINEFM, "sequence_set": sequence_set, "train_cohort": train}
                identity |= {"test_cohort": test, "test_splits": "+".join(TESTED)}
                for condition in (*GRADED, MEAN):
                    row = _row(condition, parts[train, test], aurocs, train, test)
                    rows.append(identity | counts[train] | row)
    return pl.DataFrame(rows, schema=COHORTS)


def _row(
    condition: str,
    part: Scored | str,
    aurocs: dict[str, tuple[dict[int, Replicated], dict[int, str]]],
    train: str,
    test: str,
) -> dict[str, object]:
    row: dict[str, object] = {"condition": condition, "status": "not_evaluable"}
    if isinstance(part, str):
        return row | {"reason": part}
    found, reasons = aurocs[train]
    columns = [condition_keys().index(key) for key in (GRADED if condition == MEAN else (condition,))]
    if condition != MEAN:
        label = part.labels[:, columns[0]]
        row["n_positive"] = int((label == 1).sum())
        part = part.where(label >= 0)
    row |= {"n_test_studies": len(part.study_keys), "n_test_patients": part.n_patients}
    held = {c: found[c] for c in columns if c in found}
    if not held:
        return row | {"reason": reasons[columns[0]]}
    row |= {"status": "evaluated"} | mean_of(list(held.values())).columns("auroc")
    if train != test and test in aurocs:
        apart = difference(held, {c: one for c, one in aurocs[test][0].items() if c in held})
        row |= {} if apart is None else apart.columns("difference")
    return row


def _trained_on(truth: StudyLabels, cohorts: np.ndarray, cohort: str) -> StudyLabels:
    """One cohort's train patients train, val and test patients of all cohorts are tested."""
    split = np.where(np.isin(truth.split, TESTED), Split.TEST.value, truth.split)
    foreign = (split == Split.TRAIN) & (cohorts != cohort)
    return replace(truth, split=np.where(foreign, Split.OUTSIDE.value, split))
