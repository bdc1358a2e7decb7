"""The code location: assets, checks, jobs, schedules, sensors and resources.

Belongs here: putting them together, and policy that holds for all. Does not belong here: any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets import all_assets
from assets.corpus.labels import CONFIGURED
from pipelines.checks import sql_rules
from pipelines.jobs import all_jobs
from pipelines.runtime.io_managers import parquet_io_manager
from pipelines.runtime.models import LanguageModels
from pipelines.runtime.profiles import Settings
from pipelines.runtime.resources import Hospital
from pipelines.schedules import nightly_refresh, nightly_warehouse, weekly_sweep
from pipelines.sensors import (
    canceled_runs,
    changed_tables,
    failed_runs,
    new_adjudications,
    new_batches,
    new_readings,
)


def build_defs(
    hospital: Hospital | None = None, overrides: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """Fresh definitions; tests pass a hospital of their own."""
    settings = Settings()
    hospital = hospital or Hospital.from_settings(settings)
    if hospital.numbers.labels != CONFIGURED:
        raise ValueError(
            "the labellers of this profile are not those that the code location was loaded with: set SPINE_PROFILE "
            "before starting"
        )
    resources = {
        "hospital": hospital,
        "language_models": LanguageModels.from_settings(settings),
        "io_manager": parquet_io_manager,
    }
    return dg.Definitions(
        assets=all_assets(),
        asset_checks=[sql_rules],
        jobs=all_jobs(),
        schedules=[nightly_refresh, nightly_warehouse, weekly_sweep],
        sensors=[new_batches, new_adjudications, new_readings, changed_tables, failed_runs, canceled_runs],
        resources=resources | dict(overrides or {}),
        executor=dg.multiprocess_executor.configured({"max_concurrent": 2}),
    )


defs = build_defs()
