from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import pytest

from spine_models.corpus.deid.tables import REPORTS


@pytest.fixture
def reports() -> Callable[[Sequence[str]], pl.DataFrame]:
    """A frame of reports, one study each."""

    def make(texts: Sequence[str]) -> pl.DataFrame:
        names = ("batch_key", "patient_key", "study_key", "report_key", "report_text")
        rows = [("b-0001", f"p{i:04d}", f"s{i:04d}", f"r{i:04d}", text) for i, text in enumerate(texts)]
        return pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows], schema=REPORTS)

    return make
