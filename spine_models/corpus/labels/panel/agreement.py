"""How far two labellers agree, beyond what chance and rare findings would give.

Belongs here: agreement of pairs of labellers. Does not belong here: which of them is right (``raters``, ``audit``),
what becomes of a disagreement (``consensus``, ``review``).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import polars as pl

from spine_models.corpus.labels.panel.counting import PLACE, check_unique, in_order, with_all
from spine_models.corpus.labels.tables import AGREEMENT

CATEGORIES: Final = (1, 0, -1)
"""The three labels; they count as unordered, "in doubt" is not halfway between the others."""


def agreement(labels: pl.DataFrame) -> pl.DataFrame:
    """Compare every two labellers on the studies that both labelled.

    Args:
        labels: ``LABELS`` of any number of labellers.

    Returns:
        ``AGREEMENT``: per pair of labellers (by name) one row per condition that they share and one for "all", in
        which every study counts once per condition. Empty for fewer than two labellers.

    Raises:
        ValueError: a labeller with two rows for one study and condition.
    """
    check_unique(labels)
    names = labels["labeller"].unique().sort().to_list()
    rows: list[dict[str, Any]] = []
    for first, second in combinations(names, 2):
        rows.extend(_compared(labels, first, second))
    return in_order(pl.DataFrame(rows, schema=AGREEMENT), "first", "second")


def cohen_kappa(table: list[list[int]]) -> float | None:
    """Cohen's unweighted kappa, after Cohen (1960), Educ. Psychol. Meas. 20:37-46.

    ``(po - pe) / (1 - pe)``: ``po`` the share on the diagonal, ``pe`` the share that two independent labellers with
    these margins would have there.

    Args:
        table: square; counts of pairs by first (row) and second (column) labeller's category.

    Returns:
        None where ``pe`` is 1 (both labellers say one and the same throughout) or nothing was counted.
    """
    n = sum(map(sum, table))
    diagonal = sum(table[i][i] for i in range(len(table)))
    chance = sum(sum(table[i]) * sum(row[i] for row in table) for i in range(len(table)))
    if chance == n * n:  # in whole numbers, so that rounding cannot hide it; also true of an empty table
        return None
    return (diagonal * n - chance) / (n * n - chance)


def adjusted_kappa(observed: float, categories: int = len(CATEGORIES)) -> float:
    """Prevalence-adjusted, bias-adjusted kappa, after Byrt et al. (1993), J. Clin. Epidemiol. 46:423-429.

    Kappa as it would be if every category were equally frequent: ``(k·po - 1) / (k - 1)``. It does not sink with a
    condition's rarity as kappa does; the two are read together.

    Args:
        observed: share of pairs that agree.
        categories: k, 2 or more.
    """
    return (categories * observed - 1) / (categories - 1)


def _compared(labels: pl.DataFrame, first: str, second: str) -> list[dict[str, Any]]:
    one, other = (labels.filter(labeller=name).select(*PLACE, "label") for name in (first, second))
    pairs = with_all(one.join(other, on=PLACE, suffix="_second").drop("batch_key", "study_key"))
    counts = pairs.group_by("condition", "label", "label_second").len()
    tables: dict[str, list[list[int]]] = {}
    for condition, label, label_second, count in counts.iter_rows():
        table = tables.setdefault(condition, [[0] * len(CATEGORIES) for _ in CATEGORIES])
        table[CATEGORIES.index(label)][CATEGORIES.index(label_second)] = count
    return [_row(condition, first, second, table) for condition, table in tables.items()]


def _row(condition: str, first: str, second: str, table: list[list[int]]) -> dict[str, Any]:
    n = sum(map(sum, table))
    equal = sum(table[i][i] for i in range(len(table)))
    return {
        "condition": condition,
        "first": first,
        "second": second,
        "studies": n,
        "observed": equal / n,
        "kappa": cohen_kappa(table),
        "pabak": adjusted_kappa(equal / n),
        "first_present": sum(table[0]),
        "second_present": sum(row[0] for row in table),
        "equal": equal,
    }
