"""Fair timing of pieces of work against each other: in turns, so that a busy machine is busy for all of them.

Belongs here: the turns and their medians. Does not belong here: what is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median


def in_turns(rounds: int, first: Callable[[], object], *others: Callable[[], object]) -> list[float]:
    """Median wall time of each of ``others`` over that of ``first``, after one round to warm up."""
    times: list[list[float]] = [[] for _ in range(1 + len(others))]
    for turn in range(rounds + 1):
        for spent, work in zip(times, (first, *others), strict=True):
            start = time.perf_counter()
            work()
            if turn:
                spent.append(time.perf_counter() - start)
    return [median(spent) / median(times[0]) for spent in times[1:]]
