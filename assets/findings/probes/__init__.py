"""probes: what frozen vectors know of each condition, and how far that can be trusted.

Belongs here: the names of the assets. Does not belong here: wiring (``evaluation``, ``strata``, ``probabilities``).
"""

from assets.findings.probes.evaluation import baselines, probes
from assets.findings.probes.probabilities import probabilities
from assets.findings.probes.strata import guards, null, strata

__all__ = ["baselines", "guards", "null", "probabilities", "probes", "strata"]
