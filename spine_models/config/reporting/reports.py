"""Numbers of the drafted reports."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class ReportSettings(Section):
    """Numbers of the drafted reports."""

    seed: int = Field(0, ge=0)
