"""How far a labeller can be relied on, as its own answers show.

Belongs here: shares that need no person and no second labeller: quotes that stand, doubt, reports that contradict
themselves, answers that change when asked again. Does not belong here: accuracy (``audit``), agreement.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from spine_models.corpus.labels.contract import Reason
from spine_models.corpus.labels.panel.counting import PLACE, check_unique, in_order, wilson, with_all
from spine_models.corpus.labels.tables import RELIABILITY
from spine_models.domain import Status

EVIDENCE_RATE: Final = "evidence_rate"
"""Of the rows that say anything (present, absent or ambiguous), those with a quote that stands in the report: one
that has a place there, is as long as that place, and was not refuted by the labeller's own check."""

AMBIGUOUS_RATE: Final = "ambiguous_rate"
"""Of all rows, those in doubt, for whatever reason: they are lost to training."""

CONTRADICTION_RATE: Final = "contradiction_rate"
"""Of the rows that say anything, those of a study whose report contradicts itself on the condition."""

REPEAT_AGREEMENT: Final = "repeat_agreement"
"""Of the answers given when asked again, those with the same label as the answer that counts."""

_UNFOUNDED: Final = (Reason.NO_QUOTE.value, Reason.QUOTE_NOT_FOUND.value)
_BY: Final = ("labeller", "condition")


def reliability(
    labels: pl.DataFrame, contradictions: pl.DataFrame, repeats: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Measure every labeller on every condition and on "all".

    Intervals are Wilson's, at 95 %. They count rows as independent; rows of one study, and several repeats of one
    question, are not quite, so those of "all" and of many repeats are somewhat too narrow.

    Args:
        labels: ``LABELS``, the answers that count.
        contradictions: ``CONTRADICTIONS`` of the same reports.
        repeats: ``LABELS`` of the same questions asked again, once or more often; without an answer that counts
            a repeat is left out.

    Returns:
        ``RELIABILITY`` by labeller, measure and condition; a measure without any row to count has none.

    Raises:
        ValueError: a labeller with two rows in ``labels`` for one study and condition.
    """
    check_unique(labels)
    says = labels.filter(pl.col("status") != Status.NOT_MENTIONED.value)
    torn = contradictions.select(*PLACE).unique().with_columns(torn=True)
    length = pl.col("evidence").str.len_chars().cast(pl.Int64)
    stands = (length > 0) & (length == pl.col("evidence_end") - pl.col("evidence_start"))
    unfounded = pl.col("reason").is_in(_UNFOUNDED).fill_null(False)
    tables = [
        _shares(EVIDENCE_RATE, says, stands.fill_null(False) & ~unfounded),
        _shares(AMBIGUOUS_RATE, labels, pl.col("status") == Status.AMBIGUOUS.value),
        _shares(
            CONTRADICTION_RATE,
            says.join(torn, on=PLACE, how="left"),
            pl.col("torn").fill_null(False),
        ),
    ]
    if repeats is not None:
        again = repeats.select("labeller", *PLACE, pl.col("label").alias("again"))
        both = labels.join(again, on=("labeller", *PLACE))
        tables.append(_shares(REPEAT_AGREEMENT, both, pl.col("label") == pl.col("again")))
    return in_order(pl.concat(tables), "labeller", "measure")


def _shares(measure: str, rows: pl.DataFrame, hit: pl.Expr) -> pl.DataFrame:
    counts = (
        with_all(rows.select(*_BY, hit.alias("hit")))
        .group_by(*_BY)
        .agg(pl.len().alias("n"), pl.col("hit").sum().alias("hits"))
    )
    return pl.DataFrame([_row(measure, count) for count in counts.to_dicts()], schema=RELIABILITY)


def _row(measure: str, count: dict[str, Any]) -> dict[str, Any]:
    low, high = wilson(count["hits"], count["n"])
    return {
        "labeller": count["labeller"],
        "condition": count["condition"],
        "measure": measure,
        "n": count["n"],
        "value": count["hits"] / count["n"],
        "low": low,
        "high": high,
    }
