"""An inbox through the graph from the command line: the same jobs as the UI, in order, only where due.

Belongs here: the order of jobs and what is skipped. Does not belong here: what a job selects (``jobs``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg

from assets import STAGES
from pipelines.by_hand import changed_by_hand
from pipelines.execution import Executor, RunFailed
from pipelines.intake import alone, register
from pipelines.jobs import (
    ABLATIONS,
    AGREE_JOB,
    CONSENSUS_KEYS,
    CORPUS,
    CORPUS_JOB,
    asset_keys,
    batch_keys,
    through_job,
)
from pipelines.keys import batches_under_another_key
from pipelines.lake_log import LakeLog
from pipelines.nights import Noted, Refreshed
from pipelines.refreshing import Due, corpus_reasons, look_into_inboxes, plan_refresh, registered, waiting
from pipelines.retelling import settle
from pipelines.runtime.report_model import demand_named_decoder
from pipelines.steps import Step, findings_steps
from pipelines.trainings import train_where_due
from pipelines.under_way import bury_dead, running

_SLICES = dg.AssetKey(["shards", "slices"])


class Runner(Executor):
    """Runs jobs in this process against one instance, where they are due."""

    def run(self, inbox: Path, *, through: str, cohort: str = "internal", retrain: bool = False) -> list[str]:
        """Register an inbox and materialise its batches up to a stage.

        Training stages run where they have never run, or with ``retrain``; neither a new batch nor a newer freeze nor
        newer code trains by itself, and what is served moves to newer models only with ``retrain``.

        Returns:
            The inbox's batches.

        Raises:
            ValueError: unknown stage (lists the known ones), or the decoder that the profile names cannot be used: said
                before the hours that lead to it.
            RunFailed: a job failed, or what is trained could not be served; asked before training, and after.
        """
        if through not in STAGES:
            raise ValueError(f"no stage {through!r}: choose one of {', '.join(STAGES)}")
        self._prepare()
        stages = list(STAGES)[: list(STAGES).index(through) + 1]
        if "llava" in stages:
            demand_named_decoder(self.hospital, again=retrain)
        steps = [step for step in findings_steps() if step.stage in stages]
        self._refuse_to_move(steps, retrain)
        intake = register(self.hospital, inbox, cohort=cohort)
        new = [b for b in intake.batches if not self.instance.has_dynamic_partition("study_batches", b)]
        self.instance.add_dynamic_partitions("study_batches", new)
        self.say(
            f"registered {intake.files:,} files in {len(intake.batches)} batches, {len(intake.touched)} with news"
        )
        corpus = [stage for stage in stages if stage in CORPUS]
        rekeyed = set(batches_under_another_key(self.hospital)) if "deid" in corpus else set()
        log = LakeLog(self.instance)
        self._corpus(log, corpus, {*intake.batches, *intake.touched, *rekeyed}, again=rekeyed)
        for batch in intake.batches if "labels" in stages else ():
            self._agree(log, batch)
        self._refuse_to_move(steps, retrain)  # the corpus took its time: a run may have begun since
        trained = self._models(stages, retrain)
        if steps:
            # Whoever asks for training wants its vectors: the served generation moves to the new models where it lies.
            before = self.hospital.models_version
            self._refuse_to_move(steps, retrain)
            self.hospital.pin(again=retrain)
            moved = (trained or retrain) and before != self.hospital.models_version
            log.reread(log.definitions)
            # Also one that an earlier run moved and was cut off before the batches of every inbox were through.
            whole = moved or self._on_other_models(log, steps)
            for step in steps:
                batches = set(log.partitions(_SLICES)) if whole else set(intake.batches)
                if step.gathers:
                    # What rests on the index of the whole lake is as old as that, whichever inbox it came from.
                    batches |= {batch for key in step.keys for batch in log.partitions(key)}
                self._step(log, step, sorted(batches), again=moved or (retrain and step.fitted))
        self._tail_where_due(log)
        return intake.batches

    def refresh(self) -> list[Refreshed]:
        """Take what is new in the known inboxes, and what is stale, through to the drafts; never train.

        What is done is noted as it is done: a refresh that was killed goes on with what is left.

        Returns:
            What was refreshed and why, and what waits.

        Raises:
            RunFailed: a job failed; what was done before stays.
        """
        self._prepare()
        rests_on, held = look_into_inboxes(self.hospital, self.instance)
        log = LakeLog(self.instance)
        plan = plan_refresh(self.hospital, log, rests_on)
        self.say(f"{len(plan.batches)} of {len(rests_on)} batches have something to refresh")
        rows = Noted(self.hospital)
        if held:
            rows += held
        for batch in plan.batches_of(CORPUS_JOB):
            self._refresh_corpus(log, batch, rests_on.get(batch, ""), plan.due, rows)
        for batch in plan.batches_of(AGREE_JOB):
            self._agree(log, batch, rows)
        waits = waiting(self.hospital, log)
        for step in findings_steps():
            if not step.fitted and step.job not in waits:
                self._step(log, step, plan.batches_of(step.job), rows=rows)
        if rows:
            rows += [Refreshed(None, stage, "", (told,), None, "waits") for stage, told in plan.waits.items()]
        self._tail_where_due(log)
        return list(rows)

    def build(self, batches: Sequence[str]) -> None:
        """Make everything of this hospital's generation that it lacks, heads and report model too; no encoder.

        Args:
            batches: that have slices.

        Raises:
            RunFailed: a job failed; what was done before stays.
        """
        log = LakeLog(self.instance)
        steps = [step for step in findings_steps() if step.stage != ABLATIONS]
        for n, step in enumerate(steps, 1):
            self.say(f"{step.stage}: step {n} of {len(steps)}")
            self._step(log, step, batches)

    def _prepare(self) -> None:
        self.hospital.key()
        if dead := bury_dead(self.instance):
            self.say(f"{len(dead)} runs whose process is gone were closed")
        for zone in (self.hospital.restricted, self.hospital.lake):
            zone.sweep()
        if settle(self.hospital, self.instance):
            self.say(f"the event log now tells of generation {self.hospital.lake.generation}")

    def _refuse_to_move(self, steps: Sequence[Step], retrain: bool) -> None:
        """Raises where models that are trained could not be pinned."""
        if steps:
            self.hospital.refuse_if_closed()
        if steps and retrain and (others := running(self.hospital, self.instance)):
            raise RunFailed(
                f"{others} runs are under way and the models are not changed under them: run with --retrain again "
                "when they are through"
            )

    def _tail_where_due(self, log: LakeLog) -> None:
        """Rebuild the warehouse where a table is newer, also one that an earlier run left without it."""
        warehouse = log.made(dg.AssetKey(["warehouse", "duckdb"]), None)
        stale = self.executed or warehouse is None or log.newest_id > warehouse.storage_id
        if not stale and self.hospital.warehouse.is_file():
            self.say("nothing new: every asset is as its inputs are")
            return
        self.rebuild()

    def _corpus(self, log: LakeLog, stages: Sequence[str], batches: set[str], *, again: set[str]) -> None:
        """Bring batches up to date, and those of other inboxes that the new files changed the meaning of.

        Batches of ``again`` are made anew whatever they rest on: they were released under another key.
        """
        rests_on = registered(self.hospital)
        index = dg.AssetKey(["archive", "files"])
        for batch in set(self.instance.get_dynamic_partitions("study_batches")) - batches:
            made = log.made(index, batch)
            if made is not None and made.registration not in (None, rests_on.get(batch, "")):
                batches.add(batch)
        keys = batch_keys(stages)
        for batch in sorted(batches):

            def reasons(batch: str = batch) -> list[str]:
                found = corpus_reasons(log, batch, rests_on.get(batch, ""), rekeyed=batch in again)
                return [reason for stage in stages for reason in found.get(stage, [])]

            self._where_due(log, through_job(stages[-1]), keys, batch, reasons)

    def _refresh_corpus(
        self, log: LakeLog, batch: str, rests_on: str, planned: Sequence[Due], rows: Noted
    ) -> None:
        """One batch's corpus; a row for each of its stages."""
        mine = [d for d in planned if d.batch == batch and d.job == CORPUS_JOB]
        rekeyed = any("released under another key" in d.reasons for d in mine)

        def reasons() -> list[str]:
            found = corpus_reasons(log, batch, rests_on, rekeyed=rekeyed)
            return [reason for told in found.values() for reason in told]

        started, before, outcome = time.monotonic(), len(self.executed), "failed"
        try:
            self._where_due(log, CORPUS_JOB, batch_keys(CORPUS), batch, reasons)
            outcome = "refreshed"
        finally:
            if len(self.executed) > before:
                spent = time.monotonic() - started
                rows += [Refreshed(batch, d.stage, d.job, d.reasons, spent, outcome) for d in mine]

    def _agree(self, log: LakeLog, batch: str, rows: Noted | None = None) -> None:
        """Let the consensus of a batch hear what people have decided since."""
        keys = asset_keys(CONSENSUS_KEYS)

        def reasons() -> list[str]:
            return changed_by_hand(self.hospital, log, keys, batch)

        self._where_due(log, AGREE_JOB, keys, batch, reasons, rows, "labels")

    def _step(
        self,
        log: LakeLog,
        step: Step,
        batches: Sequence[str],
        *,
        again: bool = False,
        rows: Noted | None = None,
    ) -> None:
        """Run a step where it is due: for its batches, or once."""
        models = self.hospital.models_version
        for batch in batches if step.per_batch else [None]:

            def reasons(batch: str | None = batch) -> list[str]:
                found = log.reasons(step.keys, batch, models=models, fitted=step.fitted)
                found += changed_by_hand(self.hospital, log, step.keys, batch)
                return found or (["asked for"] if again else [])

            self._where_due(log, step.job, step.keys, batch, reasons, rows, step.stage)

    def _where_due(
        self,
        log: LakeLog,
        job: str,
        keys: Sequence[dg.AssetKey],
        partition: str | None,
        reasons: Callable[[], list[str]],
        rows: Noted | None = None,
        stage: str = "",
    ) -> None:
        """Run a job if there is a reason, also after another process had its turn."""
        if not reasons():
            return
        with alone(self.hospital, partition or job):
            log.reread(keys, partition)
            told = reasons()
            if not told:
                return
            started = time.monotonic()
            outcome = "failed"
            try:
                self.execute(job, partition)
                outcome = "refreshed"
            finally:
                if rows is not None:
                    spent = time.monotonic() - started
                    rows += [Refreshed(partition, stage, job, tuple(told), spent, outcome)]
            log.reread(keys, partition)

    def _on_other_models(self, log: LakeLog, steps: Sequence[Step]) -> bool:
        """Whether any batch has tables of other models than the generation pins now."""
        models = self.hospital.models_version
        keys = [key for step in steps if step.per_batch for key in step.keys]
        return any(made.models not in (None, models) for key in keys for _, made in log.partitions_made(key))

    def _models(self, stages: Sequence[str], retrain: bool) -> bool:
        """Whether anything was trained."""
        return train_where_due(self, stages, retrain=retrain)
