"""Scores of each method with intervals over patients, and methods beside each other on the same studies.

Precision, recall and F1 are those of the summed credits and weights of all studies; ``mean_f1`` is the mean of the
studies' own. Errors are means per study. Every replicate draws patients with all their studies, the same for all
methods, so that differences and ratios are paired.

A comparison is made on the studies that both methods have a text for. Its ratio is told only where the other's value is
above zero, and over the replicates in which it is: beside a method that finds nothing there is a difference, no ratio.

Belongs here: the tables of scores and of comparisons. Does not belong here: single studies (``harness``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.config import ScoreSettings
from spine_models.findings.probes.draws import Bootstrap, Replicated
from spine_models.reporting.scores.harness import METHODS, Case, Compared
from spine_models.reporting.scores.metric import GRADED, LADDER, Metric, Tally
from spine_models.reporting.scores.tables import COMPARISONS, SCORES
from spine_models.reporting.scores.text import Likeness

PAIRS: Final = (
    ("agents", "image_only"),
    ("agents", "retrieved"),
    ("agents_llm", "image_only"),
    ("agents_llm", "retrieved"),
)
ERRORS: Final = (
    "false_positives", "omissions", "false_weight", "omitted_weight", "wrong_level", "wrong_side", "wrong_severity",
)  # fmt: skip
TEXTS: Final = ("edit_distance", "rouge_l", "bleu")
POOLED: Final = ("precision", "recall", "f1")
COMPARED: Final = (*POOLED, "mean_f1", *ERRORS, *TEXTS)

NO_STUDY: Final = "no test patient has both a readable report and a text of this method"
NO_COMMON: Final = "no study has a text of both methods"
NOTHING_SAID: Final = "no text affirms anything"
OTHER_IS_ZERO: Final = "the other's value is zero"


class Sums:
    """Numbers of some cases, one row a study, that become values with replicates.

    Args:
        patients: of each study [N].
        tallies: of each study.
        bootstrap: draws over the patients of all methods.
        alike: text scores of each study; None leaves them out.
    """

    def __init__(
        self,
        patients: Sequence[str],
        tallies: Sequence[Tally],
        bootstrap: Bootstrap,
        alike: Sequence[Likeness] | None = None,
    ) -> None:
        self._weights = bootstrap.weights(np.array(patients)).astype(np.float64)
        self._values = {
            name: np.array([getattr(tally, name) for tally in tallies], dtype=np.float64)
            for name in ("credit", "said", "told", "f1", *ERRORS)
        }
        self._values["studies"] = np.ones(len(tallies))
        if alike is not None:
            self._values |= {name: np.array([getattr(one, name) for one in alike]) for name in TEXTS}

    def of(self, measure: str) -> Replicated | None:
        """Value and replicates of a measure; None where it is not defined (nothing is said or told)."""
        if measure in POOLED:
            bottoms = {"precision": ("said",), "recall": ("told",), "f1": ("said", "told")}[measure]
            top, bottom = self._total("credit"), reduce(np.add, (self._total(name) for name in bottoms))
            top = top * len(bottoms)
            ratio = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
        else:
            name = "f1" if measure == "mean_f1" else measure
            top, bottom = self._total(name), self._total("studies")
            ratio = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
        return None if np.isnan(ratio[0]) else Replicated(float(ratio[0]), ratio[1:])

    def columns(self, measures: Sequence[str]) -> dict[str, float | None]:
        """Columns of a table row; null where a measure is not defined."""
        held: dict[str, float | None] = {}
        for measure in measures:
            found = self.of(measure)
            held |= found.columns(measure) if found else {measure: None}
        return held

    def _total(self, name: str) -> np.ndarray:
        """Sum over the studies, then over each replicate's: [1 + B]."""
        values = self._values[name]
        return np.concatenate([[values.sum()], self._weights @ values])


