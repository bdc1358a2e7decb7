"""EHR exports: patients, encounters and orders as three csv files with a hospital's usual untidiness.

Belongs here: the tables' columns and habits (mixed dates, MRNs that lost their zeros). Does not belong here: people.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from spine_models.phantom.dicom import Study
from spine_models.phantom.records.identity import PHYSICIANS

PATIENTS = [
    "mrn",
    "last_name",
    "first_name",
    "dob",
    "sex",
    "ssn",
    "phone",
    "email",
    "street",
    "city",
    "state",
    "zip",
    "plan_id",
    "account",
    "license",
    "vin",
    "portal_url",
    "last_ip",
    "next_of_kin",
    "height_cm",
    "weight_kg",
]
ENCOUNTERS = [
    "encounter_id",
    "mrn",
    "admit_date",
    "discharge_dttm",
    "provider",
    "icd10",
    "age_at_visit",
    "note",
]
ORDERS = ["accession", "mrn", "study_instance_uid", "order_date", "exam", "reason"]


def write_ehr(folder: Path, studies: Sequence[Study], rng: np.random.Generator) -> None:
    """Write the three tables for all patients of ``studies``."""
    folder.mkdir(parents=True, exist_ok=True)
    people = {study.patient.mrn: study.patient for study in studies}
    rows = []
    for n, person in enumerate(people.values()):
        ids = (
            f"PL{700000 + n * 13}",
            f"AC{820000 + n * 17}",
            f"D{4410000 + n * 7}",
            f"1HGCM82633A{400000 + n:06d}",
        )
        person.planted += [("plan", ids[0]), ("account", ids[1]), ("license", ids[2]), ("vin", ids[3])]
        born = person.birth.isoformat() if rng.random() < 0.5 else person.birth.strftime("%m/%d/%Y")
        rows.append(
            [person.mrn, person.family, person.given, born, person.sex, person.ssn, person.phone, person.email,
             person.street, person.city, person.state, person.zip, *ids, f"https://portal.example.org/u/{ids[1].lower()}",
             f"203.0.113.{n % 250}", person.kin, person.height_cm, person.weight_kg]
        )  # fmt: skip
    _write(folder / "patients.csv", PATIENTS, rows)
    encounters, orders = [], []
    for n, study in enumerate(studies):
        person, day = study.patient, study.day
        mrn = person.mrn.lstrip("0") if rng.random() < 0.3 else person.mrn
        admitted = day - timedelta(days=int(rng.integers(0, 5)))
        shown = admitted.isoformat() if rng.random() < 0.5 else admitted.strftime("%m/%d/%Y")
        left = (day + timedelta(days=1)).strftime("%Y-%m-%d 10:30")
        provider = PHYSICIANS[study.physician]
        note = (
            f"{person.given} {person.family} seen by Dr. {provider} on {shown} for back pain, no red flags. "
            f"Reach at {person.phone}."
        )
        encounters.append(
            [f"E{600000 + n}", mrn, shown, left, f"Dr. {provider}", "M54.5", person.age_on(day), note]
        )
        reason = f"pain radiating to the leg, ordered by Dr. {provider}"
        orders.append(
            [study.accession, mrn, study.uid, day.isoformat(), f"MR {study.region.value} spine", reason]
        )
    _write(folder / "encounters.csv", ENCOUNTERS, encounters)
    _write(folder / "orders.csv", ORDERS, orders)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
