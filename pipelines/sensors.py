"""Sensors: new files in a registered inbox, people's decisions on labels, tables that the warehouse does not hold yet.

Belongs here: what starts a run by itself. Training is never among it.
"""

from collections.abc import Iterator

import dagster as dg

from pipelines.intake import register
from pipelines.jobs import AGREE_JOB, LAUNCHER_TAG, RULES_JOB, WAREHOUSE_JOB, all_jobs, through_job
from pipelines.lake_log import LakeLog
from pipelines.refreshing import FOLLOWS, plan_refresh, registered
from pipelines.retelling import settle
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.resources import Hospital
from pipelines.steps import findings_steps


@dg.sensor(
    job_name=through_job("shards"),
    minimum_interval_seconds=300,
    description="Looks into every registered inbox; new or changed files request their batch.",
)
def new_batches(context: dg.SensorEvaluationContext, hospital: Hospital) -> dg.SensorResult | dg.SkipReason:
    """Register new files of known inboxes and request the batches that they touch."""
    inboxes = hospital.inboxes()
    if not inboxes:
        return dg.SkipReason("no inbox is registered: run `spineagent run INBOX --through archive` once")
    touched: set[str] = set()
    for name, inbox in inboxes.items():
        if inbox.is_dir():
            touched |= set(register(hospital, inbox, cohort=name.split(":", 1)[0]).touched)
    if not touched:
        return dg.SkipReason("nothing new in any inbox")
    known = set(context.instance.get_dynamic_partitions("study_batches"))
    requests = [study_batches.build_add_request(sorted(touched - known))] if touched - known else []
    from spine_models.corpus.archive import fingerprints

    ledger = hospital.ledger()
    content = fingerprints(ledger, touched) if ledger is not None else {}
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=f"{b}-{content.get(b, '')}", partition_key=b) for b in sorted(touched)
        ],
        dynamic_partitions_requests=requests,
    )


@dg.sensor(
    job_name=AGREE_JOB,
    minimum_interval_seconds=300,
    description="Looks at the file of adjudications; a change asks for the consensus of every batch anew.",
)
def new_adjudications(
    context: dg.SensorEvaluationContext, hospital: Hospital
) -> dg.SensorResult | dg.SkipReason:
    """Request the consensus of the labelled batches after people have decided."""
    version = hospital.adjudications_version()
    if version == (context.cursor or "none"):
        return dg.SkipReason("no new adjudication")
    hospital.adjudications()
    batches = hospital.lake.partitions(("labels", "consensus"))
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"{b}-{version}", partition_key=b) for b in batches],
        cursor=version,
    )


AFTERWARDS = (*(step.job for step in findings_steps() if step.gathers), WAREHOUSE_JOB, RULES_JOB)
"""What a night's batches bring about, once: jobs of the whole lake, and what of a batch rests on these."""
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    request_jobs=[job for job in all_jobs() if job.name in AFTERWARDS],
    minimum_interval_seconds=120,
    description="When the last of several runs is through: the index and what rests on it, the warehouse, the rules.",
)
def changed_tables(
    context: dg.RunStatusSensorContext, hospital: Hospital
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request the next thing that the whole lake needs after runs that changed tables; never training.

    Each such run calls this again when it is through, so that one follows the other.
    """
    run = context.dagster_run
    if run.job_name == RULES_JOB:
        yield dg.SkipReason("the rules change no table")
        return
    if run.job_name == WAREHOUSE_JOB:
        yield dg.RunRequest(run_key=f"after-{run.run_id}", job_name=RULES_JOB)
        return
    # One that a killed command line left behind is not waited for: it says so itself when it runs again.
    others = [
        other
        for other in context.instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
        if other.run_id != run.run_id and LAUNCHER_TAG not in other.tags
    ]
    if others:
        yield dg.SkipReason(f"{len(others)} other runs are under way: the last of them brings the rest about")
        return
    settle(hospital, context.instance)
    plan = plan_refresh(hospital, LakeLog(context.instance), registered(hospital))
    # Only onwards: a job that calls itself due after it ran must not run for ever.
    later = AFTERWARDS[AFTERWARDS.index(run.job_name) + 1 :] if run.job_name in AFTERWARDS else AFTERWARDS
    after = [due for due in plan.due if due.job in later and due.reasons != (FOLLOWS,)]
    if not after:
        yield dg.RunRequest(run_key=f"after-{run.run_id}", job_name=WAREHOUSE_JOB)
        return
    for due in (due for due in after if due.job == after[0].job):
        yield dg.RunRequest(
            run_key=f"after-{run.run_id}-{due.job}-{due.batch or 'lake'}",
            job_name=due.job,
            partition_key=due.batch,
        )
