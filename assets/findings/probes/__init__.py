"""probes: what frozen vectors know of each condition.

Belongs here: the names of the assets. Does not belong here: wiring (``evaluation``).
"""

from assets.findings.probes.evaluation import baselines, probes

__all__ = ["baselines", "probes"]
