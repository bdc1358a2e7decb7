"""Encoders beside each other: mean scores over the same conditions, and paired differences on the same studies.

Means are taken over the conditions that every compared encoder can be evaluated on in a sequence set and evaluation;
an encoder that cannot be evaluated on any (no vectors, no cross-validation) is not compared there and does not take
conditions from the others. Differences are paired: both encoders are scored on the studies that both have, and
every replicate draws the same patients for both. A replicate in which a condition has one class only is not counted.

The best baseline is the one of the highest mean as measured, chosen once. Its choice is not repeated within each
replicate: that would compare against the luckiest baseline of every draw. Chosen on the scored studies themselves,
it is, if anything, too good, so the difference against it is conservative. It is named only where both sides have the
same head.

Belongs here: the tables of means and differences. Does not belong here: single scores (``bootstrap``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.findings.probes.bootstrap import Replicates
from spine_models.findings.probes.delong import delong
from spine_models.findings.probes.draws import Replicated, mean_of_whole
from spine_models.findings.probes.judgement import Scored
from spine_models.findings.probes.tables import COMPARISONS, SUMMARY

SPINEFM: Final = "spinefm"
ALIGNED: Final = "spinefm_aligned"
OURS: Final = (SPINEFM, ALIGNED)
COMPARED: Final = ("auroc", "auprc")
NOTHING_IN_COMMON: Final = "no condition that every compared encoder can be evaluated on"

Name = tuple[str, str]
Score = Callable[[Scored, str], Replicates]


@dataclass(frozen=True)
class Comparable:
    """One row of the metrics with what it was made of; ``found`` is None where it could not be evaluated."""

    condition: str
    encoder: str
    head: str
    sequence_set: str
    evaluation: str
    scored: Scored
    found: Replicates | None
    reason: str | None

    @property
    def name(self) -> Name:
        """Encoder and head."""
        return self.encoder, self.head


@dataclass(frozen=True)
class _Pair:
    """Two encoders on the same studies of one condition."""

    studies: np.ndarray
    patients: np.ndarray
    n_positive: int
    first: Replicates
    second: Replicates
    p_delong: float


def compare(rows: Iterable[Comparable], score: Score) -> tuple[pl.DataFrame, pl.DataFrame]:
    """probes.SUMMARY and probes.COMPARISONS.

    Args:
        rows: of all encoders.
        score: replicates of studies of an evaluation, for pairs whose studies differ.
    """
    summary: list[dict[str, object]] = []
    comparisons: list[dict[str, object]] = []
    ordered = sorted(rows, key=lambda row: (row.sequence_set, row.evaluation))
    for (sequence_set, evaluation), group in itertools.groupby(
        ordered, key=lambda row: (row.sequence_set, row.evaluation)
    ):
        identity = {"sequence_set": sequence_set, "evaluation": evaluation}
        held: dict[Name, dict[str, Comparable]] = {}
        for row in group:
            held.setdefault(row.name, {})[row.condition] = row
        shared = _shared(held)
        means = [_mean(name, held[name], shared) for name in held]
        summary += [identity | row for row in means]
        best = _best_baselines(means)
        for first, second in _pairs(list(held)):
            pairs = {
                condition: _paired(held[first][condition], held[second][condition], score)
                for condition in held[first]
                if held[first][condition].found is not None and held[second][condition].found is not None
            }
            for metric in COMPARED:
                names = identity | {
                    "metric": metric,
                    "encoder": first[0],
                    "head": first[1],
                    "against": second[0],
                    "against_head": second[1],
                    # A baseline under another head differs in two things at once.
                    "best_baseline": best.get(metric) == second and first[1] == second[1],
                }
                reasons = (_reason(held[first]), _reason(held[second]))
                comparisons.append(names | {"condition": None} | _macro(pairs, shared, metric, reasons))
                for condition in held[first]:
                    reasons = (held[first][condition].reason, held[second][condition].reason)
                    found = _single(pairs.get(condition), metric, reasons)
                    comparisons.append(names | {"condition": condition} | found)
    return pl.DataFrame(summary, schema=SUMMARY), pl.DataFrame(comparisons, schema=COMPARISONS)


def _shared(held: Mapping[Name, Mapping[str, Comparable]]) -> list[str]:
    """Conditions evaluable with every encoder that is evaluable with any."""
    evaluable = [
        {condition for condition, row in rows.items() if row.found is not None} for rows in held.values()
    ]
    evaluable = [conditions for conditions in evaluable if conditions]
    if not evaluable:
        return []
    order = next(iter(held.values()))
    return [condition for condition in order if all(condition in part for part in evaluable)]


def _mean(name: Name, rows: Mapping[str, Comparable], shared: Sequence[str]) -> dict[str, object]:
    row: dict[str, object] = {"encoder": name[0], "head": name[1], "n_conditions": 0, "conditions": []}
    reason = _reason(rows) or (None if shared else NOTHING_IN_COMMON)
    if reason is not None:
        return row | {"status": "not_evaluable", "reason": reason, "n_studies": 0, "n_patients": 0}
    scored = [rows[condition].scored for condition in shared]
    row |= {"status": "evaluated", "n_conditions": len(shared), "conditions": list(shared)}
    row |= _counts([part.study_keys for part in scored], [part.patient_keys for part in scored])
    for metric in COMPARED:
        interval = _average([rows[condition].found for condition in shared], metric).interval
        row |= {metric: interval.value, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
    return row


def _best_baselines(means: Iterable[Mapping[str, object]]) -> dict[str, Name]:
    """By metric the baseline of the highest mean; the first of equals."""
    rivals = [row for row in means if row["encoder"] not in OURS and row["status"] == "evaluated"]
    if not rivals:
        return {}
    tops = {metric: max(rivals, key=lambda row: row[metric]) for metric in COMPARED}
    return {metric: (str(row["encoder"]), str(row["head"])) for metric, row in tops.items()}


def _pairs(names: Sequence[Name]) -> Iterator[tuple[Name, Name]]:
    """Each of our own against every other, no two twice."""
    ours = [name for name in names if name[0] in OURS]
    for number, first in enumerate(ours):
        yield from ((first, second) for second in names if second != first and second not in ours[:number])


def _paired(first: Comparable, second: Comparable, score: Score) -> _Pair:
    """Both on the studies that both have; what was scored on just these is not scored again."""
    common = np.intersect1d(first.scored.study_keys, second.scored.study_keys)
    sides = []
    for side in (first, second):
        if len(common) == len(side.scored.study_keys):
            sides.append((side.scored, side.found))
            continue
        kept = np.isin(side.scored.study_keys, common)
        part = Scored(
            side.scored.study_keys[kept],
            side.scored.patient_keys[kept],
            side.scored.label[kept],
            side.scored.probability[kept],
            None,
        )
        both = 0 < part.label.sum() < len(part.label)
        sides.append((part, score(part, side.evaluation) if both else None))
    (one, found), (other, against) = sides
    if found is None or against is None:
        nothing = Replicates(dict.fromkeys(COMPARED, np.nan), dict.fromkeys(COMPARED, np.empty(0)))
        return _Pair(common, np.empty(0), 0, nothing, nothing, float("nan"))
    order, other_order = np.argsort(one.study_keys), np.argsort(other.study_keys)
    patients = one.patient_keys[order]
    _, _, p_delong = delong(
        one.label[order],
        one.probability[order],
        other.probability[other_order],
        np.unique(patients, return_inverse=True)[1],
    )
    return _Pair(common, patients, int(one.label.sum()), found, against, p_delong)


def _single(pair: _Pair | None, metric: str, reasons: tuple[str | None, str | None]) -> dict[str, object]:
    if pair is None or len(pair.patients) == 0:
        reason = reasons[0] or reasons[1] or "the studies that both have hold one class only"
        return {"status": "not_evaluable", "reason": reason, "n_conditions": 0}
    found = _difference([pair], metric) | {"n_conditions": 1, "n_positive": pair.n_positive}
    known = metric == "auroc" and np.isfinite(pair.p_delong)
    return found | {"p_delong": pair.p_delong if known else None}


def _macro(
    pairs: Mapping[str, _Pair], shared: Sequence[str], metric: str, reasons: tuple[str | None, str | None]
) -> dict[str, object]:
    taken = [
        pairs[condition] for condition in shared if condition in pairs and len(pairs[condition].patients)
    ]
    if len(taken) < len(shared) or not taken:
        reason = reasons[0] or reasons[1] or NOTHING_IN_COMMON
        return {"status": "not_evaluable", "reason": reason, "n_conditions": 0}
    return _difference(taken, metric) | {"n_conditions": len(taken)}


def _difference(pairs: Sequence[_Pair], metric: str) -> dict[str, object]:
    ours = _average([pair.first for pair in pairs], metric)
    rival = _average([pair.second for pair in pairs], metric)
    row: dict[str, object] = {"status": "evaluated", "value": ours.value, "against_value": rival.value}
    row |= _counts([pair.studies for pair in pairs], [pair.patients for pair in pairs])
    apart = ours - rival
    for name, found in (("difference", apart), ("relative_gain", ours.gain_over(rival))):
        interval = found.interval
        if np.isfinite(interval.value):
            row |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return row | {"p_bootstrap": _two_sided(apart.replicates)}


def _average(found: Sequence[Replicates | None], metric: str) -> Replicated:
    """Mean over conditions; a replicate in which one of them has no value has none."""
    return mean_of_whole(
        [Replicated(part.values[metric], part.draws[metric]) for part in found if part is not None]
    )


def _two_sided(draws: np.ndarray) -> float | None:
    """Twice the smaller tail of the replicated differences around zero, never below 2 / (B + 1)."""
    valid = draws[np.isfinite(draws)]
    if len(valid) == 0:
        return None
    tail = min((valid <= 0).sum(), (valid >= 0).sum())
    return float(min(1.0, 2.0 * (1 + tail) / (len(valid) + 1)))


def _counts(studies: Sequence[np.ndarray], patients: Sequence[np.ndarray]) -> dict[str, int]:
    return {
        "n_studies": len(np.unique(np.concatenate(studies))),
        "n_patients": len(np.unique(np.concatenate(patients))),
    }


def _reason(rows: Mapping[str, Comparable]) -> str | None:
    """Why an encoder is not compared at all, or None: the reason that its conditions share."""
    if any(row.found is not None for row in rows.values()):
        return None
    reasons = list(dict.fromkeys(row.reason for row in rows.values()))
    return reasons[0] if len(reasons) == 1 else "no condition can be evaluated"
