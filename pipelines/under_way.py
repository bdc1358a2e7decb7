"""Runs that are under way, and those that only look so because their process is gone.

Belongs here: counting and closing runs of the event log. Does not belong here: what follows from it (``runner``,
``generations``, ``schedules``).
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Final

import dagster as dg

from pipelines.jobs import LAUNCHER_TAG, WAREHOUSE_JOB
from pipelines.runtime.locks import if_free
from pipelines.runtime.resources import HOST_TAG, Hospital

_UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_PROCESS: Final = re.compile(r"Started process for run \(pid: (\d+)\)")


def running(hospital: Hospital, instance: dg.DagsterInstance) -> int:
    """Runs under way or waiting for their turn; those of a command line that was killed hold no lock any more."""
    count = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        if LAUNCHER_TAG in run.tags:
            what = run.tags.get("dagster/partition") or run.job_name or WAREHOUSE_JOB
            lock = Path(hospital.home) / "locks" / f"{what}.lock"
            if not lock.exists():
                continue
            with if_free(lock) as free:
                if free:
                    continue
        count += 1
    return count


def bury_dead(instance: dg.DagsterInstance) -> list[str]:
    """Close runs of the daemon whose process on this host is gone, and give back their places in pools.

    A run whose host is not this one, or whose process is not known, is left alone.

    Returns:
        Their ids.
    """
    dead = []
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={HOST_TAG: socket.gethostname()})
    for run in instance.get_runs(filters):
        process = _process_of(instance, run.run_id)
        if LAUNCHER_TAG in run.tags or process is None or _alive(process):
            continue
        instance.report_run_failed(run, "the process of this run is gone")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        dead.append(run.run_id)
    return dead


def _process_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        if event is not None and (found := _PROCESS.search(event.message or "")):
            return int(found.group(1))
    return None


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def reason_of(result: dg.ExecuteInProcessResult) -> str:
    """Step and message of the first failure of a run."""
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            return f"step {event.step_key}: {error.message.strip() if error else 'no reason recorded'}"
    return "no step reported a reason"
