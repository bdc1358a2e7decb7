"""instructions: question and answer data from labelled reports of train patients, and a benchmark of test patients.

Belongs here: the names that assets and later stages use. Does not belong here: code, the model that is trained on the
items (``reporting.llava``).
"""

from spine_models.reporting.instructions.answerers import (
    AGENTS,
    PRIOR,
    agents_choose,
    agents_report,
    prior_chooses,
    prior_report,
)
from spine_models.reporting.instructions.build import (
    Built,
    build_benchmark,
    build_items,
    duplicate_share,
    unevenness,
)
from spine_models.reporting.instructions.cases import Case, cases_of
from spine_models.reporting.instructions.contamination import contamination, held_out_patients
from spine_models.reporting.instructions.scoring import score_choices, score_reports
from spine_models.reporting.instructions.verify import verify

__all__ = [
    "AGENTS",
    "PRIOR",
    "Built",
    "Case",
    "agents_choose",
    "agents_report",
    "build_benchmark",
    "build_items",
    "cases_of",
    "contamination",
    "duplicate_share",
    "held_out_patients",
    "prior_chooses",
    "prior_report",
    "score_choices",
    "score_reports",
    "unevenness",
    "verify",
]
