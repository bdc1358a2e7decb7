"""Numbers of the embeddings."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class EmbeddingSettings(Section):
    """Batching of frozen encoders; has no effect on the vectors beyond float rounding."""

    batch_size: int = Field(128, ge=1)
