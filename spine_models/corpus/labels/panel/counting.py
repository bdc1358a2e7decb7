"""How the panel's tables count: places, the row "all", the order of conditions, the interval of a share.

Belongs here: what two or more tables must count alike. Does not belong here: what any one of them means.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from spine_models.domain import condition_keys

PLACE: Final = ("batch_key", "study_key", "condition")
"""What a labeller gives one label to."""

ALL: Final = "all"
"""Name of the row in which every condition is counted together."""

Z95: Final = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


def with_all(frame: pl.DataFrame) -> pl.DataFrame:
    """Every row twice: as its own condition and as ``ALL``, so that one grouping counts both."""
    return pl.concat([frame, frame.with_columns(condition=pl.lit(ALL))])


def in_order(frame: pl.DataFrame, *before: str, after: tuple[str, ...] = ()) -> pl.DataFrame:
    """Rows in one order for ever: ``before``, then conditions as their file lists them, then ``after``.

    Args:
        frame: any table with a column ``condition``; ``ALL`` and unknown conditions come last, by name.
        before: columns that are sorted first.
        after: columns that break ties.
    """
    keys = condition_keys()
    ranks = {key: rank for rank, key in enumerate(keys)}
    rank = pl.col("condition").replace_strict(ranks, default=len(keys), return_dtype=pl.Int32)
    return frame.sort(*map(pl.col, before), rank, pl.col("condition"), *map(pl.col, after))


def check_unique(labels: pl.DataFrame) -> None:
    """Refuse labels that count a study twice.

    Args:
        labels: ``LABELS``.

    Raises:
        ValueError: a labeller has two rows for one study and condition.
    """
    twice = labels.select("labeller", *PLACE).is_duplicated()
    if twice.any():
        first = labels.filter(twice).row(0, named=True)
        raise ValueError(
            f"labeller {first['labeller']!r} has more than one label for {first['condition']} in study"
            f" {first['study_key']}: pass one row per labeller, study and condition"
        )


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share, after Wilson (1927), J. Am. Stat. Assoc. 22:209-212.

    ``(p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`` with ``p = successes / n``. Unlike
    ``scipy.stats.binomtest`` it takes the broken counts of a weighted sample; the tests hold the two together.

    Args:
        successes: 0 to ``n``.
        n: more than 0.

    Returns:
        Lower and upper end, within 0 and 1.

    Raises:
        ValueError: counts that make no share.
    """
    if not (n > 0 and 0 <= successes <= n):
        raise ValueError(f"{successes} of {n} is not a share")
    p, squared = successes / n, Z95 * Z95
    middle = p + squared / (2 * n)
    half = Z95 * float((p * (1 - p) / n + squared / (4 * n * n)) ** 0.5)
    scale = 1 + squared / n
    # Rounding leaves 1e-17 where the formula says 0 or 1.
    low = 0.0 if successes == 0 else max(0.0, (middle - half) / scale)
    high = 1.0 if successes == n else min(1.0, (middle + half) / scale)
    return low, high
