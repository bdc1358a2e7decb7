"""What is known of a study before anything is asked about it: findings with their evidence, denied and doubtful ones.

A finding is a unit of the labels (``claims.units_of_labels``) with the passage that tells it; of its level, side and
severity only what that passage itself names is kept, so that every item can be checked against both. What a report
says and denies at once, and what its labels leave in doubt, is no finding; the doubt itself is kept for questions about
what to look at next.

Belongs here: from the tables of labels, reports and series to cases. Does not belong here: questions (``drafting``),
checks of what was written (``verify``).
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from spine_models.corpus.labels import find_quote
from spine_models.corpus.statements import Reference, Unit, units_of_labels
from spine_models.domain import Region, Status
from spine_models.reporting.agents import examinations
from spine_models.reporting.instructions.reading import places_in

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One thing that a report says, with its passage.

    Attributes:
        condition: its key.
        status: present, absent or ambiguous.
        report_key: of the report.
        start: of the passage in the report's text.
        end: one past its last character.
        level: canonical; None where the passage names none. The same of side and severity.
        certainty: definite or probable of what is present.
        alone: whether the study has the condition at this one place.
    """

    condition: str
    status: Status
    report_key: str
    start: int
    end: int
    level: str | None = None
    side: str | None = None
    severity: str | None = None
    certainty: str = "definite"
    alone: bool = True


@dataclass(frozen=True)
class Case:
    """One study with a report.

    Attributes:
        texts: report key to text, of all its reports.
        labels: condition to (status, label) of the consensus.
        reference: units of the labels, and the conditions in doubt.
        places: condition to every (level, side) that any mention tells, doubtful ones too.
        contradicted: conditions that a report both affirms and denies.
        quotes: condition to the passages (report key, start, end, status) that the labels rest on.
        sequences: "<plane> <contrast>" of its classified series, localizers included.
        labels_version: labellers and a digest of all 17 labels.
    """

    batch_key: str
    patient_key: str
    study_key: str
    region: Region
    texts: dict[str, str] = field(repr=False)
    labels: dict[str, tuple[str, int]]
    reference: Reference
    places: dict[str, frozenset[tuple[str | None, str | None]]]
    contradicted: frozenset[str]
    quotes: dict[str, tuple[tuple[str, int, int, str], ...]]
    sequences: tuple[str, ...]
    labels_version: str
    findings: tuple[Finding, ...] = ()

    def units(self, condition: str) -> list[Unit]:
        """Units of one condition."""
        return [unit for unit in self.reference.units if unit.condition == condition]


def cases_of(
    reports: pl.DataFrame,
    consensus: pl.DataFrame,
    mentions: pl.DataFrame,
    contradictions: pl.DataFrame,
    series: pl.DataFrame,
    patients: Iterable[str],
) -> dict[str, Case]:
    """The cases of some patients, by study key, in its order.

    Args:
        reports: ``deid.REPORTS``; studies with no text in any report are left out.
        consensus: ``labels.CONSENSUS``; studies without rows are left out.
        mentions: ``labels.MENTIONS``.
        contradictions: ``labels.CONTRADICTIONS``.
        series: ``sequences.SERIES``.
        patients: whose studies are wanted; a study that two tables give to different patients is nobody's.
    """
    wanted = set(patients)
    owners = _owners(reports, consensus, series)
    by_study = {
        name: _grouped(frame) for name, frame in (("c", consensus), ("m", mentions), ("x", contradictions))
    }
    seen = examinations(series)
    texts: dict[str, list[Row]] = _grouped(reports.sort("report_key"))
    found = {}
    for study in sorted(texts):
        rows = by_study["c"].get(study, [])
        told = [row for row in texts[study] if (row["report_text"] or "").strip()]
        if len(owners[study]) != 1 or not owners[study] <= wanted or not rows or not told:
            continue
        examined = seen.get(study)
        sequences = (
            ()
            if examined is None
            else tuple(
                dict.fromkeys(f"{s.plane} {s.contrast}" for s in examined.series if s.contrast is not None)
            )
        )
        region = Region.UNKNOWN if examined is None else examined.region
        found[study] = _case(
            told, rows, by_study["m"].get(study, []), by_study["x"].get(study, []), region, sequences
        )
    return found


def _owners(*frames: pl.DataFrame) -> dict[str, set[str]]:
    owners: dict[str, set[str]] = defaultdict(set)
    for frame in frames:
        for study, patient in frame.select("study_key", "patient_key").unique().iter_rows():
            owners[study].add(patient)
    return owners


def _grouped(frame: pl.DataFrame) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in frame.iter_rows(named=True):
        rows[row["study_key"]].append(row)
    return rows


