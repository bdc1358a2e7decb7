from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import polars as pl
import pytest

from spine_models.corpus.labels.tables import LABELS
from spine_models.domain import TERNARY, Status


@pytest.fixture
def labels() -> Callable[..., pl.DataFrame]:
    """``LABELS`` from (labeller, study, condition, status) and, where it matters, more columns."""

    def make(rows: Iterable[tuple[Any, ...]]) -> pl.DataFrame:
        made = []
        for labeller, study, condition, status, *rest in rows:
            more: Mapping[str, Any] = rest[0] if rest else {}
            made.append(
                {
                    "batch_key": "b-0001",
                    "patient_key": f"p-{study}",
                    "study_key": study,
                    "report_key": f"r-{study}",
                    "labeller": labeller,
                    "labeller_version": "1",
                    "condition": condition,
                    "status": status,
                    "label": TERNARY[Status(status)],
                    "levels": [],
                }
                | dict(more)
            )
        return pl.DataFrame(made, schema=LABELS)

    return make
