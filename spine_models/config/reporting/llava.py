"""Numbers of the report model."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class LlavaSettings(Section):
    """Numbers of the report model."""

    seed: int = Field(0, ge=0)
