"""Numbers of the ablations."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class AblationSettings(Section):
    """Numbers of the ablations."""

    bootstrap: int = Field(1000, ge=10)
    seed: int = 0
