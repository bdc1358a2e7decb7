"""Jobs of the graph in this process, one after the other, and what becomes of those that fail or were killed.

Belongs here: executing one job alone. Does not belong here: which jobs are due (``runner``, ``trainings``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg

from pipelines.intake import alone
from pipelines.jobs import LAUNCHER_TAG, RULES_JOB, WAREHOUSE_JOB
from pipelines.runtime.resources import Hospital
from pipelines.under_way import reason_of

_IN_PROCESS = {LAUNCHER_TAG: "command_line"}
_PARTITION_TAG = "dagster/partition"


class RunFailed(RuntimeError):
    """A job of the run failed; names job, partition, step and the reason."""


@dataclass
class Executor:
    """Executes jobs in this process against one instance.

    Args:
        hospital: profile, key and storage.
        definitions: the code location's definitions for that hospital.
        instance: Dagster instance that records the runs.
        say: called with one line per finished job.
        executed: job and partition of everything that was executed, in order.
    """

    hospital: Hospital
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    say: Callable[[str], None]
    executed: list[tuple[str, str | None]] = field(default_factory=list)

    def rebuild(self) -> None:
        """The warehouse and its rules over the lake as it is served now."""
        self.execute(WAREHOUSE_JOB, None)
        self.execute(RULES_JOB, None)

    def execute(self, job: str, partition: str | None) -> None:
        """Execute a job when no other process executes it.

        Raises:
            RunFailed: it did not succeed.
        """
        with alone(self.hospital, partition or job):
            self._bury(job, partition)
            self.execute_alone(job, partition)

    def _bury(self, job: str, partition: str | None) -> None:
        """Close the records of earlier runs of this job that were killed: whoever holds the lock is the only one."""
        filters = dg.RunsFilter(job_name=job, tags=_IN_PROCESS, statuses=[dg.DagsterRunStatus.STARTED])
        for run in self.instance.get_runs(filters):
            if run.tags.get(_PARTITION_TAG) == partition:
                self.instance.report_run_failed(run, "the process of this run was killed")
                # Its place in a pool is not given back by that, and the next run would wait for it for ever.
                self.instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)

    def execute_alone(self, job: str, partition: str | None) -> None:
        """Execute a job whose lock this process holds; checks that do not pass are told.

        Raises:
            RunFailed: it did not succeed.
        """
        started = time.monotonic()
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=partition,
            tags=_IN_PROCESS,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        self.executed.append((job, partition))
        name = f"{job} {partition}" if partition else job
        broken = [c for c in result.get_asset_check_evaluations() if not c.passed]
        for check in broken:
            self.say(
                f"  check {'/'.join(check.asset_key.path)}: {check.check_name} did not pass ({check.severity.value})"
            )
        if not result.success:
            raise RunFailed(f"{name} failed: {reason_of(result)}")
        self.say(f"{name}: {time.monotonic() - started:.0f} s")
