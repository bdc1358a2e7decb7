"""embeddings: vectors of slices, series and studies, what was refreshed, and vectors in the space of the reports.

Belongs here: the names of the assets. Does not belong here: wiring (``vectors``, ``aligned``).
"""

from assets.findings.embeddings.aligned import aligned_embeddings
from assets.findings.embeddings.vectors import embeddings

__all__ = ["aligned_embeddings", "embeddings"]
