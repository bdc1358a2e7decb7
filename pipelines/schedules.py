"""The nightly refresh.

Belongs here: schedules. Training has none: it never starts by surprise. What is due is said by ``refreshing``.
"""

from collections.abc import Iterator

import dagster as dg

from pipelines.jobs import REFRESH_JOB, WAREHOUSE_JOB, refresh_keys
from pipelines.lake_log import LakeLog
from pipelines.nights import Refreshed, note
from pipelines.refreshing import FOLLOWS, look_into_inboxes, plan_refresh
from pipelines.retelling import settle
from pipelines.runtime.resources import Hospital
from pipelines.steps import findings_steps
from pipelines.under_way import bury_dead


@dg.schedule(
    job_name=REFRESH_JOB,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    description="02:00 UTC: looks into the inboxes and the event log; one run per batch that has something to do.",
)
def nightly_refresh(
    context: dg.ScheduleEvaluationContext, hospital: Hospital
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request what is due, batch by batch; what the whole lake needs afterwards follows by ``changed_tables``."""
    when = context.scheduled_execution_time
    bury_dead(context.instance)
    settle(hospital, context.instance)
    rests_on, held = look_into_inboxes(hospital, context.instance)
    plan = plan_refresh(hospital, LakeLog(context.instance), rests_on)
    allowed = set(refresh_keys())
    requested = [d for d in plan.due if d.batch is not None and allowed.issuperset(d.keys)]
    gathering = {step.job for step in findings_steps() if step.gathers}
    gathered = {
        d.stage: ", ".join(d.reasons) for d in plan.due if d.job in gathering and d.reasons != (FOLLOWS,)
    }
    if not requested:
        if held:
            note(hospital, "schedule", held, when)
        told = [reason for line in held for reason in line.reasons]
        told += [f"{stage}: {why}, follows the warehouse" for stage, why in gathered.items()]
        waits = "; ".join([*(f"{stage}: {told}" for stage, told in plan.waits.items()), *told])
        yield dg.SkipReason("nothing new and nothing stale" + (f" ({waits})" if waits else ""))
        return
    # A stage that waits for training is in no run.
    able = allowed - {key for step in findings_steps() if step.stage in plan.waits for key in step.keys}
    note(
        hospital,
        "schedule",
        [*held, *(Refreshed(d.batch, d.stage, d.job, d.reasons, None, "requested") for d in requested)],
        when,
    )
    for batch in sorted({d.batch for d in requested if d.batch is not None}):
        mine = [d for d in requested if d.batch == batch]
        yield dg.RunRequest(
            run_key=f"refresh-{when:%Y-%m-%d}-{batch}-{plan.digest(batch)}",
            partition_key=batch,
            asset_selection=sorted({key for d in mine for key in d.keys} & able),
            tags={"spineagent/reasons": ", ".join(dict.fromkeys(r for d in mine for r in d.reasons))[:200]},
        )


@dg.schedule(
    job_name=WAREHOUSE_JOB,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    description="05:00 UTC: the DuckDB file after the night's refresh.",
)
def nightly_warehouse() -> dg.RunRequest:
    """Rebuild the warehouse once a night, whatever the sensor did."""
    return dg.RunRequest()


@dg.schedule(
    job_name=WAREHOUSE_JOB,
    cron_schedule="30 3 * * 0",
    execution_timezone="UTC",
    description="Sundays, 03:30 UTC: the sweep of the lake reads every file again, for every patient.",
)
def weekly_sweep() -> dg.RunRequest:
    """A night's sweep passes over files that were clean when they were new; this one does not."""
    return dg.RunRequest(run_config={"ops": {"warehouse": {"config": {"whole": True}}}})
