"""Train on one vendor, test on every vendor: mean AUROC by category of conditions.

A row's heads are fitted by the very harness of the probes on the train patients of one vendor alone (``all``: on
everybody), then scored once on each vendor's test patients. Means of different conditions cannot be compared, so the
difference to training on the tested vendor is taken over the conditions that both heads can tell, on the same patients
and draws.

Belongs here: vendors of studies, the matrix. Does not belong here: fitting (``evaluate``), intervals (``resampling``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.domain import Split, conditions
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
from spine_models.findings.probes.strata.tables import VENDORS
from spine_models.findings.probes.studies import StudyLabels, model_versions, study_labels

ALL: Final = "all"
EVERY: Final = "every"
MIXED: Final = "mixed"
UNKNOWN: Final = "unknown"
"""A study whose series name two vendors equally often, and one whose headers name none."""


def vendor_of_studies(series: pl.DataFrame) -> dict[str, str]:
    """Vendor by study key: that of most of its series, ``mixed`` on a tie, ``unknown`` where none is named.

    Args:
        series: sequences.SERIES.
    """
    named = series.filter(pl.col("vendor").is_not_null())
    votes = named.group_by("study_key", "vendor").agg(n=pl.len())
    most = votes.filter(pl.col("n") == pl.col("n").max().over("study_key"))
    winners = most.group_by("study_key").agg(vendor=pl.col("vendor").min(), tied=pl.len() > 1)
    chosen = winners.with_columns(pl.when("tied").then(pl.lit(MIXED)).otherwise("vendor").alias("vendor"))
    found = dict.fromkeys(series["study_key"].to_list(), UNKNOWN)
    return found | dict(chosen.select("study_key", "vendor").iter_rows())


def vendor_matrix(
    study_vectors: pl.DataFrame,
    labels: pl.DataFrame,
    splits: pl.DataFrame,
    series: pl.DataFrame,
    *,
    probes: ProbeSettings,
    settings: StratumSettings,
) -> pl.DataFrame:
    """probes.VENDORS: sequence sets x (vendors and all) x vendors x (categories and every).

    Args:
        study_vectors: embeddings.STUDIES of all batches.
        labels: labels.CONSENSUS.
        splits: patient_key and split.
        series: sequences.SERIES of all batches.
        probes: folds, grid, least number of patients of either class.
        settings: sequence sets, least number of train patients of a vendor, bootstrap, seed.

    Raises:
        ProbeInputError: mixed model versions, a patient in two splits, duplicated rows.
    """
    model_versions(study_vectors)
    truth = study_labels(labels, splits)
    vendor_of = vendor_of_studies(series)
    vendors = np.array([vendor_of.get(key, UNKNOWN) for key in truth.study_keys], dtype=object)
    names = sorted(set(vendors.tolist()))
    tested = truth.patient_keys[truth.split == Split.TEST]
    bootstrap = Bootstrap.of(tested, settings.bootstrap, (settings.seed, 10))
    rows: list[dict[str, object]] = []
    for sequence_set in settings.sets:
        parts: dict[tuple[str, str], Scored | str] = {}
        trained: dict[str, int] = {}
        for train in (ALL, *names):
            own = _trained_on(truth, vendors, train)
            trained[train] = len(np.unique(own.patient_keys[own.split == Split.TRAIN]))
            if trained[train] < settings.min_patients:
                why = f"{trained[train]} train patients of this vendor, at least {settings.min_patients} are needed"
                parts |= {(train, test): why for test in names}
                continue
            found = scored(
                fit_set(study_vectors, sequence_set, own, train_folds(own, probes), probes), own, "test"
            )
            of_study = np.array([vendor_of.get(key, UNKNOWN) for key in found.study_keys], dtype=object)
            parts |= {(train, test): found.where(of_study == test) for test in names}
        for test in names:
            aurocs = {
                train: condition_aurocs(part, bootstrap, probes.min_positive)
                for train in (ALL, *names)
                if isinstance(part := parts[train, test], Scored)
            }
            for train in (ALL, *names):
                identity = {"encoder": SPINEFM, "sequence_set": sequence_set, "train_vendor": train}
                identity |= {"test_vendor": test}
                part = parts[train, test]
                count = {"n_train_patients": trained[train]}
                if isinstance(part, str):
                    blank = {"status": "not_evaluable", "reason": part, "n_conditions": 0}
                    rows += [identity | count | blank | {"category": c} for c in _categories()]
                    continue
                count |= {"n_test_patients": part.n_patients, "n_test_studies": len(part.study_keys)}
                rows += [
                    identity | count | _row(category, members, aurocs, train, test)
                    for category, members in _categories().items()
                ]
    return pl.DataFrame(rows, schema=VENDORS)


def _row(
    category: str,
    members: list[int],
    aurocs: dict[str, tuple[dict[int, Replicated], dict[int, str]]],
    train: str,
    test: str,
) -> dict[str, object]:
    found, reasons = aurocs[train]
    held = {c: one for c, one in found.items() if c in members}
    row: dict[str, object] = {"category": category, "n_conditions": len(held)}
    if not held:
        missing = sorted({reasons[c] for c in members})
        return row | {"status": "not_evaluable", "reason": f"no condition can be scored: {missing[0]}"}
    row |= {"status": "evaluated"} | mean_of(list(held.values())).columns("auroc")
    if train != test and test in aurocs:
        apart = difference(held, aurocs[test][0])
        row |= {} if apart is None else apart.columns("difference")
    return row


def _trained_on(truth: StudyLabels, vendors: np.ndarray, vendor: str) -> StudyLabels:
    """The labels with every other vendor's train studies set outside."""
    if vendor == ALL:
        return truth
    foreign = (truth.split == Split.TRAIN) & (vendors != vendor)
    return replace(truth, split=np.where(foreign, Split.OUTSIDE.value, truth.split))


def _categories() -> dict[str, list[int]]:
    """Columns of the conditions of every category in file order, then of all."""
    found: dict[str, list[int]] = {}
    for column, condition in enumerate(conditions()):
        found.setdefault(condition.category, []).append(column)
    return found | {EVERY: list(range(len(conditions())))}
