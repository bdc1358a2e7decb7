"""Numbers of the retrieval."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class RetrievalSettings(Section):
    """Numbers of the retrieval."""

    bootstrap: int = Field(1000, ge=10)
    seed: int = 0
