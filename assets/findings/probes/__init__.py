"""probes: what frozen vectors know of each condition, and how far that can be trusted.

Belongs here: the names of the assets. Does not belong here: wiring (``evaluation``, ``operating``, ``strata``,
``probabilities``).
"""

from assets.findings.probes.evaluation import baselines, probes
from assets.findings.probes.operating import operating_points
from assets.findings.probes.probabilities import probabilities
from assets.findings.probes.strata import guards, null, strata

__all__ = ["baselines", "guards", "null", "operating_points", "probabilities", "probes", "strata"]
