"""retrieval: similar reports and slices, and how well they are found.

Belongs here: the names of the assets. Does not belong here: wiring (``index``, ``scores``).
"""

from assets.findings.retrieval.index import index, neighbours
from assets.findings.retrieval.scores import scores

__all__ = ["index", "neighbours", "scores"]
