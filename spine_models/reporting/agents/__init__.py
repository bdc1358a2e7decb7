"""Agents: the registry of the 17 diagnosis agents and their results for a study as typed claims.

Belongs here: ``registry`` and ``diagnose``. Does not belong here: training, report text, localisation.
"""

from spine_models.reporting.agents.diagnosis import ClaimStatus, Reason, diagnose
from spine_models.reporting.agents.examination import SCOUTS, Examination, SeriesFacts, examinations
from spine_models.reporting.agents.roster import Heads, agent_name, registry

__all__ = [
    "SCOUTS",
    "ClaimStatus",
    "Examination",
    "Heads",
    "Reason",
    "SeriesFacts",
    "agent_name",
    "diagnose",
    "examinations",
    "registry",
]
