"""Around a report's body: letterhead, technique, comparison, signature, calls and addenda, with their identifiers.

Belongs here: who, when and where in a report's text; each identifier written is planted. Does not belong here: what
the images show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import yaml

from spine_models.domain import Region
from spine_models.phantom.records.identity import OPERATORS, PHYSICIANS, SITES
from spine_models.phantom.study import Patient, Study

_SPINE: Final = {
    "de": {Region.LUMBAR: "MRT DER LWS", Region.CERVICAL: "MRT DER HWS", Region.THORACIC: "MRT DER BWS"},
    "es": {Region.LUMBAR: "RM LUMBAR", Region.CERVICAL: "RM CERVICAL", Region.THORACIC: "RM DORSAL"},
}


@lru_cache(maxsize=1)
def _histories() -> list[str]:
    text = (Path(__file__).parent / "narrative.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["histories"]


def head(
    study: Study,
    sequences: Sequence[str],
    headings: Mapping[str, str],
    rng: np.random.Generator,
    *,
    language: str,
    prior: Study | None,
    terse: bool,
) -> str:
    """Letterhead, patient, examination, history, technique and comparison."""
    person, day, site = study.patient, study.day, SITES[study.site]
    site_habit = int(rng.integers(3))
    exam = f"MRI {study.region.value.upper()} SPINE {'WITH AND WITHOUT' if rng.random() < 0.15 else 'WITHOUT'} CONTRAST"
    local = _SPINE.get(language, {}).get(study.region, "")
    exam = f"{local} / {exam}" if local else exam
    who = (
        f"Patient: {person.full_name}   MRN: {person.mrn}   DOB: {person.birth.strftime('%m/%d/%Y')}\n"
        f"Accession: {study.accession}   Exam date: {day.strftime('%B %d, %Y')}",
        f"{person.family.upper()}, {person.given.upper()}  |  {person.mrn.lstrip('0')}  |  "
        f"{person.birth.strftime('%m/%d/%Y')}\nAcc# {study.accession}, {day.strftime('%m/%d/%Y')}",
        f"Name: {person.family}, {person.given}\nPatient ID: {person.mrn}\nPhone: {person.phone}\n"
        f"Ordering: Dr. {PHYSICIANS[study.physician].family}\nDate of exam: {day.isoformat()}",
    )[site_habit]
    if site_habit == 1:
        person.plant("name", f"{person.family.upper()}, {person.given.upper()}")
    if terse:
        return f"{site.name}\n{who}\n{headings['exam']}: {exam}"
    compared = "None." if rng.random() < 0.6 else f"MRI of {day.year - 1}."
    if prior is not None:
        compared = f"MRI of {said_date(prior, study)}."
    elif rng.random() < 0.1:
        outside = day - timedelta(days=int(rng.integers(100, 900)))
        compared = f"Outside MRI dated {outside.strftime('%m/%d/%Y')}."
    title = "Mrs." if person.sex == "F" else "Mr."
    sex = "woman" if person.sex == "F" else "man"
    history = f"{person.age_on(day)} year old {sex} with back pain."
    if rng.random() < 0.2:
        history = f"{title} {person.family} is a {person.age_on(day)} year old {sex} with back pain."
        person.plant("titled_name", f"{title} {person.family}")
    asked = _histories()[int(rng.integers(len(_histories())))]
    return "\n".join(
        [
            site.name,
            *([f"{site.address}   Tel. {site.phone}"] if rng.random() < 0.3 else []),
            who,
            f"{headings['exam']}: {exam}",
            "",
            f"{headings['history']}: {history} {asked}",
            f"{headings['technique']}: {', '.join(sequences)}.",
            f"{headings['comparison']}: {compared}",
        ]
    )


def tail(study: Study, rng: np.random.Generator) -> str:
    """Signature, and at stated rates a call, the technologist, a relative, copies and an addendum."""
    person, day = study.patient, study.day
    doctor, operator = PHYSICIANS[study.physician], OPERATORS[study.operator]
    other = PHYSICIANS[int(rng.integers(len(PHYSICIANS)))]
    chance = rng.random(6)
    lines = []
    hour = f"{int(rng.integers(8, 18))}:{int(rng.integers(60)):02d}"
    if chance[0] < 0.15:
        lines.append(f"Findings were discussed with Dr. {other.family} at {hour} on {said_day(day, 1)}.")
        person.plant("physician", f"Dr. {other.family}")
    if chance[1] < 0.15:
        lines.append(f"Technologist: {operator.full_name}, RT(R)(MR).")
        person.plant("operator", operator.full_name)
    if chance[2] < 0.08:
        lines.append(f"Accompanied by {person.kin}. Call back at {person.phone}.")
    signed = (
        f"Dictated by Dr. {doctor.family}, MD on {day.strftime('%m/%d/%Y')}.",
        f"Electronically signed by: {doctor.full_name}, {doctor.degree}  {day.strftime('%m/%d/%Y')} {hour}",
        f"Read by Dr. {doctor.full_name} at {SITES[study.site].name}.",
        f"{doctor.given[0]}. {doctor.family}, {doctor.degree} / transcribed {day.isoformat()}",
    )[min(int(chance[3] * 4), 3)]
    lines.append(signed)
    if 0.25 <= chance[3] < 0.75:
        person.plant("physician", doctor.full_name)
    if chance[4] < 0.1:
        lines.append(f"cc: Dr. {other.full_name}")
        person.plant("physician", other.full_name)
    if chance[5] < 0.07:
        later = day + timedelta(days=int(rng.integers(1, 4)))
        lines.append(
            f"ADDENDUM {later.strftime('%m/%d/%Y')}: Result called to {person.full_name} ({person.phone}) by "
            f"Dr. {doctor.family}; no change to the interpretation."
        )
    return "\n".join(lines)


def said_date(prior: Study, study: Study) -> str:
    """The day of the study before, in the later study's habit."""
    return said_day(prior.day, study.physician)


def said_day(day: date, habit: int) -> str:
    """A day as radiologists write it: 3/4/2021, 03/04/2021, March 4, 2021 or 2021-03-04."""
    return (
        f"{day.month}/{day.day}/{day.year}",
        day.strftime("%m/%d/%Y"),
        f"{day.strftime('%B')} {day.day}, {day.year}",
        day.isoformat(),
    )[habit % 4]


def upper(text: str, person: Patient) -> str:
    """All capitals, and what that makes of the names."""
    person.plant("name", person.full_name.upper())
    return text.upper()
