"""Reports of one study each, as de-identification leaves them."""

from __future__ import annotations

import polars as pl
import pytest


@pytest.fixture
def reports_of():
    def make(*texts: str) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {
                    "batch_key": "internal-0001",
                    "patient_key": f"{number:032x}",
                    "study_key": f"{number + 100:032x}",
                    "report_key": f"{number + 200:032x}",
                    "report_text": text,
                }
                for number, text in enumerate(texts)
            ]
        )

    return make
