"""Slice, series and study vectors of the frozen encoders, recomputed only where they are stale.

``slices`` embeds, ``images`` reads back what the shards hold (``ahead`` of time), ``journal`` keeps what a killed run
computed, ``refreshed`` says what was computed and why, ``pooling`` averages, ``tables`` holds the schemas, ``encoders``
opens the networks. Nothing here trains or scores anything, and nothing but ``encoders`` imports torch.
"""

from spine_models.findings.embeddings.images import EmbeddingError, stored_images
from spine_models.findings.embeddings.pooling import MixedVersionsError, pool_series, pool_studies
from spine_models.findings.embeddings.refreshed import Reason, refreshed
from spine_models.findings.embeddings.slices import Encoder, embed_slices, missing_vectors

__all__ = [
    "EmbeddingError",
    "Encoder",
    "MixedVersionsError",
    "Reason",
    "embed_slices",
    "missing_vectors",
    "pool_series",
    "pool_studies",
    "refreshed",
    "stored_images",
]
