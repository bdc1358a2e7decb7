"""People and studies without images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from spine_models.phantom.records.identity import draw_patient
from spine_models.phantom.timeline import Visit, draw_visits

Drawn = Iterator[tuple[Visit, np.random.Generator]]


def _draw(patients: int, seed: int) -> Drawn:
    for number in range(patients):
        rng = np.random.default_rng([seed, number])
        for visit in draw_visits(draw_patient(number, rng), number, rng):
            yield visit, rng


@pytest.fixture(scope="session")
def visits() -> Callable[[int, int], Drawn]:
    """All visits of so many patients of a seed, each with the generator that drew it."""
    return _draw
