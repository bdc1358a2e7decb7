"""The unit of work of a batch: one source file to one released file, in this process or in a worker.

Belongs here: reading, checking against the indexed hash, cleaning, writing, and the rows that describe it.
Does not belong here: the order of a batch, text, EHR (batch).
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import current_process, get_context
from pathlib import Path
from typing import Final

from spine_models.corpus.deid.dates import PatientDates
from spine_models.corpus.deid.engine import ENGINE, Patient, deidentify_object, read_object
from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.deid.policy import table_id
from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from spine_models.corpus.deid.quarantine import SOP_CLASSES, Reason, Refused
from spine_models.corpus.header import acquisition_facts

_INLINE_BELOW: Final = 800
_CHUNK: Final = 16
_COUNTS: Final = ("removed", "emptied", "replaced", "uids_mapped", "dates_shifted", "cleaned", "kept")


@dataclass(frozen=True)
class Task:
    """One indexed instance and its patient."""

    index: int
    path: str
    sha256: str
    study_uid: str
    sop_uid: str
    batch_key: str
    patient: Patient
    out: str
    hipaa_basis: str


@dataclass
class Done:
    """What became of a task: rows of a released instance, or a reason."""

    index: int
    reason: str | None = None
    instance: dict[str, object] = field(default_factory=dict)
    audit: dict[str, object] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    known: KnownIdentifiers = field(default_factory=KnownIdentifiers)


def run_tasks(
    tasks: Sequence[Task], *, key: bytes, workers: int, progress: Callable[[int, int], None] | None = None
) -> Iterator[Done]:
    """Results in the order of the tasks; few tasks run here, many in worker processes."""
    for done, result in enumerate(_results(tasks, key, workers), 1):
        if progress:
            progress(done, len(tasks))
        yield result


def _results(tasks: Sequence[Task], key: bytes, workers: int) -> Iterator[Done]:
    finished = 0
    # A daemonic process may not have children of its own.
    if workers > 1 and len(tasks) >= _INLINE_BELOW and not current_process().daemon:
        chunks = [(key, tasks[i : i + _CHUNK]) for i in range(0, len(tasks), _CHUNK)]
        # A worker that dies does not lose the batch: what is left is done in this process.
        with (
            suppress(BrokenProcessPool),
            ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
        ):
            for results in pool.map(_chunk, chunks):
                finished += len(results)
                yield from results
    names = Pseudonymizer(key)
    yield from (release(task, names) for task in tasks[finished:])


def _chunk(work: tuple[bytes, Sequence[Task]]) -> list[Done]:
    names = Pseudonymizer(work[0])
    return [release(task, names) for task in work[1]]


def release(task: Task, names: Pseudonymizer) -> Done:
    """De-identify one file into ``task.out``, or say why it stays."""
    try:
        data = Path(task.path).read_bytes()
    except OSError:
        return Done(task.index, Reason.UNREADABLE)
    if hashlib.sha256(data).hexdigest() != task.sha256:
        return Done(task.index, Reason.CONTENT_CHANGED)
    with warnings.catch_warnings():
        # A hospital's malformed value is no news of this program's, and a warning could quote it.
        warnings.simplefilter("ignore")
        try:
            return _released(task, names, data)
        except Refused as refusal:
            return Done(task.index, refusal.reason)
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk is full or closed: no fault of the file, and no reason to leave it behind
            # Nothing that a file contains may stop a batch or surface in a message: it stays behind instead.
            return Done(task.index, Reason.UNREADABLE)


def _released(task: Task, names: Pseudonymizer, data: bytes) -> Done:
    source = read_object(data)
    cleaned = deidentify_object(source, names=names, patient=task.patient)
    ds = cleaned.dataset
    keys = [
        f"{int(str(uid)[5:]):032x}" for uid in (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    ]
    relative = f"{task.patient.key}/{keys[0]}/{keys[1]}/{keys[2]}.dcm"
    target = Path(task.out) / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    partial.write_bytes(cleaned.payload)
    os.replace(partial, target)
    common = {"batch_key": task.batch_key, "patient_key": task.patient.key, "instance_key": keys[2]}
    instance = {
        **acquisition_facts(ds),
        **common,
        "study_key": keys[0],
        "series_key": keys[1],
        "sop_class": SOP_CLASSES[str(ds.SOPClassUID)],
        "series_description": _text(ds, "SeriesDescription"),
        "protocol_name": _text(ds, "ProtocolName"),
        "pixel_sha256": cleaned.pixel_sha256,
        "dicom_path": relative,
    }
    audit = {
        **common,
        **{name: cleaned.counts[name] for name in _COUNTS},
        "source_sha256_keyed": names.digest("source", task.sha256),
        "released_sha256": hashlib.sha256(cleaned.payload).hexdigest(),
        "engine": ENGINE,
        "table_id": table_id(),
        "key_id": names.key_id,
        "hipaa_basis": task.hipaa_basis,
    }
    facts = {
        "age": _text(ds, "PatientAge") or "",
        "sex": _text(ds, "PatientSex") or "",
        "study_date": _text(ds, "StudyDate") or "",
        "birth": str(source.get("PatientBirthDate") or ""),
        "source_date": str(source.get("StudyDate") or ""),
    }
    return Done(task.index, None, instance, audit, facts, cleaned.known)


def _text(ds: object, keyword: str) -> str | None:
    value = getattr(ds, keyword, None)
    return None if value in (None, "") else str(value)


def patient_of(key: str, days: int, mode: str, known: KnownIdentifiers) -> Patient:
    """A patient as the engine wants it."""
    return Patient(key, PatientDates("year_only" if mode == "year_only" else "shift", days), known)
