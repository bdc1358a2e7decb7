"""How well reports tell the studies with a condition from those without, condition by condition.

The agents are ranked by the probabilities of their claims and, like every other method, by their text: 1 where it
affirms the condition anywhere, else 0. Studies whose reference is in doubt on the condition are left out.

Belongs here: AUROC per condition and its mean. Does not belong here: places and degrees (``metric``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.config import ScoreSettings
from spine_models.domain import condition_keys
from spine_models.findings.probes.draws import Bootstrap, Replicated, mean_of
from spine_models.reporting.scores.harness import METHODS, Case
from spine_models.reporting.scores.tables import CONDITIONS

PROBABILITY: Final = "probability"
TEXT: Final = "text"
NO_STUDY: Final = "no scored study tells whether it has the condition"
ONE_CLASS: Final = "the studies are all of one class"
NO_CONDITION: Final = "no condition can be evaluated"


def score_conditions(cases: Sequence[Case], claims: pl.DataFrame, *, settings: ScoreSettings) -> pl.DataFrame:
    """``CONDITIONS``.

    Args:
        cases: of ``harness.compare_texts``.
        claims: study_key, condition and probability of ``agents.CLAIMS``; null where not assessed, which is left out.
        settings: of the intervals.
    """
    scored = [case for case in cases if case.compared is not None]
    patients = np.array([case.study["patient_key"] for case in scored])
    bootstrap = Bootstrap.of(patients, settings.bootstrap, (settings.seed, 1))
    known = claims.filter(pl.col("probability").is_not_null())
    chance = {
        (study, condition): probability
        for study, condition, probability in known.select("study_key", "condition", "probability").iter_rows()
    }
    rows: list[dict[str, Any]] = []
    for method, score in (("agents", PROBABILITY), *((method, TEXT) for method in METHODS)):
        own = [case for case in scored if case.method == method]
        found: list[Replicated] = []
        for condition in condition_keys():
            row, area = _row(own, condition, chance if score == PROBABILITY else None, bootstrap)
            rows.append({"method": method, "condition": condition, "score": score} | row)
            found += [area] if area else []
        rows.append({"method": method, "condition": "all", "score": score} | _mean(own, found))
    return pl.DataFrame(rows, schema=CONDITIONS)


def _row(
    cases: Sequence[Case],
    condition: str,
    chance: Mapping[tuple[str, str], float] | None,
    bootstrap: Bootstrap,
) -> tuple[dict[str, Any], Replicated | None]:
    patients: list[str] = []
    labels: list[int] = []
    scores: list[float] = []
    for case in cases:
        found = case.compared
        if found is None or condition in found.reference.excluded:
            continue
        said = float(any(unit.condition == condition for unit in found.units))
        value = said if chance is None else chance.get((case.study["study_key"], condition))
        if value is None:
            continue
        patients.append(case.study["patient_key"])
        labels.append(int(any(unit.condition == condition for unit in found.reference.units)))
        scores.append(value)
    truth, ranked = np.array(labels, dtype=np.int64), np.array(scores)
    row: dict[str, Any] = {
        "n_studies": len(labels),
        "n_patients": len(set(patients)),
        "n_positive": int(truth.sum()),
    }
    if chance is None:
        row |= {
            "true_positives": int(((truth == 1) & (ranked == 1)).sum()),
            "false_positives": int(((truth == 0) & (ranked == 1)).sum()),
            "false_negatives": int(((truth == 1) & (ranked == 0)).sum()),
        }
    if len(set(labels)) < 2:
        reason = ONE_CLASS if labels else NO_STUDY
        return row | {"status": "not_evaluable", "reason": reason}, None
    area = bootstrap.auroc(truth, ranked, np.array(patients))
    return row | {"status": "evaluated"} | area.columns("auroc"), area


def _mean(cases: Sequence[Case], found: Sequence[Replicated]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "n_studies": len(cases),
        "n_patients": len({case.study["patient_key"] for case in cases}),
        "n_conditions": len(found),
    }
    if not found:
        return row | {"status": "not_evaluable", "reason": NO_CONDITION}
    return row | {"status": "evaluated"} | mean_of(found).columns("auroc")
