"""How often each of several labellers errs, estimated without anybody knowing the truth.

Belongs here: the model of Dawid and Skene on binary votes, its estimation, its table. Does not belong here: agreement
of pairs (``agreement``), truth that people read (``audit``).

After Dawid & Skene (1979), "Maximum likelihood estimation of observer error-rates using the EM algorithm", Appl.
Stat. 28:20-28. The model holds labellers to be independent given the truth. Two labellers that err alike (two sizes
of one language model) look more reliable than they are: the table ranks labellers, it does not replace an audit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from spine_models.corpus.labels.panel.counting import check_unique, in_order
from spine_models.corpus.labels.tables import RATERS

FEWEST: Final = 3
"""Two labellers leave the model without a unique answer."""

SMOOTHING: Final = 1.0
"""Votes added to each side of every rate: a rate of 0 or 1 would let one labeller overrule all others for ever."""

_TOLERANCE: Final = 1e-8
_MOST_ITERATIONS: Final = 1000

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """The estimated model.

    Attributes:
        prevalence: P(present).
        sensitivity: per labeller P(says present | present).
        specificity: per labeller P(says not present | not present).
        present: per study P(present | votes).
        objective: what EM climbs, before each M step; the log-likelihood where nothing is smoothed, else with
            the logarithm of the smoothing's prior.
        converged: whether the last step gained less than a hundred-millionth per study.
    """

    prevalence: float
    sensitivity: Array
    specificity: Array
    present: Array
    objective: tuple[float, ...]
    converged: bool


def dawid_skene(
    votes: Array, *, smoothing: float = SMOOTHING, most_iterations: int = _MOST_ITERATIONS
) -> Fit:
    """Estimate error rates by EM from the majority vote.

    The M step adds ``smoothing`` to both sides of every rate, as a Beta(1 + smoothing, 1 + smoothing) prior on the
    prevalence, each sensitivity and each specificity does; EM then climbs the posterior, which never falls. With
    ``smoothing=0`` it climbs the plain likelihood. The start is the same for the same votes, so is the result.

    Args:
        votes: studies by labellers; 1 present, 0 not present, nan no vote. Every study needs a vote.
        smoothing: 0 or more.
        most_iterations: after which it gives up, unconverged.
    """
    given = ~np.isnan(votes)
    says = np.where(given, votes, 0.0)
    denies = given - says
    counts = given.sum(axis=1)
    share = says.sum(axis=1) / counts
    present = np.where(share > 0.5, 1.0, np.where(share < 0.5, 0.0, 0.5))
    objective: list[float] = []
    converged = False
    while True:
        prevalence, sensitivity, specificity = _m_step(present, says, denies, smoothing)
        present, reached = _e_step(says, denies, prevalence, sensitivity, specificity, smoothing)
        objective.append(reached)
        if len(objective) > 1 and objective[-1] - objective[-2] < _TOLERANCE * len(votes):
            converged = True
            break
        if len(objective) >= most_iterations:
            break
    return Fit(prevalence, sensitivity, specificity, present, tuple(objective), converged)


def raters(labels: pl.DataFrame) -> pl.DataFrame:
    """Estimate each labeller's sensitivity and specificity per condition.

    A label of -1 is no vote: a labeller in doubt neither affirms nor denies. Nor is a study on which nobody votes
    of any use to the model.

    Args:
        labels: ``LABELS``.

    Returns:
        ``RATERS`` for every condition on which three or more labellers vote; empty otherwise. A sensitivity
        (specificity) is null where less than one of the labeller's studies is expected to be present (not
        present): it would be the smoothing's and not the data's.

    Raises:
        ValueError: a labeller with two rows for one study and condition.
    """
    check_unique(labels)
    rows: list[dict[str, Any]] = []
    voted = labels.filter(pl.col("label") >= 0)
    for (condition,), group in voted.group_by("condition", maintain_order=True):
        names = group["labeller"].unique().sort().to_list()
        if len(names) >= FEWEST:
            rows.extend(_rows(str(condition), names, _votes(group, names)))
    return in_order(pl.DataFrame(rows, schema=RATERS), after=("labeller",))


def _votes(group: pl.DataFrame, names: list[str]) -> Array:
    """Votes as a matrix; studies in order, so that sums do not depend on the order of the rows."""
    studies = group.select("batch_key", "study_key").unique().sort("batch_key", "study_key")
    at = group.join(studies.with_row_index("row"), on=("batch_key", "study_key"))
    votes = np.full((studies.height, len(names)), np.nan)
    columns = at["labeller"].replace_strict({name: i for i, name in enumerate(names)}, return_dtype=pl.Int64)
    votes[at["row"].to_numpy(), columns.to_numpy()] = at["label"].to_numpy()
    return votes


def _m_step(present: Array, says: Array, denies: Array, smoothing: float) -> tuple[float, Array, Array]:
    absent = 1 - present
    prevalence = _rate(present.sum(), absent.sum(), smoothing)
    sensitivity = _rate(present @ says, present @ denies, smoothing)
    specificity = _rate(absent @ denies, absent @ says, smoothing)
    return float(prevalence), sensitivity, specificity


def _rate(yes: Any, no: Any, smoothing: float) -> Any:
    total = np.asarray(yes + no + 2 * smoothing)
    # Without smoothing a labeller may have no vote on one side; one half says nothing either way.
    return np.divide(yes + smoothing, total, out=np.full_like(total, 0.5, dtype=np.float64), where=total > 0)


def _e_step(
    says: Array,
    denies: Array,
    prevalence: float,
    sensitivity: Array,
    specificity: Array,
    smoothing: float,
) -> tuple[Array, float]:
    rates = np.concatenate([[prevalence], sensitivity, specificity])
    log, log_not = _logs(rates), _logs(1 - rates)
    n = len(sensitivity)
    if_present = log[0] + says @ log[1 : n + 1] + denies @ log_not[1 : n + 1]
    if_absent = log_not[0] + denies @ log[n + 1 :] + says @ log_not[n + 1 :]
    likelihood = np.logaddexp(if_present, if_absent)
    prior = smoothing * (log.sum() + log_not.sum()) if smoothing else 0.0
    return np.exp(if_present - likelihood), float(likelihood.sum() + prior)


def _logs(rates: Array) -> Array:
    # -inf times no votes would be nan; e^-700 is as good as never.
    return np.log(np.maximum(rates, 1e-304))


def _rows(condition: str, names: list[str], votes: Array) -> list[dict[str, Any]]:
    fit = dawid_skene(votes)
    rows = []
    for column, name in enumerate(names):
        given = ~np.isnan(votes[:, column])
        present, vote = fit.present[given], votes[given, column]
        known = present.sum() >= 1, (1 - present).sum() >= 1
        rows.append(
            {
                "condition": condition,
                "labeller": name,
                "studies": int(given.sum()),
                "prevalence": fit.prevalence,
                "sensitivity": float(fit.sensitivity[column]) if known[0] else None,
                "specificity": float(fit.specificity[column]) if known[1] else None,
                "error_rate": float(np.mean(present * (1 - vote) + (1 - present) * vote)),
                "converged": fit.converged,
            }
        )
    return rows
