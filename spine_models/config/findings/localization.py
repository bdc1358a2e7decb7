"""Numbers of the localization."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class LocalizationSettings(Section):
    """Numbers of the localization."""

    bootstrap: int = Field(1000, ge=10)
    seed: int = 0
