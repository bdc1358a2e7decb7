"""Numbers of the attribution."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class AttributionSettings(Section):
    """Numbers of the attribution."""

    bootstrap: int = Field(1000, ge=10)
    seed: int = 0
