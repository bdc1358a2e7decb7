"""Who was examined, where, when and on what: what all series of one examination share.

Belongs here: the two records that every room of the phantom passes on. Does not belong here: how they are drawn
(``records.identity``, ``timeline``), headers, pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from spine_models.domain import Region

if TYPE_CHECKING:
    from spine_models.phantom.dicom.scanners import Scanner


@dataclass
class Patient:
    """One invented person; ``planted`` collects (kind, value) of every identifier that was put somewhere.

    ``ideographic`` and ``phonetic`` are the second and third component group of the DICOM name, empty for most;
    ``issuer`` names the hospital's number range; ``other_ids`` are numbers of other ranges.
    """

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
    middle: str = ""
    prefix: str = ""
    suffix: str = ""
    ideographic: str = ""
    phonetic: str = ""
    maiden: str = ""
    issuer: str = ""
    other_ids: tuple[str, ...] = ()
    plan_id: str = ""
    account: str = ""
    license: str = ""
    vin: str = ""
    portal_url: str = ""
    last_ip: str = ""
    occupation: str = ""
    employer: str = ""
    planted: list[tuple[str, str]] = field(default_factory=list)

    @property
    def dicom_name(self) -> str:
        """Family^Given, with what else there is, and its component groups after ``=``."""
        first = "^".join((self.family, self.given, self.middle, self.prefix, self.suffix)).rstrip("^")
        return "=".join((first, self.ideographic, self.phonetic)).rstrip("=")

    @property
    def full_name(self) -> str:
        """Given and family name as a text has them."""
        return f"{self.given} {self.family}"

    def age_on(self, day: date) -> int:
        """Whole years on a day."""
        return day.year - self.birth.year - ((day.month, day.day) < (self.birth.month, self.birth.day))

    def plant(self, kind: str, value: str) -> None:
        """Remember an identifier; the same pair once."""
        if value and (kind, value) not in self.planted:
            self.planted.append((kind, value))


@dataclass(frozen=True)
class Study:
    """One examination. ``physician`` indexes ``records.identity.PHYSICIANS``, ``operator`` ``OPERATORS``.

    ``time`` is HHMMSS; ``number`` counts the patient's studies from 0; ``uid`` has the day and time inside, as
    scanners write it.
    """

    patient: Patient
    scanner: Scanner
    region: Region
    day: date
    time: str
    accession: str
    uid: str
    physician: int
    site: int
    operator: int = 0
    number: int = 0
    protocol: str = ""
