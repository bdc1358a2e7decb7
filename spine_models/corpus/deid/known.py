"""The identifiers known of one patient, gathered from headers and EHR rows so that text can be cleaned of them.

Belongs here: which attributes and columns identify, by kind, and a mergeable container of their values.
Does not belong here: finding them in text (text) or proving their absence (gate). Values stay in memory and
never enter logs or tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

KIND_OF_TAG: Final[dict[int, str]] = (
    dict.fromkeys((0x00100020, 0x00101000, 0x00080050, 0x00200010, 0x00380010, 0x00380060, 0x00101050), "id")
    | dict.fromkeys(
        (0x00101090, 0x00402016, 0x00402017, 0x00401001, 0x00400253, 0x00400009, 0x00401006), "id"
    )
    | dict.fromkeys(
        (0x00181000, 0x00181008, 0x00081010, 0x00400242, 0x00400010, 0x00181004, 0x00120040), "id"
    )
    | dict.fromkeys((0x00401007, 0x00080055, 0x00400241, 0x00400001, 0x00080054, 0x00101080), "id")
    | dict.fromkeys((0x00102154, 0x00102155, 0x00080094, 0x00402010, 0x00401103), "phone")
    | dict.fromkeys((0x00101040, 0x00080081, 0x00080092, 0x00401102), "address")
    | dict.fromkeys(
        (0x00080080, 0x00081040, 0x00380400, 0x00380300, 0x00401005, 0x00400243, 0x00321020), "place"
    )
    | {0x00100030: "birth"}
)
"""Standard attributes whose values identify; every PN is a name whatever its attribute."""

KIND_OF_COLUMN: Final[dict[str, str]] = (
    dict.fromkeys(("mrn", "ssn", "plan_id", "account", "license", "vin", "encounter_id", "accession"), "id")
    | dict.fromkeys(("last_name", "first_name", "next_of_kin", "provider"), "name")
    | dict.fromkeys(("portal_url", "last_ip"), "id")
    | {"phone": "phone", "email": "email", "street": "address", "city": "place", "zip": "id", "dob": "birth"}
)
"""EHR columns whose values identify."""


@dataclass(frozen=True)
class KnownIdentifiers:
    """Distinct (kind, value) pairs of one patient, sorted, so that equal knowledge is equal bytes."""

    values: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> KnownIdentifiers:
        """Container of the pairs whose value says anything."""
        cleaned = {(kind, re.sub(r"[\x00\s]+", " ", value).strip()) for kind, value in pairs}
        return cls(tuple(sorted(pair for pair in cleaned if len(pair[1]) > 1)))

    def __or__(self, other: KnownIdentifiers) -> KnownIdentifiers:
        return KnownIdentifiers(tuple(sorted({*self.values, *other.values})))

    def kind(self, *kinds: str) -> tuple[str, ...]:
        """Values of the kinds, sorted."""
        return tuple(value for kind, value in self.values if kind in kinds)

    def name_words(self) -> frozenset[str]:
        """Lower-case words of names, of two letters and more."""
        return frozenset(
            w for name in self.kind("name") for w in re.findall(r"[^\W\d_]{2,}", name.casefold())
        )

    def numbers(self) -> frozenset[str]:
        """Digits of identifiers without leading zeros, of five digits and more."""
        cores = (re.sub(r"\D", "", value).lstrip("0") for value in self.kind("id", "phone", "birth"))
        return frozenset(core for core in cores if len(core) >= 5)
