"""What is new in the lake and why: the plan of a refresh, the same for the command line and for the night.

A refresh takes new and changed batches through corpus, vectors, predictions, index, claims and drafts. It never
trains: what is fitted on the frozen patients stays, and what has none yet waits for it.

Belongs here: looking at inboxes, event log and pins, and saying what is due. Does not belong here: running it
(``runner``, ``schedules``), reading the log (``lake_log``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import dagster as dg

from pipelines.by_hand import changed_by_hand
from pipelines.intake import register
from pipelines.jobs import (
    ABLATIONS,
    AGREE_JOB,
    CONSENSUS_KEYS,
    CORPUS,
    CORPUS_JOB,
    asset_keys,
    batch_keys,
)
from pipelines.keys import batches_under_another_key
from pipelines.lake_log import LakeLog
from pipelines.nights import Refreshed
from pipelines.runtime.partitions import encoder_sequences
from pipelines.runtime.resources import ENCODER, Hospital
from pipelines.steps import Step, findings_steps

_FILES = dg.AssetKey(["archive", "files"])
FOLLOWS = "rests on what is made anew"


@dataclass(frozen=True)
class Due:
    """One stage of one batch, or of the whole lake, that has something to do.

    Args:
        batch: the partition; None for the whole lake.
        stage: stage word.
        job: that makes it.
        reasons: why, one phrase each; ``FOLLOWS`` where only an earlier stage of the plan is the reason.
        keys: assets of the job.
    """

    batch: str | None
    stage: str
    job: str
    reasons: tuple[str, ...]
    keys: tuple[dg.AssetKey, ...]


@dataclass(frozen=True)
class Plan:
    """Everything due, in the order in which it may run, and what has to wait for a person.

    Args:
        due: jobs.
        waits: stage to what it waits for.
        rests_on: what each batch's index would rest on now.
    """

    due: list[Due]
    waits: dict[str, str] = field(default_factory=dict)
    rests_on: dict[str, str] = field(default_factory=dict)

    @property
    def batches(self) -> list[str]:
        """Batches with something to do, sorted."""
        return sorted({due.batch for due in self.due if due.batch is not None})

    def batches_of(self, job: str) -> list[str]:
        """Batches that a job is due for, sorted."""
        return sorted({due.batch for due in self.due if due.job == job and due.batch is not None})

    def digest(self, batch: str) -> str:
        """Hash of what a batch is due for and rests on: the same request is not made twice."""
        mine = [(d.stage, d.reasons) for d in self.due if d.batch == batch]
        return hashlib.sha256(f"{mine} {self.rests_on.get(batch)}".encode()).hexdigest()[:12]


def register_inboxes(hospital: Hospital) -> tuple[set[str], list[Refreshed]]:
    """Register what lies in the known inboxes, each by itself.

    An inbox that is not there or empty, an unmounted disk for one, or that has lost more than half of its files is
    held back: its batches stay as they are. A person who means it runs `spineagent run INBOX`.

    Returns:
        Batches with news, and a line for each inbox that was held back.
    """
    from spine_models.corpus.archive import InboxError
    from spine_models.corpus.archive.inbox import mostly_gone

    touched: set[str] = set()
    held: list[Refreshed] = []
    for name, inbox in hospital.inboxes().items():
        cohort = name.split(":", 1)[0]
        try:
            ledger = hospital.ledger()
            if ledger is not None and mostly_gone(inbox, ledger):
                raise InboxError(
                    "more than half of its files are gone: if that is meant, `spineagent run INBOX`"
                )
            touched |= set(register(hospital, inbox, cohort=cohort).touched)
        except InboxError as error:
            told = f"an inbox of cohort {cohort} is held back: {error}"
            held.append(Refreshed(None, "archive", "", (told,), None, "waits"))
    return touched, held


def look_into_inboxes(
    hospital: Hospital, instance: dg.DagsterInstance
) -> tuple[dict[str, str], list[Refreshed]]:
    """Register what lies in the known inboxes (``register_inboxes``).

    Returns:
        What every batch rests on now, by batch, and a line for each inbox that was held back.
    """
    _, held = register_inboxes(hospital)
    rests_on = registered(hospital)
    new = sorted(set(rests_on) - set(instance.get_dynamic_partitions("study_batches")))
    instance.add_dynamic_partitions("study_batches", new)
    return rests_on, held


def registered(hospital: Hospital) -> dict[str, str]:
    """Fingerprint of the registered files by batch, without a look into any inbox."""
    from spine_models.corpus.archive import fingerprints

    ledger = hospital.ledger()
    return dict(fingerprints(ledger)) if ledger is not None else {}


def plan_refresh(hospital: Hospital, log: LakeLog, rests_on: Mapping[str, str]) -> Plan:
    """What a refresh would do now; changes nothing.

    Args:
        hospital: profile and storage.
        log: the event log.
        rests_on: fingerprint of registered files by batch.
    """
    plan = Plan([], rests_on=dict(rests_on))
    known = set(log.instance.get_dynamic_partitions("study_batches"))
    batches = sorted(known | set(rests_on))
    rekeyed = set(batches_under_another_key(hospital)) if known else set()
    agreed = asset_keys(CONSENSUS_KEYS)
    for batch in batches:
        reasons = corpus_reasons(log, batch, rests_on.get(batch, ""), rekeyed=batch in rekeyed)
        plan.due.extend(
            Due(batch, stage, CORPUS_JOB, tuple(found), tuple(batch_keys([stage])))
            for stage, found in reasons.items()
        )
        if not reasons and (told := changed_by_hand(hospital, log, agreed, batch)):
            plan.due.append(Due(batch, "labels", AGREE_JOB, tuple(told), tuple(agreed)))
    _plan_findings(hospital, log, plan, batches)
    return plan


def corpus_reasons(log: LakeLog, batch: str, rests_on: str, *, rekeyed: bool = False) -> dict[str, list[str]]:
    """Why a batch's corpus has to be made anew, by stage; stages after the first such one follow it."""
    found: dict[str, list[str]] = {}
    for stage in CORPUS:
        reasons = log.reasons(batch_keys([stage]), batch, models="")
        made = log.made(_FILES, batch)
        if stage == "archive" and made is None:
            reasons = ["new batch"]
        elif stage == "archive" and made is not None and made.registration not in (None, rests_on):
            reasons.append("new or changed files")
        if stage == "deid" and rekeyed:
            reasons.append("released under another key")
        if found and (not reasons or made is None):
            reasons = [FOLLOWS]
        if reasons:
            found[stage] = reasons
    return found


