"""Numbers of the drafted reports."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class ReportSettings(Section):
    """Numbers of the drafted reports.

    Attributes:
        key_slices: slices with boxes on a study's page at most.
    """

    seed: int = Field(0, ge=0)
    key_slices: int = Field(4, ge=0)
