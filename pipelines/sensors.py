"""Sensors: new files in an inbox, tables that people keep by hand, tables that the warehouse does not hold yet.

Belongs here: what starts a run by itself. Training is never among it.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from pipelines.by_hand import ADJUDICATIONS, READINGS, ByHand
from pipelines.freshness import newest
from pipelines.jobs import AGREE_JOB, LAUNCHER_TAG, RULES_JOB, WAREHOUSE_JOB, all_jobs, through_job
from pipelines.lake_log import LakeLog
from pipelines.refreshing import FOLLOWS, plan_refresh, register_inboxes, registered
from pipelines.retelling import settle
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.resources import Hospital
from pipelines.steps import findings_steps
from pipelines.under_way import bury_dead


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
    touched, held = register_inboxes(hospital)
    told = "; ".join(reason for line in held for reason in line.reasons)
    if not touched:
        return dg.SkipReason("nothing new in any inbox" + (f" ({told})" if told else ""))
    if told:
        context.log.warning(told)
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
    return _asked(context, hospital, ADJUDICATIONS, hospital.lake.partitions(("labels", "consensus")))


@dg.sensor(
    job_name=next(step.job for step in findings_steps() if READINGS.known_by in step.keys),
    minimum_interval_seconds=300,
    description="Looks at the file of readers' scores; a change asks for their table and analysis anew.",
)
def new_readings(context: dg.SensorEvaluationContext, hospital: Hospital) -> dg.SensorResult | dg.SkipReason:
    """Request the readers' table after readers have written, where it was made once."""
    made = hospital.lake.table_path(tuple(READINGS.known_by.path)).is_file()
    return _asked(context, hospital, READINGS, [None] if made else [])


def _asked(
    context: dg.SensorEvaluationContext,
    hospital: Hospital,
    table: ByHand,
    partitions: Sequence[str | None],
) -> dg.SensorResult | dg.SkipReason:
    """Request what rests on a table kept by hand where it has changed; one that cannot be read requests nothing."""
    version = table.version(hospital)
    if version == (context.cursor or "none"):
        return dg.SkipReason("nothing was changed by hand")
    table.read(hospital)
    requests = []
    for partition in partitions:
        made = newest(context.instance, table.known_by, partition)
        if made is None or table.news(made, version):
            # With its place in the log: who takes a change back and makes it again is heard each time.
            key = f"{partition or 'lake'}-{version}-{made.storage_id if made else 0}"
            requests.append(dg.RunRequest(run_key=key, partition_key=partition))
    return dg.SensorResult(run_requests=requests, cursor=version)


AFTERWARDS = (*(step.job for step in findings_steps() if step.gathers), WAREHOUSE_JOB, RULES_JOB)
"""What a night's batches bring about, once: jobs of the whole lake, and what of a batch rests on these."""
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


_TARGETS = [job for job in all_jobs() if job.name in AFTERWARDS]


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    request_jobs=_TARGETS,
    minimum_interval_seconds=120,
    description="When the last of several runs is through: the index and what rests on it, the warehouse, the rules.",
)
def changed_tables(
    context: dg.RunStatusSensorContext, hospital: Hospital
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request the next thing that the whole lake needs after runs that changed tables; never training.

    Each such run calls this again when it is through, so that one follows the other.
    """
    run, instance = context.dagster_run, context.instance
    if run.job_name == RULES_JOB:
        yield dg.SkipReason("the rules change no table")
        return
    if run.job_name == WAREHOUSE_JOB:
        yield dg.RunRequest(run_key=f"after-{run.run_id}", job_name=RULES_JOB)
        if not _others(instance, run):
            yield from _left_over(hospital, instance)
        return
    yield from _onwards(hospital, instance, run)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    request_jobs=_TARGETS,
    minimum_interval_seconds=120,
    description="When the last of several runs fails: what the others brought about goes on all the same.",
)
def failed_runs(
    context: dg.RunStatusSensorContext, hospital: Hospital
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """As ``changed_tables``, of a run that failed."""
    yield from _after_a_loss(context, hospital)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    request_jobs=_TARGETS,
    minimum_interval_seconds=120,
    description="When the last of several runs is canceled: what the others brought about goes on all the same.",
)
def canceled_runs(
    context: dg.RunStatusSensorContext, hospital: Hospital
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """As ``changed_tables``, of a run that was canceled."""
    yield from _after_a_loss(context, hospital)


def _after_a_loss(
    context: dg.RunStatusSensorContext, hospital: Hospital
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    run = context.dagster_run
    if run.job_name in (WAREHOUSE_JOB, RULES_JOB) or LAUNCHER_TAG in run.tags:
        yield dg.SkipReason("nothing rests on this run, or the command line goes on with it")
        return
    yield from _onwards(hospital, context.instance, run)


def _others(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int:
    """Other runs under way; one that a killed command line left behind says so itself when it runs again."""
    bury_dead(instance)
    return sum(
        other.run_id != run.run_id and LAUNCHER_TAG not in other.tags
        for other in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
    )


def _onwards(
    hospital: Hospital, instance: dg.DagsterInstance, run: dg.DagsterRun
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    if others := _others(instance, run):
        yield dg.SkipReason(f"{others} other runs are under way: the last of them brings the rest about")
        return
    settle(hospital, instance)
    plan = plan_refresh(hospital, LakeLog(instance), registered(hospital))
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


def _left_over(hospital: Hospital, instance: dg.DagsterInstance) -> Iterator[dg.RunRequest]:
    """What should have been gathered before the warehouse and was not, once a day and state of its inputs.

    The run key has what is above the job and not the job itself: one that fails, or calls itself due after it ran,
    is not asked for again by its own end.
    """
    log = LakeLog(instance)
    plan = plan_refresh(hospital, log, registered(hospital))
    after = [due for due in plan.due if due.job in AFTERWARDS and due.reasons != (FOLLOWS,)]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for due in (due for due in after if due.job == after[0].job):
        above = {dep.asset_key for key in due.keys for dep in log.definitions[key].specs_by_key[key].deps}
        made = [m.storage_id for key in above - set(due.keys) for _, m in log.partitions_made(key)]
        yield dg.RunRequest(
            run_key=f"left-{today}-{due.job}-{due.batch or 'lake'}-{max(made, default=0)}",
            job_name=due.job,
            partition_key=due.batch,
        )
