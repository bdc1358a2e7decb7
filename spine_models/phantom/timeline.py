"""A patient's visits: how many, when, on which scanner, with which findings and which sequences ordered.

Belongs here: the course of findings over time and the protocols of the sites. Does not belong here: anatomy and
images (``body``, ``scanner``), files (``hospital``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np

from spine_models.domain import Plane, Region
from spine_models.phantom.body.pathology import Finding, draw_findings, evolve
from spine_models.phantom.dicom.scanners import Scanner, site_scanners
from spine_models.phantom.records.identity import OPERATORS, PHYSICIANS, SITES
from spine_models.phantom.scanner.examination import Order
from spine_models.phantom.study import Patient, Study

REGIONS: Final = (Region.LUMBAR, Region.LUMBAR, Region.CERVICAL, Region.THORACIC)
STUDIES: Final = (0.78, 0.16, 0.06)
"""Shares of patients with one, two and three studies."""
FIRST_DAY: Final = date(2019, 1, 7)
FIRST_NUMBER: Final = 7_000_000

_FAT_SUPPRESSED: Final = {"STIR": 0.62, "T2-FS": 0.16, "Dixon": 0.10, "": 0.12}
_RATES: Final[dict[str, float]] = {
    "localizer": 0.35, "T1": 0.96, "T2": 0.97, "axial T2": 0.93, "axial T1": 0.22, "T2*": 0.12, "PD": 0.08,
    "T1+C": 0.14, "axial T1+C": 0.4, "DWI": 0.07, "derived": 0.10,
}  # fmt: skip
"""Share of studies that have a sequence; T2* is four times as common in the neck, where axial images are GRE."""


@dataclass(frozen=True)
class Visit:
    """One study before it is acquired. ``prior`` is the visit before, for the report to compare with."""

    study: Study
    findings: list[Finding]
    orders: tuple[Order, ...]
    prior: Study | None
    prior_findings: list[Finding]


def draw_visits(person: Patient, number: int, rng: np.random.Generator) -> list[Visit]:
    """The visits of patient ``number``: one anatomy and region, findings that come, go and change.

    Follow-ups are three to fifteen months apart, mostly on another scanner of the same site.
    """
    region = REGIONS[int(rng.integers(len(REGIONS)))]
    day = FIRST_DAY + timedelta(days=int(rng.integers(0, 1500)))
    count = 1 + int(rng.choice(len(STUDIES), p=STUDIES))
    visits: list[Visit] = []
    findings = draw_findings(region, rng)
    for n in range(count):
        if n:
            day += timedelta(days=int(rng.integers(90, 450)))
            findings = evolve(findings, region, rng)
        study = _study(person, region, day, number, n, rng)
        last = visits[-1] if visits else None
        visits.append(
            Visit(
                study,
                findings,
                draw_orders(region, rng),
                last.study if last else None,
                last.findings if last else [],
            )
        )
    return visits


def draw_orders(region: Region, rng: np.random.Generator) -> tuple[Order, ...]:
    """A protocol as it is run: localizer first, plain T1 before T1 after contrast, derived images last."""
    has = {name: bool(rng.random() < rate) for name, rate in _RATES.items()}
    if region is Region.CERVICAL:
        has["T2*"] = bool(rng.random() < 4 * _RATES["T2*"])
    suppressed = str(rng.choice(list(_FAT_SUPPRESSED), p=list(_FAT_SUPPRESSED.values())))
    agent = has["T1+C"]
    wanted: Sequence[tuple[bool, str, Plane]] = (
        (has["localizer"], "localizer", Plane.OBLIQUE),
        (has["T2"], "T2", Plane.SAGITTAL),
        (has["T1"] or agent, "T1", Plane.SAGITTAL),
        (bool(suppressed), suppressed, Plane.SAGITTAL),
        (has["PD"], "PD", Plane.SAGITTAL),
        (has["axial T2"], "T2", Plane.AXIAL),
        (has["axial T1"], "T1", Plane.AXIAL),
        (has["T2*"], "T2*", Plane.AXIAL),
        (has["DWI"], "DWI", Plane.SAGITTAL),
        (agent, "T1+C", Plane.SAGITTAL),
        (agent and has["axial T1+C"], "T1+C", Plane.AXIAL),
        (has["derived"], "derived", Plane.SAGITTAL),
    )
    orders = tuple(Order(name, plane) for there, name, plane in wanted if there)
    core = any(o.name in ("T1", "T2") for o in orders)
    return orders if core else (*orders, Order("T2", Plane.SAGITTAL))


def _study(
    person: Patient, region: Region, day: date, number: int, n: int, rng: np.random.Generator
) -> Study:
    scanners = site_scanners(person.site)
    scanner: Scanner = scanners[int(rng.integers(len(scanners)))]
    tag = number * 10 + n
    serial = FIRST_NUMBER + tag * 3 + int(rng.integers(3))
    accession = SITES[person.site].accession.format(number=serial, year=day.year)
    time = f"{int(rng.integers(7, 19)):02d}{int(rng.integers(60)):02d}{int(rng.integers(60)):02d}"
    uid = f"{scanner.uid_root}.{day.strftime('%Y%m%d')}{time}.{tag + 1}"
    study = Study(
        patient=person,
        scanner=scanner,
        region=region,
        day=day,
        time=time,
        accession=accession,
        uid=uid,
        physician=int(rng.integers(len(PHYSICIANS))),
        site=person.site,
        operator=int(rng.integers(len(OPERATORS))),
        number=n,
    )
    for kind, value in (
        ("accession", accession),
        ("uid", uid),
        ("study_date", day.strftime("%Y%m%d")),
        ("physician", f"Dr. {PHYSICIANS[study.physician].family}"),
        ("station", scanner.station),
    ):
        person.plant(kind, value)
    return study