def score_methods(cases: Sequence[Case], metric: Metric, *, settings: ScoreSettings) -> pl.DataFrame:
    """``SCORES``: each method by the graded metric and on every rung of the ladder."""
    bootstrap = _draws(cases, settings)
    rows = []
    for method in METHODS:
        own = [case for case in cases if case.method == method]
        patients, scored = _compared(own)
        counts = _counts(own)
        for strictness in (GRADED, *LADDER):
            row = {
                "method": method,
                "strictness": strictness,
                "weights_version": metric.weights.version,
            } | counts
            if not scored:
                rows.append(row | {"status": "not_evaluable", "reason": _why_none(own)})
                continue
            graded = strictness == GRADED
            tallies = [one.tally if graded else _rung(one, metric, strictness) for one in scored]
            sums = Sums(patients, tallies, bootstrap, [one.alike for one in scored] if graded else None)
            total = reduce(Tally.__add__, tallies, Tally())
            measures = COMPARED if graded else (*POOLED, "mean_f1", *ERRORS[:4])
            row |= {"status": "evaluated", "reason": None if total.n_said else NOTHING_SAID}
            row |= {"n_told": total.n_told, "n_said": total.n_said}
            rows.append(row | sums.columns(measures))
    return pl.DataFrame(rows, schema=SCORES)


def compare_methods(cases: Sequence[Case], *, settings: ScoreSettings) -> pl.DataFrame:
    """``COMPARISONS``: with agents against without them and against the retrieved report, in every measure."""
    bootstrap = _draws(cases, settings)
    by_method = {
        method: {
            case.study["study_key"]: case
            for case in cases
            if case.method == method and case.compared is not None
        }
        for method in METHODS
    }
    rows: list[dict[str, Any]] = []
    for method, against in PAIRS:
        ours, theirs = by_method[method], by_method[against]
        common = sorted(set(ours) & set(theirs))
        sides = [_sums([held[key] for key in common], bootstrap) for held in (ours, theirs)]
        patients = {ours[key].study["patient_key"] for key in common}
        for measure in COMPARED:
            row = {"method": method, "against": against, "measure": measure}
            row |= {"n_studies": len(common), "n_patients": len(patients)}
            if common:
                rows.append(row | _beside(*sides, measure))
            else:
                rows.append(row | {"status": "not_evaluable", "reason": NO_COMMON})
    return pl.DataFrame(rows, schema=COMPARISONS)


def _beside(ours: Sums, theirs: Sums, measure: str) -> dict[str, Any]:
    one, other = ours.of(measure), theirs.of(measure)
    if one is None or other is None:
        return {"status": "not_evaluable", "reason": NOTHING_SAID}
    row: dict[str, Any] = {"status": "evaluated", "value": one.value, "against_value": other.value}
    row |= (one - other).columns("difference")
    if other.value <= 0:
        return row | {"ratio_reason": OTHER_IS_ZERO}
    gain = one.gain_over(other)
    return row | Replicated(gain.value + 1.0, gain.replicates + 1.0).columns("ratio")


def _sums(cases: Sequence[Case], bootstrap: Bootstrap) -> Sums:
    patients, found = _compared(cases)
    return Sums(patients, [one.tally for one in found], bootstrap, [one.alike for one in found])


def _compared(cases: Sequence[Case]) -> tuple[list[str], list[Compared]]:
    """Patients and comparisons of the cases that have one."""
    held = [(case.study["patient_key"], case.compared) for case in cases if case.compared is not None]
    return [patient for patient, _ in held], [found for _, found in held]


def _draws(cases: Sequence[Case], settings: ScoreSettings) -> Bootstrap:
    """The same draws for every method and comparison: over the patients that have a reference."""
    patients = np.array([case.study["patient_key"] for case in cases if case.status != "no_reference"])
    return Bootstrap.of(patients, settings.bootstrap, (settings.seed, 0))


def _rung(found: Compared, metric: Metric, strictness: str) -> Tally:
    return metric.rung(found.units, found.reference.units, strictness, excluded=found.reference.excluded)


def _counts(cases: Sequence[Case]) -> Mapping[str, int]:
    patients, scored = _compared(cases)
    return {
        "n_studies": len(scored),
        "n_patients": len(set(patients)),
        "n_unreadable": sum(case.status == "unreadable" for case in cases),
        "n_missing": sum(case.status == "missing" for case in cases),
        "n_no_reference": sum(case.status == "no_reference" for case in cases),
        "n_excluded": sum(len(found.reference.excluded) for found in scored),
    }


def _why_none(cases: Sequence[Case]) -> str:
    """The one reason why none is scored, where there is one."""
    reasons = {case.reason for case in cases if case.status == "missing" and case.reason}
    return reasons.pop() if len(reasons) == 1 else NO_STUDY
