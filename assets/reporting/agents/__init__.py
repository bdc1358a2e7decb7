"""agents: the 37 agents, what they say of every study, and how good they are.

Belongs here: the names of the assets. Does not belong here: wiring (``registering``, ``speaking``, ``scoring``).
"""

from assets.reporting.agents.registering import registry
from assets.reporting.agents.scoring import scorecard
from assets.reporting.agents.speaking import agents, results

__all__ = ["agents", "registry", "results", "scorecard"]
