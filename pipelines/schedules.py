"""The nightly refresh.

Belongs here: schedules. Training has none: it never starts by surprise.
"""

from collections.abc import Iterator

import dagster as dg

from pipelines.jobs import WAREHOUSE_JOB
from pipelines.runtime.resources import Hospital


@dg.schedule(
    job_name="refresh",
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    description="02:00 UTC: one refresh per batch; only stale rows are embedded.",
)
def nightly_refresh(
    context: dg.ScheduleEvaluationContext, hospital: Hospital
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request a refresh of every batch that has been embedded before."""
    night = context.scheduled_execution_time.strftime("%Y-%m-%d")
    batches = hospital.lake.partitions(("embeddings", "slices"))
    if not batches:
        yield dg.SkipReason("no batch has been embedded yet")
    for batch in batches:
        yield dg.RunRequest(run_key=f"refresh-{night}-{batch}", partition_key=batch)


@dg.schedule(
    job_name=WAREHOUSE_JOB,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    description="05:00 UTC: the DuckDB file after the night's refresh.",
)
def nightly_warehouse() -> dg.RunRequest:
    """Rebuild the warehouse once a night, whatever the sensor did."""
    return dg.RunRequest()
