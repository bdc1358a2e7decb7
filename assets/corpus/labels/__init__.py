"""labels: 17 conditions per report by each configured labeller, their consensus, and what the labellers are worth.

Belongs here: the names of the assets. Does not belong here: wiring (``labellers``, ``panel``).
"""

from assets.corpus.labels.labellers import CONFIGURED, LANGUAGE_MODELS, rules
from assets.corpus.labels.panel import consensus, measures

__all__ = ["CONFIGURED", "LANGUAGE_MODELS", "consensus", "measures", "rules"]
