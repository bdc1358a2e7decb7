"""The gate over one batch: every file and table that would leave, against everything the archive knows.

Belongs here: pairing released files with originals, counting violations per subject.
Does not belong here: the rules (released, frames), repairing anything; the gate only says no.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import current_process, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from spine_models.config import DeidSettings
from spine_models.corpus.archive import source_path
from spine_models.corpus.deid.gate.frames import FrameSearch
from spine_models.corpus.deid.gate.identifiers import Known, known_of
from spine_models.corpus.deid.gate.released import Gatekeeper, Subject, check_file
from spine_models.corpus.deid.pseudonyms import Pseudonymizer, normalise_patient_id
from spine_models.corpus.deid.tables import GATE

if TYPE_CHECKING:
    from spine_models.corpus.archive import ArchiveTables

UNREAD: Final = "originals_not_read"
"""Rule of a batch some of whose originals could not be read: nobody knows what identifiers to look for.

One original of a patient that is out of reach may be the only one that holds a name which stands in a released file or
in a report. Elsewhere its absence would not show: the engine leaves behind what it cannot read.
"""

_INLINE_BELOW: Final = 400
_CHUNK: Final = 16
_HEX_PATH: Final = re.compile(r"(?:[0-9a-f]{32}/){3}[0-9a-f]{32}\.dcm")


def gate_batch(
    archive: ArchiveTables,
    *,
    folder: Path,
    tables: dict[str, pl.DataFrame],
    key: bytes,
    settings: DeidSettings,
) -> pl.DataFrame:
    """Every violation found in a batch's released files and tables.

    Args:
        archive: frames of the batch, the source of what is known.
        folder: the batch's de-identified DICOM folder.
        tables: the frames that leave, by name.
        key: the site's pseudonym key; the gate computes every pseudonym again.
        settings: date mode and largest shift.

    Returns:
        GATE rows (batch_key, rule, subject, hits), sorted; empty is the only state that may be published. Originals
        that could not be read are a row of rule `UNREAD`, as a sweep is not finished where it could not read all.
    """
    names = Pseudonymizer(key)
    known = known_of(archive, names, workers=settings.workers)
    found: Counter[tuple[str, str]] = Counter()
    found[UNREAD, "archive"] += known.unread
    expected: set[Path] = set()
    subjects = [s for s in _subjects(archive, folder, names, settings) if s.released.is_file()]
    expected.update(subject.released for subject in subjects)
    for subject, hits_of_file in zip(subjects, _checked(subjects, known, key, settings.workers), strict=True):
        for rule, hits in hits_of_file.items():
            found[rule, subject.instance] += hits
    found += _strangers(folder, expected)
    found += _unlisted(folder, tables, expected)
    search = FrameSearch(known)
    for name, frame in tables.items():
        for rule, hits in search.hits(frame).items():
            found[rule, name] += hits
    batch_key = archive.files["batch_key"].drop_nulls().first() if len(archive.files) else None
    rows = [
        {"batch_key": batch_key, "rule": r, "subject": s, "hits": n}
        for (r, s), n in sorted(found.items())
        if n
    ]
    return pl.DataFrame(rows, schema=GATE)


def refusal(violations: pl.DataFrame) -> str:
    """What the gate found, for people: how many violations, and the remedy where originals were out of reach.

    Args:
        violations: what `gate_batch` returned, not empty.
    """
    unread = int(violations.filter(rule=UNREAD)["hits"].sum())
    told = [f"{found} violations"] if (found := violations.filter(pl.col("rule") != UNREAD).height) else []
    if unread:
        told.append(
            f"{unread} originals that could not be read, so that it is not known what identifiers to look for "
            "(make the inbox readable and run again; what has gone for good is noted by the next look at it)"
        )
    return "the gate found " + " and ".join(told)


def _checked(subjects: Sequence[Subject], known: Known, key: bytes, workers: int) -> Iterator[Counter[str]]:
    """Violations per file, in order; few files are read here, many in worker processes."""
    # A daemonic process may not have children of its own. A worker that dies raises: the gate never guesses.
    if workers > 1 and len(subjects) >= _INLINE_BELOW and not current_process().daemon:
        with ProcessPoolExecutor(workers, get_context("spawn"), _open_gate, (known, key)) as pool:
            yield from pool.map(_check, subjects, chunksize=_CHUNK)
    else:
        keeper = Gatekeeper(known, Pseudonymizer(key))
        yield from (check_file(subject, keeper) for subject in subjects)


_keepers: list[Gatekeeper] = []
"""The gatekeeper of a worker process: made once, since it compiles every known identifier."""


def _open_gate(known: Known, key: bytes) -> None:
    _keepers[:] = [Gatekeeper(known, Pseudonymizer(key))]


def _check(subject: Subject) -> Counter[str]:
    return check_file(subject, _keepers[0])


def _subjects(
    archive: ArchiveTables, folder: Path, names: Pseudonymizer, settings: DeidSettings
) -> Iterator[Subject]:
    for row in archive.instances.iter_rows(named=True):
        if not normalise_patient_id(row["patient_id"] or "") or not (
            row["study_uid"] and row["series_uid"] and row["sop_uid"]
        ):
            continue
        patient = names.patient_key(row["patient_id"], row["issuer_of_patient_id"])
        try:
            study, series, instance = (names.key_of_uid(row[f"{k}_uid"]) for k in ("study", "series", "sop"))
        except ValueError:
            continue
        yield Subject(
            source=source_path(row["inbox"], row["relative_path"]),
            released=folder / patient / study / series / f"{instance}.dcm",
            patient=patient,
            instance=instance,
            shift_days=names.shift_days(patient, settings.max_shift_days),
            year_only=settings.dates == "year_only",
        )


def _strangers(folder: Path, expected: set[Path]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        relative = path.relative_to(folder).as_posix()
        if not _HEX_PATH.fullmatch(relative):
            found["file_name", "dicom"] += 1
        elif path not in expected:
            found["file_without_source", path.stem] += 1
    return found


def _unlisted(folder: Path, tables: dict[str, pl.DataFrame], expected: set[Path]) -> Counter[tuple[str, str]]:
    if "instances" not in tables:
        return Counter()
    listed = {folder / path for path in tables["instances"]["dicom_path"]}
    missing = Counter({("file_missing", path.stem): 1 for path in listed - expected})
    return missing + Counter({("file_not_listed", path.stem): 1 for path in expected - listed})
