"""EHR exports: patients, encounters and orders as three csv files with a hospital's usual untidiness.

Belongs here: the tables' columns and habits: dates in several formats within one column, MRNs that lost their
zeros, rows of people and studies that nobody sent. Does not belong here: people.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from spine_models.phantom.records.identity import PHYSICIANS, SITES
from spine_models.phantom.study import Patient, Study

PATIENTS: Final = (
    "mrn", "last_name", "first_name", "dob", "sex", "ssn", "phone", "email", "street", "city", "state", "zip",
    "plan_id", "account", "license", "vin", "portal_url", "last_ip", "next_of_kin", "height_cm", "weight_kg",
)  # fmt: skip
ENCOUNTERS: Final = (
    "encounter_id", "mrn", "admit_date", "discharge_dttm", "provider", "icd10", "age_at_visit", "note",
)  # fmt: skip
ORDERS: Final = ("accession", "mrn", "study_instance_uid", "order_date", "exam", "reason")

_CODES: Final = ("M54.5", "M51.26", "M48.061", "S32.010A", "M43.16", "G95.20")
_LOST_ZEROS: Final = 0.3
_NOTES: Final = (
    "{name} seen by Dr. {provider} on {day} for back pain, no red flags. Reach at {phone}.",
    'Pt "{given}" ({mrn}) accompanied by {kin}; pain 6/10,\nno weakness. Plan: MRI, then call {phone}.',
    "{title} {family} reports numbness since {day}. Lives at {street}, {city}. Discussed with Dr. {provider}.",
    "No acute distress. Motor 5/5 throughout. Follow-up after imaging.",
    "Referred from {hospital}. Email {email} for results. Insurance {plan}.",
)


def write_ehr(folder: Path, studies: Sequence[Study], rng: np.random.Generator) -> list[tuple[str, str]]:
    """Write the three tables for all patients of ``studies``, one to three encounters each.

    Returns:
        (name of the file, expected outcome).
    """
    folder.mkdir(parents=True, exist_ok=True)
    studies_of: dict[str, list[Study]] = {}
    for study in studies:
        studies_of.setdefault(study.patient.mrn, []).append(study)
    patients, encounters, orders = [], [], []
    for own in studies_of.values():
        patients.append(_patient(own[0].patient, rng))
        visits = [(study, study.day) for study in own]
        while len(visits) < 3 and rng.random() < 0.3:
            visits.append((own[-1], own[-1].day + timedelta(days=int(rng.integers(10, 200)))))
        for study, day in visits:
            encounters.append(_encounter(study, day, 600_000 + len(encounters), rng))
        orders += [_order(study, rng) for study in own]
    # An order of a study that was never sent, for a patient who is here.
    last = studies[-1]
    orders.append(["RS9999997", last.patient.mrn, "", last.day.isoformat(), "MR spine", "never done"])
    _write(folder / "patients.csv", PATIENTS, patients, "utf-8", ",")
    _write(folder / "encounters.csv", ENCOUNTERS, encounters, "utf-8-sig", ",")
    _write(folder / "orders.csv", ORDERS, orders, "utf-8", ";")
    return [(name, "released") for name in ("patients.csv", "encounters.csv", "orders.csv")]


def _patient(person: Patient, rng: np.random.Generator) -> list[object]:
    for kind, value in (
        ("plan", person.plan_id), ("account", person.account), ("license", person.license), ("vin", person.vin),
        ("portal", person.portal_url), ("ip", person.last_ip),
    ):  # fmt: skip
        person.plant(kind, value)
    return [
        person.mrn, person.family, person.given, _shown(person.birth, person.site, rng), person.sex, person.ssn,
        person.phone, person.email, person.street, person.city, person.state, person.zip, person.plan_id,
        person.account, person.license, person.vin, person.portal_url, person.last_ip, person.kin,
        person.height_cm, person.weight_kg,
    ]  # fmt: skip


def _encounter(study: Study, day: date, number: int, rng: np.random.Generator) -> list[object]:
    person, provider = study.patient, PHYSICIANS[study.physician].family
    admitted = day - timedelta(days=int(rng.integers(0, 5)))
    note = _NOTES[int(rng.integers(len(_NOTES)))].format(
        name=person.full_name, given=person.given, family=person.family, mrn=person.mrn.lstrip("0"),
        kin=person.kin, phone=person.phone, street=person.street, city=person.city, email=person.email,
        plan=person.plan_id, hospital=SITES[study.site].name, provider=provider,
        day=_shown(admitted, study.site, rng), title="Mrs." if person.sex == "F" else "Mr.",
    )  # fmt: skip
    left = (day + timedelta(days=1)).strftime("%Y-%m-%d 10:30")
    code = _CODES[int(rng.integers(len(_CODES)))]
    age, shown = person.age_on(day), _shown(admitted, study.site, rng)
    return [f"E{number}", _mrn(person, rng), shown, left, f"Dr. {provider}", code, age, note]


def _order(study: Study, rng: np.random.Generator) -> list[object]:
    provider = PHYSICIANS[study.physician].family
    reason = (
        f"pain radiating to the leg, ordered by Dr. {provider}",
        "low back pain; rule out stenosis",
        f"follow-up of {study.patient.full_name}, known listhesis",
    )[int(rng.integers(3))]
    day = study.day - timedelta(days=int(rng.integers(0, 20)))
    return [
        study.accession, _mrn(study.patient, rng), study.uid, _shown(day, study.site, rng),
        f"MR {study.region.value} spine", reason,
    ]  # fmt: skip


def _mrn(person: Patient, rng: np.random.Generator) -> str:
    return person.mrn.lstrip("0") if rng.random() < _LOST_ZEROS else person.mrn


def _shown(day: date, site: int, rng: np.random.Generator) -> str:
    """A date as the site writes it; a site of mixed habits takes any that cannot be misread."""
    forms = {
        "iso": day.isoformat(),
        "american": day.strftime("%m/%d/%Y"),
        "european": day.strftime("%d.%m.%Y"),
        "named": day.strftime("%d %b %Y"),
        "compact": day.strftime("%Y%m%d"),
    }
    habit = SITES[site].dates
    return (
        forms[habit] if habit in forms and rng.random() < 0.8 else list(forms.values())[int(rng.integers(5))]
    )


def _write(
    path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]], encoding: str, delimiter: str
) -> None:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(rows)
