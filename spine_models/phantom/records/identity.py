"""Invented people and places: everything that de-identification must remove.

Belongs here: identities, sites, and the list of every identifier that a person has. Does not belong here: where they
go (``plants``, ``reports``, ``ehr``), and the names themselves (``people.yaml``).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from spine_models.phantom.study import Patient


@dataclass(frozen=True)
class Person:
    """One of the staff."""

    family: str
    given: str
    degree: str = ""

    @property
    def dicom_name(self) -> str:
        """Family^Given."""
        return f"{self.family}^{self.given}"

    @property
    def full_name(self) -> str:
        """Given Family."""
        return f"{self.given} {self.family}"


@dataclass(frozen=True)
class Site:
    """One hospital and its habits: ``folders``, ``record``, ``accession`` and ``dates`` name how it writes them."""

    name: str
    short: str
    address: str
    phone: str
    department: str
    folders: str
    record: str
    accession: str
    dates: str


@lru_cache(maxsize=1)
def _people() -> dict[str, Any]:
    return yaml.safe_load((Path(__file__).parent / "people.yaml").read_text(encoding="utf-8"))


PHYSICIANS: Final[tuple[Person, ...]] = tuple(Person(*row) for row in _people()["physicians"])
OPERATORS: Final[tuple[Person, ...]] = tuple(Person(*row) for row in _people()["operators"])
SITES: Final[tuple[Site, ...]] = tuple(Site(**row) for row in _people()["sites"])


def plain(text: str) -> str:
    """Text without accents, as systems write it that know no others; letters without a plain form become x."""
    table = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ı": "i", "ß": "ss"})
    folded = unicodedata.normalize("NFKD", text.translate(table))
    return "".join(c if c.isascii() else "" if unicodedata.combining(c) else "x" for c in folded)


def draw_patient(number: int, rng: np.random.Generator) -> Patient:
    """Patient ``number`` of the hospital; MRNs are unique."""

    def pick(items: Any) -> Any:
        return items[int(rng.integers(len(items)))]

    people = _people()
    cultures = list(people["cultures"].values())
    weights = np.array([c["weight"] for c in cultures], float)
    culture = cultures[int(rng.choice(len(cultures), p=weights / weights.sum()))]
    sex = "F" if rng.random() < 0.5 else "M"
    (family, *scripts), (given, *given_scripts) = (
        _spellings(pick(culture[part])) for part in ("family", "female" if sex == "F" else "male")
    )
    city, state, zip2 = pick(people["cities"])
    site = int(rng.integers(len(SITES)))
    serial = 4_000_000_000 + number * 7_919_017 + int(rng.integers(7000)) * 1013
    code = f"{(1_234_567 + number * 7_919) % 10**7:07d}"
    ideographic, phonetic = (
        f"{a}^{b}" if a and b else "" for a, b in zip(scripts, given_scripts, strict=True)
    )
    handle = "".join(c for c in plain(f"{given}.{family}").lower() if c.isalnum() or c == ".")
    patient = Patient(
        mrn=_record_number(SITES[site].record, serial, number),
        family=family,
        given=given,
        sex=sex,
        birth=date(1930, 1, 1) + timedelta(days=int(rng.integers(0, 27000))),
        phone=_phone(int(rng.integers(10000)), int(rng.integers(4))),
        email=f"{handle}{number}@example.org",
        ssn=f"9{int(rng.integers(100)):02d}-{int(rng.integers(10, 99))}-{int(rng.integers(10000)):04d}",
        street=f"{int(rng.integers(100, 9999))} {pick(people['streets'])}",
        city=city,
        state=state,
        zip=f"{zip2}{int(rng.integers(1000)):03d}",
        height_cm=int(rng.normal(170, 10)),
        weight_kg=int(rng.normal(78, 14)),
        kin=f"{pick(culture['female' if sex == 'M' else 'male']).split('|')[0]} {family}",
        site=site,
        middle=pick("ABCDEFGHJKLMNPRSTW") if rng.random() < 0.25 else "",
        prefix=pick(("Mr", "Dr", "Prof")) if rng.random() < 0.06 else "",
        suffix=pick(("Jr", "III")) if sex == "M" and rng.random() < 0.08 else "",
        ideographic=ideographic,
        phonetic=phonetic,
        maiden=pick(cultures[0]["family"]) if sex == "F" and rng.random() < 0.4 else "",
        issuer=f"{SITES[site].short}-MPI-{site + 1:02d}",
        other_ids=(f"RX{code}", f"{serial % 10**9:09d}-{number % 9}"),
        plan_id=f"PL{code}",
        account=f"AC{9_999_999 - int(code):07d}",
        license=f"D{4410000 + number * 7}{int(rng.integers(10))}",
        vin=f"1HGCM82633A{400000 + number:06d}",
        portal_url=f"https://portal.example.org/u/{handle}{number}",
        last_ip=f"203.0.{113 + number // 250}.{number % 250}",
        occupation=pick(people["occupations"]),
        employer=pick(people["employers"]),
    )
    _plant_own(patient)
    return patient


def charsets_of(patient: Patient) -> tuple[str, ...]:
    """Specific Character Set values other than UTF-8 in which the patient's name can be written, none for most."""
    for culture in _people()["cultures"].values():
        if any(_spellings(f)[0] == patient.family for f in culture["family"]) and patient.ideographic:
            return tuple(culture.get("charset", ()))
    return ("ISO_IR 100",) if not patient.full_name.isascii() and _latin(patient.full_name) else ()


def _latin(text: str) -> bool:
    return all(ord(c) < 256 for c in text)


def _spellings(entry: str) -> tuple[str, str, str]:
    roman, _, scripts = entry.partition("|")
    ideographic, _, phonetic = scripts.partition(";")
    return roman, ideographic, phonetic


def _record_number(habit: str, serial: int, number: int) -> str:
    if habit == "eight" and number < 9 * 18 * 70:
        # Eight digits that read as a day, so that a date grammar would take them for one; unique by construction.
        return f"0{1 + number % 9}{10 + number // 9 % 18}{1931 + number // 162}"
    return f"NG{serial % 10**8:08d}-{number % 7}" if habit == "lettered" else f"00{serial}"


def _phone(line: int, habit: int) -> str:
    area = (206, 503, 518, 612)[line % 4]
    return (
        f"{area}-555-{line:04d}",
        f"({area}) 555-{line:04d}",
        f"+1 {area} 555 {line:04d}",
        f"{area}.555.{line:04d}",
    )[habit]


def _plant_own(patient: Patient) -> None:
    """What is written of a person in every hospital, wherever it is written."""
    for kind, value in (
        ("mrn", patient.mrn),
        ("mrn_without_zeros", patient.mrn.lstrip("0")),
        ("name", f"{patient.family}^{patient.given}"),
        ("name", patient.full_name),
        ("birth_date", patient.birth.strftime("%Y%m%d")),
        ("birth_date", patient.birth.strftime("%m/%d/%Y")),
        ("phone", patient.phone),
        ("email", patient.email),
        ("ssn", patient.ssn),
        ("street", patient.street),
        ("kin", patient.kin),
        ("hospital", SITES[patient.site].name),
    ):
        patient.plant(kind, value)
