"""Numbers of the probes by stratum: vendors, cohorts, subgroups, abstention."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class StratumSettings(Section):
    """Numbers of the probes by stratum: vendors, cohorts, subgroups, abstention.

    ``alpha`` is the share of either class that a diagnosis may get wrong (conformal abstention), ``scope_level`` the
    share of ordinary studies that may be called out of scope. ``min_patients`` is the least number of train patients
    of a vendor or cohort that a matrix row is fitted on.
    """

    bootstrap: int = Field(1000, ge=10)
    seed: int = 0
    sets: tuple[str, ...] = ("all",)
    min_patients: int = Field(20, ge=2)
    alpha: float = Field(0.1, gt=0.0, lt=0.5)
    scope_level: float = Field(0.01, gt=0.0, lt=0.5)
    scope_components: int = Field(64, ge=1)
    null_repeats: int = Field(20, ge=3)
