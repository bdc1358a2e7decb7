"""Numbers of the instruction data."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class InstructionSettings(Section):
    """Numbers of the instruction data."""

    seed: int = Field(0, ge=0)
