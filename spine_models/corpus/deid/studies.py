"""The released study table, told from its released instances.

Belongs here: age, sex, date and counts per study. Does not belong here: pseudonyms or cleaning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date

from spine_models.corpus.deid.dates import safe_date
from spine_models.corpus.deid.work import Done


def study_rows(
    done: Sequence[Done], cohorts: Mapping[str, str], with_report: set[str], *, year_only: bool
) -> list[dict[str, object]]:
    """One STUDIES row per study of the released instances.

    Args:
        done: released instances with their facts.
        cohorts: cohort by study key.
        with_report: study keys that have a released report.
        year_only: write the year of the study date alone.
    """
    grouped: dict[str, list[Done]] = defaultdict(list)
    for result in done:
        grouped[str(result.instance["study_key"])].append(result)
    return [
        _row(key, members, cohorts.get(key), key in with_report, year_only)
        for key, members in grouped.items()
    ]


def _row(
    key: str, members: list[Done], cohort: str | None, has_report: bool, year_only: bool
) -> dict[str, object]:
    first = members[0].instance
    return {
        "batch_key": first["batch_key"],
        "cohort": cohort,
        "patient_key": first["patient_key"],
        "study_key": key,
        "study_date": _iso(_first(members, "study_date"), year_only),
        "age_years": _age(members),
        "sex": _first(members, "sex") or None,
        "n_series": len({m.instance["series_key"] for m in members}),
        "n_instances": len(members),
        "has_report": has_report,
    }


def _first(members: list[Done], fact: str) -> str:
    return next((m.facts[fact] for m in members if m.facts.get(fact)), "")


def _iso(da: str, year_only: bool) -> str | None:
    if len(da) != 8:
        return None
    return da[:4] if year_only else f"{da[:4]}-{da[4:6]}-{da[6:8]}"


def _age(members: list[Done]) -> int | None:
    stated = _first(members, "age")
    if len(stated) == 4 and stated[:3].isdigit():
        years = int(stated[:3]) // {"Y": 1, "M": 12, "W": 52, "D": 365}.get(stated[3], 1)
        return min(years, 90)
    born, seen = _day(_first(members, "birth")), _day(_first(members, "source_date"))
    if not born or not seen or seen < born:
        return None
    return min(seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day)), 90)


def _day(da: str) -> date | None:
    return safe_date(int(da[:4]), int(da[4:6]), int(da[6:8])) if len(da) == 8 and da.isdigit() else None
