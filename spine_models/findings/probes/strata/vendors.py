"""Train on one vendor, test on every vendor: mean AUROC by category of conditions.

A row's heads are fitted by the very harness of the probes on the train patients of one vendor alone (``all``: on
everybody), then scored once on each vendor's test patients.

Belongs here: vendors of studies, the matrix. Does not belong here: fitting by group, differences (``transfer``).
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.domain import Split, conditions
from spine_models.findings.probes.draws import Bootstrap
from spine_models.findings.probes.evaluate import SPINEFM
from spine_models.findings.probes.strata.resampling import Scored
from spine_models.findings.probes.strata.tables import VENDORS
from spine_models.findings.probes.strata.transfer import Transfer, train_patients, trained_on, transfer
from spine_models.findings.probes.studies import model_versions, study_labels

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
    truths = {ALL: truth} | {name: trained_on(truth, vendors, name) for name in names}
    rows: list[dict[str, object]] = []
    for sequence_set in settings.sets:
        found = transfer(
            study_vectors, sequence_set, truths, dict(zip(truth.study_keys, vendors, strict=True)), names, bootstrap,
            probes=probes, least=settings.min_patients, kind="vendor",
        )  # fmt: skip
        for test, train in itertools.product(names, truths):
            identity = {"encoder": SPINEFM, "sequence_set": sequence_set, "train_vendor": train}
            identity |= {"test_vendor": test}
            part = found.parts[train, test]
            count: dict[str, object] = {"n_train_patients": train_patients(truths[train])}
            if isinstance(part, Scored):
                count |= {"n_test_patients": part.n_patients, "n_test_studies": len(part.study_keys)}
            rows += [
                identity | count | {"category": category} | _row(found, train, test, members)
                for category, members in _categories().items()
            ]
    return pl.DataFrame(rows, schema=VENDORS)


def _row(found: Transfer, train: str, test: str, members: list[int]) -> dict[str, object]:
    part = found.parts[train, test]
    if isinstance(part, str):
        return {"status": "not_evaluable", "reason": part, "n_conditions": 0}
    evaluable, reasons = found.aurocs[train, test]
    count = {"n_conditions": sum(c in evaluable for c in members)}
    mean = found.mean(train, test, members)
    if mean is None:
        missing = sorted({reasons[c] for c in members})
        return count | {"status": "not_evaluable", "reason": f"no condition can be scored: {missing[0]}"}
    return count | {"status": "evaluated"} | mean


def _categories() -> dict[str, list[int]]:
    """Columns of the conditions of every category in file order, then of all."""
    found: dict[str, list[int]] = {}
    for column, condition in enumerate(conditions()):
        found.setdefault(condition.category, []).append(column)
    return found | {EVERY: list(range(len(conditions())))}
