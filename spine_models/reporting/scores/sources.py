"""The texts of each method, from the tables in which they are published.

Belongs here: which row is a method's text of a study. Does not belong here: reading or scoring it (``harness``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from spine_models.reporting.scores.harness import Text

CONDITIONING: Final[Mapping[str, str]] = {"image_only": "image_only", "agents_llm": "agents"}
"""Method to the conditioning of the language model."""


def studies_of_test_patients(studies: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Studies of test patients.

    Args:
        studies: batch_key, patient_key, study_key.
        splits: patient_key and split, as fixed for ever.

    Raises:
        ValueError: a patient has two splits.
    """
    split_of = splits.select("patient_key", "split").unique()
    if split_of["patient_key"].n_unique() < split_of.height:
        raise ValueError("a patient has two splits: run shards again, then the scores")
    held = split_of.filter(pl.col("split") == "test").select("patient_key")
    return studies.select("batch_key", "patient_key", "study_key").join(held, on="patient_key", how="semi")


def texts_of_methods(
    drafts: pl.DataFrame, answers: pl.DataFrame | None, neighbours: pl.DataFrame | None, reports: pl.DataFrame
) -> dict[str, dict[str, Text]]:
    """Method to study_key to text.

    Args:
        drafts: ``reports.DRAFTS``.
        answers: ``llava.ANSWERS``, texts with their conditioning; None where no model was asked.
        neighbours: ``retrieval.NEIGHBOURS``; None where nothing was indexed.
        reports: study_key and report_text, one row a study, of the neighbours too.
    """
    found = {
        "agents": {
            row["study_key"]: Text(row["report_text"], row["draft_key"])
            for row in drafts.select("study_key", "draft_key", "report_text").iter_rows(named=True)
        }
    }
    if answers is not None:
        columns = ["study_key", "conditioning", "text", "model_version", "reason"]
        rows = answers.select(columns).to_dicts()
        for method, conditioning in CONDITIONING.items():
            found[method] = {
                # With a reason the model was never asked; an empty text without one is what it wrote.
                row["study_key"]: Text(
                    row["text"] if row["reason"] is None else None, row["model_version"], row["reason"]
                )
                for row in rows
                if row["conditioning"] == conditioning
            }
    if neighbours is not None:
        own = dict(reports.select("study_key", "report_text").iter_rows())
        nearest = neighbours.filter(pl.col("rank") == 1).select("study_key", "neighbour_study_key")
        found["retrieved"] = {
            study: Text(own[other], other) for study, other in nearest.iter_rows() if other in own
        }
    return found
