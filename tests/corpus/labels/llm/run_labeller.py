"""The labeller in a process of its own, to be killed: ``python run_labeller.py JOB``, a JSON file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl

from spine_models.config import LlmSettings
from spine_models.corpus.deid.tables import REPORTS
from spine_models.corpus.labels.llm import label_with_llm


def main(job: Path) -> None:
    given = json.loads(job.read_text())
    label_with_llm(
        pl.DataFrame(given["reports"], schema=REPORTS),
        settings=LlmSettings.model_validate(given["settings"]),
        endpoint=given["endpoint"],
        answers=Path(given["answers"]),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
