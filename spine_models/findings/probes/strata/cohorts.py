"""From one cohort to another: heads fitted on one hospital's train patients, tested on another's.

A cohort with reports has the consensus as labels. One in the RSNA LumbarDISC layout has none: its graded levels are
collapsed as the paper does, any level of grade 1 or more is present, all graded and none is absent, everything else
(cells left empty and nothing found) is -1. Three conditions have such grades.

Tested are the cohort's patients of val and test: nobody's weights were fitted on them (val chose when encoders stopped
training). Within-cohort rows are tested on the same patients, for reference.

Belongs here: cohorts of studies, collapsed labels, the transfer table. Does not belong here: fitting by
group, differences (``transfer``).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.domain import Split, cohort_of, condition_keys
from spine_models.findings.probes.draws import Bootstrap
from spine_models.findings.probes.evaluate import SPINEFM
from spine_models.findings.probes.strata.tables import COHORTS
from spine_models.findings.probes.strata.transfer import Transfer, train_patients, trained_on, transfer
from spine_models.findings.probes.studies import model_versions, study_labels

GRADED: Final = ("canal", "neuroforaminal", "subarticular")
MEAN: Final = "mean"
TESTED: Final = (Split.VAL.value, Split.TEST.value)
LABELS: Final = pl.Schema(
    {"study_key": pl.String, "patient_key": pl.String, "condition": pl.String, "label": pl.Int8}
)


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
    held_out = np.isin(truth.split, TESTED)
    bootstrap = Bootstrap.of(truth.patient_keys[held_out], settings.bootstrap, (settings.seed, 11))
    tested = replace(truth, split=np.where(held_out, Split.TEST.value, truth.split))
    truths = {name: trained_on(tested, cohorts, name) for name in names}
    rows: list[dict[str, object]] = []
    for sequence_set in settings.sets:
        found = transfer(
            study_vectors, sequence_set, truths, home, names, bootstrap,
            probes=probes, least=settings.min_patients, kind="cohort",
        )  # fmt: skip
        for test, train in itertools.product(names, names):
            identity = {"encoder": SPINEFM, "sequence_set": sequence_set, "train_cohort": train}
            identity |= {"test_cohort": test, "test_splits": "+".join(TESTED)}
            own = truths[train]
            identity |= {"n_train_studies": int((own.split == Split.TRAIN).sum())}
            identity |= {"n_train_patients": train_patients(own)}
            rows += [identity | _row(found, train, test, condition) for condition in (*GRADED, MEAN)]
    return pl.DataFrame(rows, schema=COHORTS)


def _row(found: Transfer, train: str, test: str, condition: str) -> dict[str, object]:
    row: dict[str, object] = {"condition": condition, "status": "not_evaluable"}
    part = found.parts[train, test]
    if isinstance(part, str):
        return row | {"reason": part}
    columns = [condition_keys().index(key) for key in (GRADED if condition == MEAN else (condition,))]
    if condition != MEAN:
        label = part.labels[:, columns[0]]
        row["n_positive"] = int((label == 1).sum())
        part = part.where(label >= 0)
    row |= {"n_test_studies": len(part.study_keys), "n_test_patients": part.n_patients}
    mean = found.mean(train, test, columns)
    if mean is None:
        return row | {"reason": found.aurocs[train, test][1][columns[0]]}
    return row | {"status": "evaluated"} | mean
