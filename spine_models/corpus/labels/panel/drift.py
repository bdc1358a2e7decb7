"""Batches in which a condition is more or less frequent than in all others.

Belongs here: one batch against the rest, and the correction for asking so often. Does not belong here: why a batch
differs (another clinic, another scanner, another style of report), which a person has to find out.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from spine_models.corpus.labels.panel.counting import in_order
from spine_models.corpus.labels.tables import DRIFT

FEWEST: Final = 20
"""Studies of a batch with a settled label, below which it is too small to be called drifted."""


def drift(consensus: pl.DataFrame, alpha: float) -> pl.DataFrame:
    """Compare each batch's prevalence of each condition with that of all other batches together.

    Fisher's exact test, two-sided (Fisher 1922, J. R. Stat. Soc. 85:87-94), and Holm's correction (Holm 1979, Scand.
    J. Stat. 6:65-70) over all rows, so that the chance of calling any batch drifted when none is stays below
    ``alpha``. Labels of -1 are neither present nor not and do not count.

    Args:
        consensus: ``CONSENSUS`` of all batches.
        alpha: the family-wise error rate, between 0 and 1.

    Returns:
        ``DRIFT`` by batch and condition, for those that have a settled label. Without any other batch to compare
        with, ``other_prevalence`` and ``p_value`` are null and ``drifted`` is false.

    Raises:
        ValueError: an ``alpha`` that is none.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}: a family-wise error rate lies between 0 and 1")
    counts = (
        consensus.filter(pl.col("label") >= 0)
        .group_by("batch_key", "condition")
        .agg(
            pl.len().cast(pl.Int64).alias("studies"),
            (pl.col("label") == 1).sum().cast(pl.Int64).alias("present"),
        )
        .with_columns(
            (pl.col("studies").sum().over("condition") - pl.col("studies")).alias("other_studies"),
            (pl.col("present").sum().over("condition") - pl.col("present")).alias("other_present"),
        )
    )
    rows = [_tested(row) for row in in_order(counts, "batch_key").to_dicts()]
    # Batches that are too small stay in the family since their p-values are shown too; that errs on the quiet side.
    for row, rejected in zip(rows, holm([row["p_value"] for row in rows], alpha), strict=True):
        row["drifted"] = rejected and row["studies"] >= FEWEST
    return pl.DataFrame(rows, schema=DRIFT)


def holm(p_values: list[float | None], alpha: float) -> list[bool]:
    """Which hypotheses Holm's step-down procedure rejects.

    The ``i``-th smallest of ``m`` p-values is rejected when it and every smaller one are at most
    ``alpha / (m - i + 1)``.

    Args:
        p_values: in any order; None where nothing was tested, which is never rejected and does not count.
        alpha: the family-wise error rate.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    rejected = [False] * len(p_values)
    for rank, (p, index) in enumerate(tested):
        if p > alpha / (len(tested) - rank):
            break
        rejected[index] = True
    return rejected


def _tested(row: dict[str, Any]) -> dict[str, Any]:
    from scipy.stats import fisher_exact  # a second of start-up that only this needs

    others, others_present = row["other_studies"], row.pop("other_present")
    row |= {"prevalence": row["present"] / row["studies"], "other_prevalence": None, "p_value": None}
    if others:
        table = [
            [row["present"], row["studies"] - row["present"]],
            [others_present, others - others_present],
        ]
        row["other_prevalence"] = others_present / others
        row["p_value"] = float(fisher_exact(table).pvalue)
    return row
