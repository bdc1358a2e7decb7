"""How well heads of levels know, on patients that they never saw, beside a prior that looks at no pixel.

The prior gives every place the share of train studies with that level in view whose report names the condition there.

Belongs here: PREDICTIONS of val and test patients, SKILL with intervals over patients. Does not belong here: fitting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.corpus.statements import Reference
from spine_models.domain import Split, condition_keys
from spine_models.findings.levelwise.fit import CV, Fitted
from spine_models.findings.levelwise.heads import LevelHeads
from spine_models.findings.levelwise.tables import PREDICTIONS, SKILL
from spine_models.findings.levelwise.targets import labels_of
from spine_models.findings.probes.scores import INTERVAL, auroc, calibration_error, patient_draws

TEST: Final = Split.TEST.value
LEAST: Final = 2
"""Test patients with and without the condition, below which nothing is measured."""


def held_out(
    views: pl.DataFrame, splits: pl.DataFrame, reports: Mapping[str, Reference], heads: LevelHeads
) -> pl.DataFrame:
    """PREDICTIONS of val and test patients by the published heads.

    Args:
        views: tables.VIEWS.
        splits: patient_key and split.
        reports: ``targets.references``; a study without one has unknown labels.
        heads: fitted, with their version.
    """
    own = views.join(
        splits.filter(pl.col("split") != Split.TRAIN.value)
        .select("patient_key", "split")
        .unique("patient_key"),
        on="patient_key",
        how="inner",
        maintain_order="left",
    )
    said = heads.predict(own.drop("split"))
    parts = [
        rows.with_columns(label=pl.Series(labels_of(rows, reports, [str(condition)])[:, 0]))
        for (condition,), rows in said.partition_by("condition", as_dict=True, maintain_order=True).items()
    ]
    empty = said.clear().with_columns(label=pl.lit(None, dtype=pl.Int8))
    owners = own.select(
        "batch_key", "patient_key", "split", level_uncertain=~pl.col("settled")
    ).with_row_index("view")
    return (
        pl.concat([empty, *parts])
        .join(owners, on="view", how="left", maintain_order="left")
        .with_columns(evaluation=pl.col("split"), heads_version=pl.lit(heads.version))
        .select(*PREDICTIONS)
        .cast(dict(PREDICTIONS))
    )


def skill(fitted: Fitted, predictions: pl.DataFrame, *, settings: LocalizationSettings) -> pl.DataFrame:
    """SKILL, a row per condition in file order.

    Args:
        fitted: of ``fit_level_heads``, with the heads' version.
        predictions: PREDICTIONS of all patients, out of fold of train patients.
        settings: bootstrap and seed.
    """
    rows = []
    for condition in condition_keys():
        own = predictions.filter((pl.col("condition") == condition) & (pl.col("label") >= 0))
        train, test = own.filter(evaluation=CV), own.filter(evaluation=TEST)
        row: dict[str, Any] = {"condition": condition, "heads_version": fitted.heads.version}
        head = fitted.heads.heads.get(condition)
        if head is None:
            reason = fitted.heads.card["missing"][condition]
            rows.append(row | {"status": "not_fitted", "reason": reason, "unmeasured": "there is no head"})
            continue
        hits = train.filter(pl.col("flagged") & (pl.col("label") == 1)).height
        flagged, positive = int(train["flagged"].sum()), int((train["label"] == 1).sum())
        rows.append(
            row
            | {
                "status": "fitted",
                "sided": head.kind.sided,
                "n_patients": train["patient_key"].n_unique(),
                "n_places": train.height,
                "n_positive": positive,
                "threshold": head.threshold,
                "precision": hits / flagged if flagged else None,
                "recall": hits / positive,
            }
            | _measured(train, test, settings)
        )
    return pl.DataFrame([{name: row.get(name) for name in SKILL} for row in rows], schema=SKILL)


def prior_of(train: pl.DataFrame) -> pl.DataFrame:
    """Share of train places with the condition by level, with one place of the mean share added to each level.

    Args:
        train: PREDICTIONS of one condition with known labels.
    """
    mean = float((train["label"] == 1).mean() or 0.0)
    named = (pl.col("label") == 1).sum()
    return train.group_by("level").agg(prior=(named + mean) / (pl.len() + 1))


def _measured(train: pl.DataFrame, test: pl.DataFrame, settings: LocalizationSettings) -> dict[str, Any]:
    counts = {
        "test_patients": test["patient_key"].n_unique(),
        "test_positive": int((test["label"] == 1).sum()),
    }
    owners = {label: test.filter(label=label)["patient_key"].n_unique() for label in (0, 1)}
    if min(owners.values()) < LEAST:
        return counts | {
            "unmeasured": f"{owners[1]} test patients with and {owners[0]} without it, {LEAST} of each are needed"
        }
    mean = float((train["label"] == 1).mean() or 0.0)
    rows = test.join(prior_of(train), on="level", how="left", maintain_order="left").with_columns(
        pl.col("prior").fill_null(mean)
    )
    studies = rows.group_by("study_key", "patient_key", maintain_order=True).agg(
        pl.col("label").max(), pl.col("probability").max()
    )
    return counts | {
        **_with_interval("auroc", rows, "probability", settings),
        **_with_interval("prior_auroc", rows, "prior", settings),
        **_with_interval("study_auroc", studies, "probability", settings),
        "ece": calibration_error(rows["label"].to_numpy().astype(float), rows["probability"].to_numpy()),
    }


def _with_interval(
    name: str, rows: pl.DataFrame, score: str, settings: LocalizationSettings
) -> dict[str, Any]:
    """AUROC of a column with its 95 % interval over patients; null where there is one class only."""
    patients, member = np.unique(rows["patient_key"].to_numpy(), return_inverse=True)
    labels, scores = rows["label"].to_numpy(), rows[score].to_numpy()
    value = float(auroc(labels, scores)[0])
    if not np.isfinite(value):
        return {}
    draws = patient_draws(len(patients), settings.bootstrap, [settings.seed, len(patients)])
    low, high = np.nanpercentile(auroc(labels, scores, draws[:, member].astype(float)), INTERVAL)
    return {name: value, f"{name}_low": float(low), f"{name}_high": float(high)}
