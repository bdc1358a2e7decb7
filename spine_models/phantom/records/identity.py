"""Invented people and places: everything that de-identification must remove.

Belongs here: identities and the list of every identifier that was planted. Does not belong here: where they go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import numpy as np

FAMILY: Final = [
    "Abernathy",
    "Bergstrom",
    "Castellano",
    "Delacroix",
    "Eisenberg",
    "Fitzwilliam",
    "Gunnarsson",
    "Hollingsworth",
    "Ivanova",
    "Jorgensen",
    "Kowalczyk",
    "Lindqvist",
    "Montgomery",
    "Nakashima",
    "Okonkwo",
    "Papadopoulos",
    "Quintana",
    "Rasmussen",
    "Szymanski",
    "Thibodeaux",
    "Underhill",
    "Villanueva",
    "Wojciechowski",
    "Xanthopoulos",
    "Yamaguchi",
    "Zimmermann",
    "Achterberg",
    "Brinkerhoff",
    "Csonka",
    "Drummond",
    "Ellsworth",
    "Featherstone",
]
GIVEN: Final = [
    "Adelheid",
    "Bartholomew",
    "Cordelia",
    "Dmitri",
    "Evangeline",
    "Fiorella",
    "Giuseppe",
    "Henrietta",
    "Ignatius",
    "Josephine",
    "Kimberley",
    "Leopold",
    "Marguerite",
    "Nathaniel",
    "Ophelia",
    "Percival",
    "Quentin",
    "Rosalind",
    "Sebastian",
    "Theodora",
    "Ulrich",
    "Valentina",
    "Wilhelmina",
    "Xavier",
    "Yvonne",
    "Zachariah",
    "Anneliese",
    "Benedikt",
    "Clementine",
    "Desmond",
]
STREETS: Final = (
    "Larchmont",
    "Whitcombe",
    "Ferndale",
    "Kingsbury",
    "Oxbow",
    "Pemberton",
    "Tallgrass",
    "Wexford",
)
CITIES: Final = (
    ("Maplewick", "WA", "98"),
    ("Port Larkin", "OR", "97"),
    ("Eastbrook Falls", "NY", "12"),
    ("Cedarholm", "MN", "55"),
)
HOSPITALS: Final = ("Larkspur Valley Hospital", "Saint Brennan Medical Center", "Northgate Imaging Clinic")
PHYSICIANS: Final = (
    "Hargreaves",
    "Mukherjee",
    "Lindholm",
    "Petrakis",
    "Oyelaran",
    "Stavros",
    "Whitfield",
    "Kaminski",
)


@dataclass
class Patient:
    """One invented person; ``planted`` collects (kind, value) of all identifiers."""

    mrn: str
    family: str
    given: str
    sex: str
    birth: date
    phone: str
    email: str
    ssn: str
    street: str
    city: str
    state: str
    zip: str
    height_cm: int
    weight_kg: int
    kin: str
    site: int
    planted: list[tuple[str, str]] = field(default_factory=list)

    @property
    def dicom_name(self) -> str:
        """Family^Given."""
        return f"{self.family}^{self.given}"

    def age_on(self, day: date) -> int:
        """Whole years on a day."""
        return day.year - self.birth.year - ((day.month, day.day) < (self.birth.month, self.birth.day))


def draw_patient(number: int, rng: np.random.Generator) -> Patient:
    """Patient ``number`` of the hospital; MRNs are unique."""

    def pick(items: tuple[str, ...] | list[str]) -> str:
        return str(items[int(rng.integers(len(items)))])

    family, given = pick(FAMILY), pick(GIVEN)
    city, state, zip2 = CITIES[int(rng.integers(len(CITIES)))]
    site = int(rng.integers(len(HOSPITALS)))
    patient = Patient(
        mrn=f"00{4_000_000_000 + number * 7_919_017 + int(rng.integers(7000)) * 1013}",
        family=family,
        given=given,
        sex="F" if rng.random() < 0.5 else "M",
        birth=date(1930, 1, 1) + timedelta(days=int(rng.integers(0, 27000))),
        phone=f"206-555-{int(rng.integers(10000)):04d}",
        email=f"{given.lower()}.{family.lower()}{number}@example.org",
        ssn=f"9{int(rng.integers(100)):02d}-{int(rng.integers(10, 99))}-{int(rng.integers(10000)):04d}",
        street=f"{int(rng.integers(100, 9999))} {pick(STREETS)} Lane",
        city=city,
        state=state,
        zip=f"{zip2}{int(rng.integers(1000)):03d}",
        height_cm=int(rng.normal(170, 10)),
        weight_kg=int(rng.normal(78, 14)),
        kin=f"{pick(GIVEN)} {family}",
        site=site,
    )
    patient.planted += [
        ("mrn", patient.mrn),
        ("mrn_without_zeros", patient.mrn.lstrip("0")),
        ("name", patient.dicom_name),
        ("name", f"{given} {family}"),
        ("phone", patient.phone),
        ("email", patient.email),
        ("ssn", patient.ssn),
        ("street", patient.street),
        ("birth_date", patient.birth.strftime("%Y%m%d")),
        ("birth_date", patient.birth.strftime("%m/%d/%Y")),
        ("kin", patient.kin),
        ("hospital", HOSPITALS[site]),
    ]
    return patient
