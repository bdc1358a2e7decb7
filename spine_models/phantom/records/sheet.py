"""The facts of one study that a data set may name, as its character set can write them.

Belongs here: identifiers by the name that templates give them, and remembering which were used. Does not belong here:
where they are written (``plants``, ``hidden``).
"""

from __future__ import annotations

from functools import lru_cache
from string import Formatter

from pydicom.charset import python_encoding

from spine_models.phantom.records.identity import OPERATORS, PHYSICIANS, SITES, plain
from spine_models.phantom.study import Study

_last: list[Sheet] = []
"""The sheet of the study that is being written: thousands of files ask for the same one in a row."""


def sheet_of(study: Study) -> Sheet:
    """The sheet of a study, made once while its files are written."""
    if not _last or _last[0].study is not study:
        _last[:] = [Sheet(study)]
    return _last[0]


class Sheet:
    """The facts that templates may name; reading one through ``fill`` plants it."""

    def __init__(self, study: Study) -> None:
        person, site = study.patient, SITES[study.site]
        doctor, operator = PHYSICIANS[study.physician], OPERATORS[study.operator]
        digits = "".join(c for c in person.mrn if c.isdigit()).lstrip("0")
        given, _, family = person.kin.partition(" ")
        day = study.day.strftime("%Y%m%d")
        self.study = study
        self._filled: dict[tuple[str, int], str] = {}
        self._facts: dict[str, tuple[str | None, str]] = {
            "dicom_name": ("dicom_name", person.dicom_name),
            "full_name": ("name", person.full_name),
            "family": (None, person.family),
            "given": (None, person.given),
            "initial": (None, person.given[0]),
            "sex": (None, person.sex),
            "age": (None, f"{person.age_on(study.day):03d}Y"),
            "size": (None, f"{person.height_cm / 100:.2f}"),
            "weight": (None, str(person.weight_kg)),
            "mrn": ("mrn", person.mrn),
            "mrn_without_zeros": ("mrn_without_zeros", person.mrn.lstrip("0")),
            "issuer": ("issuer", person.issuer),
            "other_id": ("other_id", person.other_ids[0]),
            "other_id2": ("other_id", person.other_ids[-1]),
            "birth": ("birth_date", person.birth.strftime("%Y%m%d")),
            "birth_us": ("birth_date", person.birth.strftime("%m/%d/%Y")),
            "phone": ("phone", person.phone),
            "email": ("email", person.email),
            "ssn": ("ssn", person.ssn),
            "street": ("street", person.street),
            "city": (None, person.city),
            "state": (None, person.state),
            "zip": (None, person.zip),
            "kin": ("kin", person.kin),
            "kin_name": ("kin", f"{family}^{given}"),
            "maiden": (None, person.maiden or person.family),
            "plan": ("plan", person.plan_id),
            "account": ("account", person.account),
            "employer": ("employer", person.employer),
            "accession": ("accession", study.accession),
            "study_id": (None, study.accession[-6:]),
            "step_id": ("step", f"S{study.accession}"),
            "uid": ("uid", study.uid),
            "person_uid": ("uid", f"1.2.826.0.1.3680043.9.7{study.site}.{digits}"),
            "record_uid": ("uid", f"1.2.826.0.1.3680043.9.7{study.site}.{digits}.{day}{study.time}"),
            "day": ("study_date", day),
            "day_us": ("study_date", study.day.strftime("%m/%d/%Y")),
            "time": (None, study.time),
            "region": (None, study.region.value),
            "hospital": ("hospital", site.name),
            "short": (None, site.short),
            "site_address": ("site_address", site.address),
            "site_phone": ("site_phone", site.phone),
            "department": (None, site.department),
            "doctor": ("physician", doctor.dicom_name),
            "doctor_text": ("physician", f"Dr. {doctor.family}"),
            "staff_id": ("staff_id", f"STAFF-{4400 + study.physician * 13}"),
            "operator": ("operator", operator.dicom_name),
            "operator_text": ("operator", operator.full_name),
            "station": ("station", study.scanner.station),
            "station_ae": (None, f"{site.short}_{study.scanner.station}"[:16]),
        }

    def fill(self, template: str, spoken: Speaker) -> str:
        """The template with its facts in it, as the character set can write them; remembers what it planted."""
        key = (template, id(spoken))
        if key not in self._filled:
            self._filled[key] = self._fill(template, spoken)
        return self._filled[key]

    def _fill(self, template: str, spoken: Speaker) -> str:
        values = {}
        for name in _fields(template):
            kind, value = self._facts[name]
            values[name] = said = spoken(value)
            if kind == "dicom_name":
                for group in said.split("=")[1:]:
                    self.study.patient.plant("name_other_script", group)
                kind, said = "name", "^".join(said.split("=")[0].split("^")[:2])
            if kind is not None:
                self.study.patient.plant(kind, said)
        return template.format(**values) if values else template


class Speaker:
    """Text as a character set can write it: what it lacks becomes plain letters."""

    def __init__(self, encodings: tuple[str, ...]) -> None:
        self._encodings = encodings

    def __call__(self, text: str) -> str:
        """The text, its component groups that cannot be written in plain letters."""
        if text.isascii() or self._encodings == ("utf_8",):
            return text
        groups = [part if self.can(part) else plain(part) for part in text.split("=")]
        return "=".join(groups)

    def can(self, text: str) -> bool:
        """Whether the character set has every letter of the text."""
        for encoding in self._encodings:
            try:
                text.encode(encoding)
            except UnicodeEncodeError:
                continue
            return True
        return False


@lru_cache(maxsize=16)
def speaker_of(charset: str | tuple[str, ...]) -> Speaker:
    """The speaker of one value, or of the values, of Specific Character Set."""
    names = (charset,) if isinstance(charset, str) else charset
    encodings = tuple(python_encoding[name] for name in names if name)
    return Speaker(tuple({"utf8": "utf_8"}.get(e, e) for e in encodings))


@lru_cache(maxsize=512)
def _fields(template: str) -> tuple[str, ...]:
    return tuple(name for _, name, _, _ in Formatter().parse(template) if name)
