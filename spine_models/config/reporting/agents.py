"""Numbers of the agents."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class AgentSettings(Section):
    """A calibrated probability inside ``indeterminate`` is neither present nor absent."""

    indeterminate: tuple[float, float] = (0.4, 0.6)
    evidence_slices: int = Field(3, ge=1)
