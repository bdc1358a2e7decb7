"""An inbox through the graph from the command line: the same jobs as the UI, in order, only where due.

Belongs here: the order of jobs and what is skipped. Does not belong here: what a job selects (``jobs``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from assets import STAGES, all_assets
from pipelines.freshness import corpus_due, due, newest
from pipelines.intake import alone, register
from pipelines.jobs import (
    AGREE_JOB,
    ANCHOR_KEYS,
    CLAIM_KEYS,
    CORPUS,
    ENCODER_KEYS,
    MODEL_KEYS,
    PROBE_KEYS,
    RULES_JOB,
    WAREHOUSE_JOB,
    asset_keys,
    batch_keys,
    keys_of_stage,
    through_job,
)
from pipelines.keys import batches_under_another_key
from pipelines.runtime.partitions import encoder_sequences
from pipelines.runtime.resources import ENCODER, Hospital

_IN_PROCESS = {"spineagent/launcher": "command_line"}
_PARTITION_TAG = "dagster/partition"


class RunFailed(RuntimeError):
    """A job of the run failed; names job, partition, step and the reason."""


@dataclass
class Runner:
    """Runs jobs in this process against one instance.

    Args:
        hospital: profile, key and storage.
        definitions: the code location's definitions for that hospital.
        instance: Dagster instance that records the runs.
        say: called with one line per finished job.
    """

    hospital: Hospital
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    say: Callable[[str], None]
    executed: list[tuple[str, str | None]] = field(default_factory=list)

    def run(self, inbox: Path, *, through: str, cohort: str = "internal", retrain: bool = False) -> list[str]:
        """Register an inbox and materialise its batches up to a stage.

        Training stages run where they have never run, or with ``retrain``; a new batch alone never trains.

        Returns:
            The inbox's batches.

        Raises:
            ValueError: unknown stage (lists the known ones).
            RunFailed: a job failed.
        """
        if through not in STAGES:
            raise ValueError(f"no stage {through!r}: choose one of {', '.join(STAGES)}")
        self.hospital.key()
        for zone in (self.hospital.restricted, self.hospital.lake):
            zone.sweep()
        intake = register(self.hospital, inbox, cohort=cohort)
        new = [b for b in intake.batches if not self.instance.has_dynamic_partition("study_batches", b)]
        self.instance.add_dynamic_partitions("study_batches", new)
        self.say(
            f"registered {intake.files:,} files in {len(intake.batches)} batches, {len(intake.touched)} with news"
        )
        stages = list(STAGES)[: list(STAGES).index(through) + 1]
        corpus = [stage for stage in stages if stage in CORPUS]
        rekeyed = set(batches_under_another_key(self.hospital)) if "deid" in corpus else set()
        self._corpus(corpus, {*intake.batches, *intake.touched, *rekeyed}, again=rekeyed)
        for batch in intake.batches if "labels" in stages else ():
            self._agree(batch)
        self._models(stages, retrain)
        for batch in intake.batches if "embeddings" in stages else ():
            self._embed(batch)
        if "probes" in stages:
            self._probe(retrain)
        for batch in intake.batches:
            for stage, job, keys in (
                ("agents", "claim", asset_keys(CLAIM_KEYS)),
                ("reports", "draft", keys_of_stage("reports")),
            ):
                above = [(k, batch) for k in (*keys_of_stage("embeddings"), *asset_keys(CLAIM_KEYS))]
                above += [(dg.AssetKey(["probes", "heads"]), None)]
                if stage in stages and self._due(
                    keys, batch, [pair for pair in above if pair[0] not in keys]
                ):
                    self._execute(job, batch)
        if self.executed or not self.hospital.warehouse.is_file():
            self._execute(WAREHOUSE_JOB, None)
            self._execute(RULES_JOB, None)
        else:
            self.say("nothing new: every asset is as its inputs are")
        return intake.batches

    def _corpus(self, stages: Sequence[str], batches: set[str], *, again: set[str]) -> None:
        """Bring batches up to date, and those of other inboxes that the new files changed the meaning of.

        Batches of ``again`` are made anew whatever they rest on: they were released under another key.
        """
        from spine_models.corpus.archive import fingerprints

        ledger = self.hospital.ledger()
        rests_on = fingerprints(ledger) if ledger is not None else {}
        index = dg.AssetKey(["archive", "files"])
        for batch in set(self.instance.get_dynamic_partitions("study_batches")) - batches:
            made = newest(self.instance, index, batch)
            if made is not None and made.registration not in (None, rests_on.get(batch, "")):
                batches.add(batch)
        keys, assets = batch_keys(stages), all_assets()
        for batch in sorted(batches):
            # Another run may have done it by the time that this one may.
            with alone(self.hospital, batch):
                if batch in again or corpus_due(self.instance, assets, keys, batch, rests_on.get(batch, "")):
                    self._execute(through_job(stages[-1]), batch)

    def _agree(self, batch: str) -> None:
        """Let the consensus of a batch hear what people have decided since."""
        made = newest(self.instance, dg.AssetKey(["labels", "consensus"]), batch)
        if made is not None and made.adjudications != self.hospital.adjudications_version():
            self._execute(AGREE_JOB, batch)

    def _models(self, stages: Sequence[str], retrain: bool) -> None:
        """Trainings in order; each is due where it has never run, or where what it rests on was made anew."""
        if "backbone" not in stages:
            return
        if retrain or self._due(asset_keys(MODEL_KEYS), None):
            self._execute("freeze", None)
        frozen = [(key, None) for key in asset_keys(MODEL_KEYS)]
        for route in encoder_sequences.get_partition_keys():
            own = asset_keys(ENCODER_KEYS)
            if retrain or self._due(own, route, frozen):
                self._execute("pretrain", route)
            if retrain or self._due(asset_keys(ANCHOR_KEYS), route, [*frozen, (own[0], route)]):
                self._execute("anchor", route)
        above = [*frozen, *_anchored()]
        if "clip" in stages and (retrain or self._due(keys_of_stage("clip"), None, above)):
            self._execute("align", None)
        above.append((dg.AssetKey(["clip", "aligned"]), None))
        if "synthesizer" in stages and (retrain or self._due(keys_of_stage("synthesizer"), None, above)):
            self._execute("synthesize", None)

    def _embed(self, batch: str) -> None:
        above = [(key, batch) for key in keys_of_stage("shards") if key not in asset_keys(MODEL_KEYS)]
        above += _anchored()
        if self._due(keys_of_stage("embeddings"), batch, above):
            self._execute("embed", batch)

    def _probe(self, retrain: bool) -> None:
        if retrain or self._due(asset_keys(PROBE_KEYS), None, _anchored()):
            self._execute("probe", None)

    def _due(
        self,
        keys: Sequence[dg.AssetKey],
        partition: str | None,
        upstream: Sequence[tuple[dg.AssetKey, str | None]] = (),
    ) -> bool:
        return due(self.instance, all_assets(), keys, partition, upstream=upstream)

    def _execute(self, job: str, partition: str | None) -> None:
        with alone(self.hospital, partition or job):
            self._bury(job, partition)
            self._execute_alone(job, partition)

    def _bury(self, job: str, partition: str | None) -> None:
        """Close the records of earlier runs of this job that were killed: whoever holds the lock is the only one."""
        filters = dg.RunsFilter(job_name=job, tags=_IN_PROCESS, statuses=[dg.DagsterRunStatus.STARTED])
        for run in self.instance.get_runs(filters):
            if run.tags.get(_PARTITION_TAG) == partition:
                self.instance.report_run_failed(run, "the process of this run was killed")

    def _execute_alone(self, job: str, partition: str | None) -> None:
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
            raise RunFailed(f"{name} failed: {_reason(result)}")
        self.say(f"{name}: {time.monotonic() - started:.0f} s")


def _anchored() -> list[tuple[dg.AssetKey, str | None]]:
    """The encoders that everything downstream embeds with."""
    return [(dg.AssetKey(list(ENCODER)), route) for route in encoder_sequences.get_partition_keys()]


def _reason(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            return f"step {event.step_key}: {error.message.strip() if error else 'no reason recorded'}"
    return "no step reported a reason"
