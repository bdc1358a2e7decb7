"""Slice, series and study vectors of the frozen encoders, recomputed only where they are stale.

``slices`` embeds, ``images`` reads back what the shards hold, ``pooling`` averages, ``tables`` holds the
schemas. Nothing here trains or scores anything, and nothing here imports torch.
"""

from spine_models.findings.embeddings.images import EmbeddingError, stored_images
from spine_models.findings.embeddings.pooling import MixedVersionsError, pool_series, pool_studies
from spine_models.findings.embeddings.slices import Encoder, embed_slices, missing_vectors

__all__ = [
    "EmbeddingError",
    "Encoder",
    "MixedVersionsError",
    "embed_slices",
    "missing_vectors",
    "pool_series",
    "pool_studies",
    "stored_images",
]
