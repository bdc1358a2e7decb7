"""Numbers of the scores of reports."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class ScoreSettings(Section):
    """Numbers of the scores of reports."""

    seed: int = Field(0, ge=0)
