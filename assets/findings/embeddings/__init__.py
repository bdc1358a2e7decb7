"""embeddings: slice, series and study vectors of each batch, and what was refreshed.

Belongs here: the names of the assets. Does not belong here: wiring (``vectors``).
"""

from assets.findings.embeddings.vectors import embeddings

__all__ = ["embeddings"]
