"""Numbers of the probes by stratum: vendors, cohorts, subgroups, abstention."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class StratumSettings(Section):
    """Numbers of the probes by stratum: vendors, cohorts, subgroups, abstention."""

    bootstrap: int = Field(1000, ge=10)
    seed: int = 0
