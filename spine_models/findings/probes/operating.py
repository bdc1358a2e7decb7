"""Operating points: from which probability on a study's draft names a condition.

A point is the probability at which as many train studies are flagged as their reports call positive, read off the
out-of-fold predictions. So drafts name as many findings as reports do. The point of the highest F1 was not chosen:
where a head knows little it lies so low that most studies are flagged.

Sets whose vectors may carry the train reports have no cross-validation; theirs is read off the predictions ``seen``,
out of fold as well. No val and no test patient goes into a point.

Belongs here: choosing the points. Does not belong here: points of a fixed specificity (``judgement``), what is said at
them (``reporting.agents``).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from spine_models.domain import condition_keys
from spine_models.findings.probes.compare import SPINEFM
from spine_models.findings.probes.judgement import CV, SEEN
from spine_models.findings.probes.studies import ROUTES_OF_SET, ProbeInputError
from spine_models.findings.probes.tables import OPERATING_POINTS

CHOSEN: Final = "chosen"
NONE: Final = "none"
NO_HEAD: Final = "no head has out-of-fold predictions of this condition and these sequences"
NO_POSITIVE: Final = "no train study is labelled positive"

Points = dict[tuple[str, str], float]
"""Threshold by condition and sequence set."""


def operating_points(predictions: pl.DataFrame, heads_version: str) -> pl.DataFrame:
    """OPERATING_POINTS: a row per condition and sequence set, in file order.

    Args:
        predictions: probes.PREDICTIONS, of the same run as the heads; those of ``spinefm`` by linear heads and
            evaluation cv, or else seen, are used.
        heads_version: of these heads.

    Raises:
        ProbeInputError: a patient who would choose is a test or val patient as well, or a study has two predictions.
    """
    ours = predictions.filter(
        (pl.col("encoder") == SPINEFM) & (pl.col("head") == "linear") & (pl.col("label") >= 0)
    )
    of_train = pl.col("evaluation").is_in([CV, SEEN])
    held = ours.filter(of_train)
    if held.filter(pl.col("patient_key").is_in(ours.filter(~of_train)["patient_key"].implode())).height:
        raise ProbeInputError(
            "a patient has out-of-fold and held-out predictions in probes/predictions: materialise probes again"
        )
    if held.select("study_key", "condition", "sequence_set", "evaluation").is_duplicated().any():
        raise ProbeInputError(
            "a study has two predictions of one condition and set: materialise probes again"
        )
    parts = held.partition_by("condition", "sequence_set", "evaluation", as_dict=True)
    rows = []
    for sequence_set in ROUTES_OF_SET:
        for condition in condition_keys():
            chosen_on = next((e for e in (CV, SEEN) if (condition, sequence_set, e) in parts), None)
            row = {"condition": condition, "sequence_set": sequence_set, "heads_version": heads_version}
            if chosen_on is None:
                rows.append(row | {"status": NONE, "reason": NO_HEAD})
                continue
            rows.append(row | _point(parts[condition, sequence_set, chosen_on]) | {"chosen_on": chosen_on})
    return pl.DataFrame(rows, schema=OPERATING_POINTS)


def _point(rows: pl.DataFrame) -> dict[str, object]:
    labels, chances = rows["label"].to_numpy() == 1, rows["probability"].to_numpy()
    counted = {
        "n_studies": len(labels),
        "n_patients": rows["patient_key"].n_unique(),
        "n_positive": int(labels.sum()),
        "prevalence": float(labels.mean()),
    }
    if not labels.any():
        return counted | {"status": NONE, "reason": NO_POSITIVE}
    threshold = prevalence_threshold(chances, int(labels.sum()))
    flagged = chances >= threshold
    hits = int((flagged & labels).sum())
    return counted | {
        "status": CHOSEN,
        "threshold": threshold,
        "flagged_share": float(flagged.mean()),
        "precision": hits / int(flagged.sum()) if flagged.any() else None,
        "recall": hits / int(labels.sum()),
    }


def prevalence_threshold(probabilities: np.ndarray, positives: int) -> float:
    """The threshold at or above which ``positives`` studies lie, or, where ties forbid it, the nearest number.

    It lies half way between two neighbouring probabilities, so that a study which is a hair's breadth off falls on
    neither side by chance; of two equally near numbers the smaller is taken. Where every study must be flagged it is
    the lowest probability.

    Args:
        probabilities: finite [N], N > 0.
        positives: in 1 .. N.
    """
    distinct, counts = np.unique(probabilities, return_counts=True)
    at_or_above = np.cumsum(counts[::-1])[::-1]
    # Highest first, so that of two equally near numbers the smaller wins.
    order = np.argsort(np.abs(at_or_above[::-1] - positives), kind="stable")
    best = len(distinct) - 1 - int(order[0])
    return float(distinct[best] if best == 0 else (distinct[best - 1] + distinct[best]) / 2)


def thresholds(points: pl.DataFrame) -> Points:
    """Threshold by condition and sequence set, of those that have a point."""
    chosen = points.filter(pl.col("status") == CHOSEN)
    return {(c, s): t for c, s, t in chosen.select("condition", "sequence_set", "threshold").iter_rows()}
