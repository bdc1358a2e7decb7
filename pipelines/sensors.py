"""Sensors: new files in a registered inbox, people's decisions on labels, tables that the warehouse does not hold yet.

Belongs here: what starts a run by itself. Training is never among it.
"""

import dagster as dg

from pipelines.intake import register
from pipelines.jobs import AGREE_JOB, RULES_JOB, WAREHOUSE_JOB, all_jobs, through_job
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.resources import Hospital


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


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    request_jobs=[job for job in all_jobs() if job.name == WAREHOUSE_JOB],
    minimum_interval_seconds=120,
    description="Rebuilds the warehouse after every run that changed a table.",
)
def changed_tables(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
    """Request a rebuild after a successful run, but not after a rebuild or a run of rules."""
    if context.dagster_run.job_name in (WAREHOUSE_JOB, RULES_JOB):
        return dg.SkipReason("that run changed no table")
    return dg.RunRequest(run_key=f"after-{context.dagster_run.run_id}", job_name=WAREHOUSE_JOB)
