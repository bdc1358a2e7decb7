"""Whether the dates of a patient moved together: every released date against what the source says, by an own reading.

Belongs here: counting dates, intervals and what is wrong with them, per patient, without showing a date or a shift.
Does not belong here: moving dates (dates), dates inside DICOM files (released).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from spine_models.config import DeidSettings
from spine_models.corpus.deid.gate.identifiers import parse_day
from spine_models.corpus.deid.gate.needles import of_date
from spine_models.corpus.deid.pseudonyms import Pseudonymizer, normalise_patient_id
from spine_models.corpus.deid.tables import DATE_INTEGRITY

if TYPE_CHECKING:
    from spine_models.corpus.archive import ArchiveTables

_ISO: Final = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)")
_COLUMNS: Final = {
    "ehr_encounters": ("encounters", "encounter", "encounter_id", ("admit_date", "discharge_dttm")),
    "ehr_orders": ("orders", "order", "accession", ("order_date",)),
}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME: Final = rf"({'|'.join(_MONTHS)})[a-z]*\.?"
_SPELLED: Final = (
    (re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})"), (3, 2, 1)),
    (re.compile(rf"(\d{{1,2}})(?:st|nd|rd|th|\.)?[ -]{_NAME}[ -,]+(\d{{4}})"), (3, 2, 1)),
    (re.compile(rf"{_NAME} (\d{{1,2}})(?:st|nd|rd|th)?[ ,]+(\d{{4}})"), (3, 1, 2)),
)
"""Day first, and with the month's name; the order is that of year, month and day among the groups."""


@dataclass
class _Patient:
    batch: str
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    moved: list[tuple[date, bool]] = field(default_factory=list)


def date_integrity(
    archive: ArchiveTables, tables: dict[str, pl.DataFrame], *, key: bytes, settings: DeidSettings
) -> pl.DataFrame:
    """One row per released patient: how many dates of which kind, how many intervals, how many are wrong.

    A date is right when the source spells the day that lies the patient's shift before it; an interval is right
    when both of its ends are. Under ``year_only`` the year itself must stand in the source.

    Args:
        archive: frames of one batch.
        tables: the frames that leave, by name.
        key: the site's pseudonym key; the shift is computed again.
        settings: date mode and largest shift.

    Returns:
        DATE_INTEGRITY rows, sorted by patient; every column of problems is 0 in a sound batch.
    """
    names = Pseudonymizer(key)
    patients = {
        row["patient_key"]: _Patient(row["batch_key"])
        for row in tables["studies"].select("patient_key", "batch_key").iter_rows(named=True)
    }
    for patient, kind, new, source in _pairs(archive, tables, names):
        if patient not in patients:
            continue
        one = patients[patient]
        one.counts[f"n_{kind}"] += 1
        if settings.dates == "year_only":
            right, bounded, day = new[:4] in source, True, None
        else:
            day = parse_day(new[:10])
            shift = names.shift_days(patient, settings.max_shift_days)
            right = day is not None and _spells(source, day - timedelta(days=shift))
            bounded = day is None or _bounded(day, source, settings.max_shift_days)
        if kind == "report_dates":
            # A free text may say a day in a way that only a person understands; it proves, it never disproves.
            one.counts["report_dates_unproved"] += not right
            continue
        one.counts["wrong_dates"] += not right
        one.counts["beyond_bound"] += not bounded
        if day is not None:
            one.moved.append((day, right))
    return pl.DataFrame([_row(k, p) for k, p in sorted(patients.items())], schema=DATE_INTEGRITY)


def _row(patient: str, one: _Patient) -> dict[str, object]:
    moved = sorted(one.moved)
    wrong = sum(
        not (a and b) for a, b in zip([r for _, r in moved[:-1]], [r for _, r in moved[1:]], strict=True)
    )
    counted = {
        name: one.counts.get(name, 0) for name in DATE_INTEGRITY if name not in ("batch_key", "patient_key")
    }
    return {
        **counted,
        "batch_key": one.batch,
        "patient_key": patient,
        "n_intervals": max(0, len(moved) - 1),
        "wrong_intervals": wrong,
    }


def _pairs(
    archive: ArchiveTables, tables: dict[str, pl.DataFrame], names: Pseudonymizer
) -> Iterator[tuple[str, str, str, str]]:
    """(patient, kind, released date, what the source says) of every released date that is not empty."""
    said: dict[str, set[str]] = defaultdict(set)
    for uid, day in archive.instances.select("study_uid", "study_date").iter_rows():
        if uid and day:
            said[_key(names, uid)].add(day)
    for row in tables["studies"].iter_rows(named=True):
        if row["study_date"]:
            yield row["patient_key"], "studies", row["study_date"], " ".join(sorted(said[row["study_key"]]))
    owners: dict[str, set[str]] = defaultdict(set)
    for mrn, issuer in archive.instances.select("patient_id", "issuer_of_patient_id").unique().iter_rows():
        if normalise_patient_id(mrn or ""):
            owners[normalise_patient_id(mrn)].add(names.patient_key(mrn, issuer))
    for name, (table, domain, column, dates) in _COLUMNS.items():
        texts: dict[tuple[str, str], set[str]] = defaultdict(set)
        for values in _rows(archive, table):
            for owner in owners[normalise_patient_id(values.get("mrn", ""))]:
                own = names.digest(domain, f"{owner}\x00{values.get(column, '').casefold()}")
                for date_column in dates:
                    texts[own, date_column].add(values.get(date_column, ""))
        for row in tables[name].iter_rows(named=True):
            for date_column in (d for d in dates if row[d]):
                source = texts[row[f"{domain}_key"] or "", date_column]
                yield row["patient_key"], table, row[date_column], " ".join(sorted(source))
    texts_of: dict[str, str] = {}
    for uid, text in archive.reports.select("study_uid", "report_text").iter_rows():
        if uid:
            texts_of[_key(names, uid)] = texts_of.get(_key(names, uid), "") + "\n" + (text or "")
    for row in tables["reports"].iter_rows(named=True):
        for match in _ISO.finditer(row["report_text"] or ""):
            yield row["patient_key"], "report_dates", match[0], texts_of.get(row["study_key"], "")


def _rows(archive: ArchiveTables, table: str) -> Iterator[dict[str, str]]:
    for name, text in archive.ehr.select("table", "values_json").iter_rows():
        if name.casefold() == table:
            yield {k.strip().casefold(): str(v or "").strip() for k, v in json.loads(text).items()}


def _key(names: Pseudonymizer, uid: str) -> str:
    try:
        return names.key_of_uid(uid)
    except ValueError:
        return ""


def _spells(text: str, day: date) -> bool:
    folded = re.sub(r"\s+", " ", text.casefold())
    short = {
        f"{day.month}/{day.day}/{day:%y}",
        f"{day:%m/%d/%y}",
        f"{day.day}.{day.month}.{day:%y}",
        f"{day:%d.%m.%y}",
    }
    return any(form.casefold() in folded for form in {n.text for n in of_date(day, "")} | short)


def _bounded(day: date, text: str, most: int) -> bool:
    """False where every day that the source can be read as lies farther away than any shift, or did not move."""
    read = {d for part in text.split() if (d := parse_day(part))}
    for pattern, order in _SPELLED:
        read |= {d for m in pattern.finditer(text.casefold()) if (d := _day(*(m[i] for i in order)))}
    return not read or any(0 < abs((day - old).days) <= most for old in read)


def _day(year: str, month: str, day: str) -> date | None:
    number = _MONTHS.index(month[:3]) + 1 if month.isalpha() else int(month)
    try:
        return date(int(year), number, int(day))
    except ValueError:
        return None
