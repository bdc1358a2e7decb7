"""Whom a training of this stage read: its studies, and those whose reports stood in its prompts.

Belongs here: the rows of ``tables.SEEN``. Does not belong here: whether they may (``encoder.seen``).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from spine_models.reporting.llava.examples import ReportStudy
from spine_models.reporting.llava.tables import SEEN


def seen_studies(
    train: Sequence[ReportStudy], val: Sequence[ReportStudy], *, trained: bool, shown: bool
) -> pl.DataFrame:
    """tables.SEEN of a run; no rows where it took no step.

    Args:
        train: that weights were fitted to.
        val: that were measured on.
        trained: whether a step was taken.
        shown: whether similar reports stood in prompts; they count as trained on, so that a test patient's would show.
    """
    rows = {(s.patient_key, s.study_key, "train") for s in train}
    rows |= {(s.patient_key, s.study_key, "held_out") for s in val}
    if shown:
        rows |= {(str(s.similar_patient), str(s.similar_study), "train") for s in (*train, *val) if s.similar}
    return pl.DataFrame(sorted(rows) if trained else [], schema=SEEN, orient="row")
