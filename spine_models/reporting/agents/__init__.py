"""Agents: the registry of the 37, and what they say of a study as typed claims and results.

Belongs here: who speaks, with which certainty and places, and what is not assessed. Does not belong here: training
heads and localizers (``findings``), report text (``reporting.reports``).
"""

from spine_models.reporting.agents.diagnosis import diagnose
from spine_models.reporting.agents.examination import SCOUTS, Examination, SeriesFacts, examinations
from spine_models.reporting.agents.grading import Grading, load_grading
from spine_models.reporting.agents.grading_fit import fit_grading
from spine_models.reporting.agents.out_of_fold import out_of_fold
from spine_models.reporting.agents.published import Heads, Published
from spine_models.reporting.agents.results import results
from spine_models.reporting.agents.roster import Measured, agent_name, agent_names, registry
from spine_models.reporting.agents.scorecard import scorecard
from spine_models.reporting.agents.serialised import SPECIAL_TOKENS, parse, serialise
from spine_models.reporting.agents.status import Certainty, ClaimStatus, Reason
from spine_models.reporting.agents.versions import AgentsError, refuse_mixed

__all__ = [
    "SCOUTS",
    "SPECIAL_TOKENS",
    "AgentsError",
    "Certainty",
    "ClaimStatus",
    "Examination",
    "Grading",
    "Heads",
    "Measured",
    "Published",
    "Reason",
    "SeriesFacts",
    "agent_name",
    "agent_names",
    "diagnose",
    "examinations",
    "fit_grading",
    "load_grading",
    "out_of_fold",
    "parse",
    "refuse_mixed",
    "registry",
    "results",
    "scorecard",
    "serialise",
]