def waiting(hospital: Hospital, log: LakeLog) -> dict[str, str]:
    """Jobs that a refresh may not run yet, and what each waits for: only training brings that."""
    if not any(hospital.lake.has_artifact(ENCODER, r) for r in encoder_sequences.get_partition_keys()):
        return {step.job: "no encoder has been trained" for step in findings_steps()}
    models = hospital.models_version
    absent: set[dg.AssetKey] = set()
    waits: dict[str, str] = {}
    for step in findings_steps():
        if step.fitted:
            made = [log.made(key, None) for key in step.keys]
            if step.stage == "probes" and any(m and m.models not in (None, models) for m in made):
                told = "its models were changed and the heads are not fitted yet: run with --retrain again"
                return {other.job: told for other in findings_steps()}
            absent |= {key for key, m in zip(step.keys, made, strict=True) if m is None}
            continue
        above = {dep.asset_key for key in step.keys for dep in log.definitions[key].specs_by_key[key].deps}
        if lacking := sorted("/".join(key.path) for key in above & absent):
            waits[step.job] = f"{', '.join(lacking)} not made yet"
            absent |= set(step.keys)
    return waits


def _plan_findings(hospital: Hospital, log: LakeLog, plan: Plan, batches: list[str]) -> None:
    waits = waiting(hospital, log)
    models = hospital.models_version
    remade = {(d.batch, key) for d in plan.due for key in d.keys}
    for step in findings_steps():
        if step.fitted or step.stage == ABLATIONS:
            continue
        if step.job in waits:
            plan.waits[step.stage] = waits[step.job]
            continue
        for batch in batches if step.per_batch else [None]:
            reasons = log.reasons(step.keys, batch, models=models)
            reasons += changed_by_hand(hospital, log, step.keys, batch)
            above = _above(log, step)
            follows = any(up in above and (batch is None or other in (batch, None)) for other, up in remade)
            if reasons == ["never made"] and batch is None and not follows and not _has_input(log, above):
                continue
            if not reasons and follows:
                reasons = [FOLLOWS]
            if reasons:
                plan.due.append(Due(batch, step.stage, step.job, tuple(reasons), step.keys))
                remade |= {(batch, key) for key in step.keys}


def _above(log: LakeLog, step: Step) -> set[dg.AssetKey]:
    return {dep.asset_key for key in step.keys for dep in log.definitions[key].specs_by_key[key].deps}


def _has_input(log: LakeLog, above: set[dg.AssetKey]) -> bool:
    return any(log.partitions(key) for key in above if key in log.definitions)
