"""Sensors: new files in a registered inbox, and tables that the warehouse does not hold yet.

Belongs here: what starts a run by itself. Training is never among it.
"""

import dagster as dg

from pipelines.intake import register
from pipelines.jobs import through_job
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
    ledger = hospital.ledger()
    content = 0 if ledger is None else ledger.height
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"{b}-{content}", partition_key=b) for b in sorted(touched)],
        dynamic_partitions_requests=requests,
    )


@dg.multi_asset_sensor(
    monitored_assets=dg.AssetSelection.assets(
        ["deid", "studies"], ["embeddings", "studies"], ["reports", "drafts"]
    ),
    job_name="rebuild_warehouse",
    minimum_interval_seconds=120,
    description="Rebuilds the warehouse after runs that changed a table.",
)
def changed_tables(context: dg.MultiAssetSensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request one rebuild for any number of new materialisations."""
    if not any(context.latest_materialization_records_by_key().values()):
        return dg.SkipReason("no table changed")
    context.advance_all_cursors()
    return dg.RunRequest()
