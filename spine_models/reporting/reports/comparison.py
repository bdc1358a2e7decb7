"""What has changed since an earlier study of the same patient and region.

Belongs here: choosing the earlier study, and statements that rest on a claim of each study. Does not belong here: any
statement without an earlier study; words (``phrasing``).

Only what both studies were asked is compared: by agents of one version, whose claim on either side affirms or denies.
A level that was not named before is not called new: an agent names the places that it sees best, not all that there
are. Severity is compared where both studies have it at the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from spine_models.corpus.statements import Unit
from spine_models.domain import Region, Severity
from spine_models.reporting.reports.claims import UNCERTAIN, Claim
from spine_models.reporting.reports.graph import COMPARISON, Kind, Said, Statement
from spine_models.reporting.reports.phrasing import clauses_of
from spine_models.reporting.reports.template import Template

_DEGREE: Final = {str(severity): rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True)
class Earlier:
    """A study that others may be compared with; ``study_date`` is shifted, ISO or the year alone."""

    patient_key: str
    study_key: str
    study_date: str
    region: Region
    claims: tuple[Claim, ...]


def prior_of(
    patient_key: str, study_date: str | None, region: Region, candidates: Iterable[Earlier]
) -> Earlier | None:
    """The last study of the same patient and region that is earlier by its date; None where there is none.

    Studies of one day, or of one year where dates are years, have no order and are never compared.
    """
    if not study_date or region in (Region.OTHER, Region.UNKNOWN):
        return None
    earlier = [
        one
        for one in candidates
        if one.patient_key == patient_key
        and one.region == region
        and len(one.study_date) == len(study_date)
        and one.study_date < study_date
    ]
    return max(earlier, key=lambda one: (one.study_date, one.study_key), default=None)


def comparison_of(
    claims: Sequence[Claim], earlier: Earlier, study_date: str, template: Template
) -> list[Statement]:
    """The comparison section; the earlier study is named even where no finding can be compared."""
    facts = {
        "title": template.language.titles[str(earlier.region)],
        "date": earlier.study_date,
        "interval": _interval(earlier.study_date, study_date),
    }
    said = [Statement(COMPARISON, Kind.TECHNIQUE, "compared", (), facts)]
    before = {claim.condition: claim for claim in earlier.claims}
    for claim in sorted(claims, key=lambda claim: (template.tier(claim.condition), claim.condition)):
        then = before.get(claim.condition)
        if then is not None and then.agent_version == claim.agent_version:
            said += _changes(claim, then, template)
    return said


def _changes(now: Claim, then: Claim, template: Template) -> list[Statement]:
    def statement(frame: str, units: tuple[Unit, ...] = (), **facts: str) -> Statement:
        return Statement(
            COMPARISON, Kind.COMPARISON, frame, (Said(now, units),), facts, earlier=(then,)
        )  # fmt: skip

    def words() -> str:
        return "; ".join(clauses_of(Said(then, then.units), template, levels=True))

    if now.affirmed and then.absent:
        return [statement("new", now.units)]
    if now.absent and then.affirmed and then.certainty != UNCERTAIN:
        return [statement("gone", earlier=words())]
    if not (now.affirmed and then.affirmed):
        return []
    before = {(unit.level, unit.side): unit for unit in then.units}
    grouped: dict[str, list[Unit]] = {}
    for unit in now.units:
        same = before.get((unit.level, unit.side))
        if same is not None:
            grouped.setdefault(_degree(unit, same), []).append(unit)
    if grouped:
        return [statement(frame, tuple(units)) for frame, units in sorted(grouped.items())]
    if all(unit.level for unit in (*now.units, *then.units)):
        return [statement("elsewhere", now.units, earlier=words())]
    return [statement("persisting", now.units)]


def _degree(now: Unit, then: Unit) -> str:
    if now.severity is None or then.severity is None:
        return "persisting"
    change = _DEGREE[now.severity] - _DEGREE[then.severity]
    return "unchanged" if change == 0 else "more_severe" if change > 0 else "less_severe"


def _interval(before: str, after: str) -> str:
    """The true distance of two dates of one patient, whose shift is the same; nothing where dates are years."""
    try:
        days = (date.fromisoformat(after) - date.fromisoformat(before)).days
    except ValueError:
        return ""
    return f", the interval of {days} {'day' if days == 1 else 'days'} is true"