def _case(
    reports: list[Row],
    consensus: list[Row],
    mentions: list[Row],
    contradictions: list[Row],
    region: Region,
    sequences: tuple[str, ...],
) -> Case:
    texts = {row["report_key"]: row["report_text"] for row in reports}
    mentions = [row for row in mentions if _stands(row, texts)]
    reference = units_of_labels(consensus, mentions)
    places: dict[str, set[tuple[str | None, str | None]]] = defaultdict(set)
    for row in mentions:
        if row["status"] != Status.ABSENT:
            places[row["condition"]].add((row["level"], row["side"]))
    for unit in reference.units:
        places[unit.condition].add((unit.level, unit.side))
    for row in consensus:
        for level in row["levels"] or [] if row["status"] != Status.ABSENT else []:
            places[row["condition"]].add((level, None))
    case = Case(
        batch_key=consensus[0]["batch_key"],
        patient_key=consensus[0]["patient_key"],
        study_key=consensus[0]["study_key"],
        region=region,
        texts=texts,
        labels={row["condition"]: (row["status"], row["label"]) for row in consensus},
        reference=reference,
        places={condition: frozenset(own) for condition, own in places.items()},
        contradicted=frozenset(row["condition"] for row in contradictions),
        quotes=_quotes(consensus, mentions, texts),
        sequences=sequences,
        labels_version=_version(consensus),
    )
    findings = tuple(finding for row in consensus for finding in _findings(case, row))
    return replace(case, findings=findings)


def _stands(row: Row, texts: Mapping[str, str]) -> bool:
    """Whether a mention's passage is where it says: mentions of another text prove nothing."""
    text = texts.get(row["report_key"], "")
    return bool(row["evidence"]) and text[row["evidence_start"] : row["evidence_end"]] == row["evidence"]


def _quotes(
    consensus: list[Row], mentions: list[Row], texts: Mapping[str, str]
) -> dict[str, tuple[tuple[str, int, int, str], ...]]:
    quotes: dict[str, dict[tuple[str, int, int, str], None]] = defaultdict(dict)
    for row in mentions:
        place = (row["report_key"], row["evidence_start"], row["evidence_end"], row["status"])
        quotes[row["condition"]][place] = None
    for row in consensus:  # of a labeller whose mentions are not kept
        for key, text in texts.items() if row["evidence"] else ():
            if (span := find_quote(text, row["evidence"])) is not None:
                quotes[row["condition"]][key, *span, row["status"]] = None
                break
    return {condition: tuple(own) for condition, own in quotes.items()}


def _findings(case: Case, row: Row) -> list[Finding]:
    condition, status = row["condition"], row["status"]
    if condition in case.contradicted:
        return []
    quotes = [quote for quote in case.quotes.get(condition, ()) if quote[3] == status]
    if not quotes:
        return []
    if status != Status.PRESENT:
        key, start, end, _ = min(quotes, key=lambda q: (q[0], q[1]))
        denied = status == Status.ABSENT and row["label"] == 0
        wanted = denied or status == Status.AMBIGUOUS
        return [Finding(condition, Status(status), key, start, end)] if wanted else []
    units = [unit for unit in case.units(condition) if unit.certainty != "possible"]
    told = [_told(case, unit, quotes, alone=len(case.units(condition)) == 1) for unit in units]
    return _both_sides(told, len(case.units(condition)))


def _both_sides(told: list[Finding], units: int) -> list[Finding]:
    """Left and right of one level, told in one passage, are one finding on both sides: so one asks about them."""
    found = list(told)
    for left in told:
        same = replace(left, side="right")
        if left.side == "left" and same in told:
            found = [finding for finding in found if finding not in (left, same)]
            found.append(replace(left, side="bilateral", alone=units == 2))
    return found


def _told(case: Case, unit: Unit, quotes: list[tuple[str, int, int, str]], *, alone: bool) -> Finding:
    """The unit with the passage that names most of its place; what that one does not name is left open."""
    best: Finding | None = None
    for key, start, end, _ in quotes:
        named = places_in(case.texts[key][start:end])
        own = Finding(
            unit.condition,
            Status.PRESENT,
            key,
            start,
            end,
            level=unit.level if named.has_level(unit.level, unit.condition) else None,
            side=unit.side if named.has_side(unit.side) else None,
            severity=unit.severity if unit.severity in named.severities else None,
            certainty=unit.certainty,
            alone=alone,
        )
        if best is None or _told_of(own) > _told_of(best):
            best = own
    assert best is not None
    return best


def _told_of(finding: Finding) -> tuple[int, int, int]:
    return (finding.level is not None, finding.side is not None, finding.severity is not None)


def _version(consensus: list[Row]) -> str:
    names = ("condition", "status", "label", "levels", "side", "severity", "evidence")
    rows = sorted([row[name] for name in names] for row in consensus)
    digest = hashlib.sha256(json.dumps(rows, default=str).encode()).hexdigest()[:12]
    labellers = sorted({name for row in consensus for name in row["labellers"] or ()})
    return f"{'+'.join(labellers) or 'nobody'}@{digest}"
