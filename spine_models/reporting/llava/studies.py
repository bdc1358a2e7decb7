"""From tables to the studies that the report model is trained on and asked about.

Belongs here: which text, claims, neighbour and items are a study's, and the refusal of tables that do not belong
together. Does not belong here: words of prompts (``examples``), reading files, who is in which split.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import polars as pl

from spine_models.corpus.labels import read_report
from spine_models.corpus.statements.units import CERTAINTIES, Unit, units_of_text
from spine_models.domain import Status, condition_keys
from spine_models.reporting.agents.serialised import serialise
from spine_models.reporting.llava.examples import ReportStudy, item_turns
from spine_models.reporting.llava.images import LlavaDataError, StudyImages
from spine_models.reporting.llava.targets import target_of

_NOTHING: Final[dict[str, Any]] = {
    "affirmed": False,
    "certainty": None,
    "places": [],
    "level": None,
    "side": None,
    "severity": None,
}
REPORT_ITEM: Final = "report"
"""Kind of instruction item that asks for a report: reports are learned with their prompts instead (``examples``)."""


def report_studies(
    studies: pl.DataFrame,
    *,
    images: Mapping[str, StudyImages],
    reports: pl.DataFrame,
    claims: pl.DataFrame,
    neighbours: pl.DataFrame,
    items: pl.DataFrame | None = None,
    may_be_shown: Collection[str] = (),
) -> list[ReportStudy]:
    """Studies in key order; one that lacks T1, T2, images, a report or claims is among them with what it has.

    Args:
        studies: study_key and patient_key of those wanted.
        images: by study (``images.study_images``).
        reports: study_key and report_text, one row a study, of the studies and of those whose report may be shown.
        claims: ``agents.CLAIMS``; of studies that the agents were fitted on, out of fold.
        neighbours: ``retrieval.NEIGHBOURS``.
        items: ``instructions.ITEMS`` of the studies.
        may_be_shown: patients whose reports may stand in a prompt: those of the train split.

    Raises:
        LlavaDataError: two reports of a study, or claims by several versions of one agent.
    """
    _refuse_mixed(claims)
    texts = dict(reports.select("study_key", "report_text").iter_rows())
    if len(texts) != reports.height:
        raise LlavaDataError("a study has two report texts: join them first")
    targets: dict[str, str] = {}

    def target(study_key: str) -> str:
        if study_key not in targets:
            targets[study_key] = target_of(texts.get(study_key) or "").text
        return targets[study_key]

    said = _by_study(claims)
    near = _by_study(neighbours.sort("study_key", "rank"))
    asked = _by_study(items.filter(pl.col("kind") != REPORT_ITEM)) if items is not None else {}
    shown = frozenset(may_be_shown)
    found = []
    for study_key, patient_key in (
        studies.select("study_key", "patient_key").unique().sort("study_key").rows()
    ):
        own = said.get(study_key, [])
        similar = _similar(near.get(study_key, []), patient_key, shown, target)
        dialogues = (item_turns(item) for item in asked.get(study_key, []))
        found.append(
            ReportStudy(
                study_key,
                patient_key,
                images.get(study_key),
                target(study_key),
                known_line(target(study_key), own) if target(study_key) else "",
                serialise(own) if own else "",
                *(similar if similar is not None else ("", None, None)),
                tuple(turns for turns in dialogues if turns),
            )
        )
    return found


def known_line(target: str, claims: Sequence[Mapping[str, Any]] = ()) -> str:
    """What a report says as a line of tokens, in the form in which the agents say it.

    Read by the rules labeller, which also judges whether a text says its claims. What the report denies is absent. Of
    what it is silent about the line says what the agents say where they affirm nothing, else absent, so that a model
    that is given such a line meets all that it will be given.

    Args:
        target: of ``targets.target_of``.
        claims: what the agents say of the study; may be empty.
    """
    affirmed: dict[str, list[Unit]] = defaultdict(list)
    for unit in units_of_text(target):
        affirmed[unit.condition].append(unit)
    denied = {mention.condition for mention in read_report(target) if mention.status == Status.ABSENT}
    silent = {claim["condition"]: claim["status"] for claim in claims if not claim["affirmed"]}
    return serialise(
        _claimed(condition, affirmed[condition])
        if condition in affirmed
        else _NOTHING
        | {
            "condition": condition,
            "status": "absent" if condition in denied else silent.get(condition, "absent"),
        }
        for condition in condition_keys()
    )


def encoders_of(vectors: pl.DataFrame) -> dict[str, list[str]]:
    """Encoder, model and preprocessing version of each route's vectors, for a card and to compare with one.

    Raises:
        LlavaDataError: a route's vectors are of several.
    """
    rows = (
        vectors.select("route", "encoder", "model_version", "preprocessing_version")
        .unique()
        .sort("route")
        .rows()
    )
    if len({route for route, *_ in rows}) != len(rows):
        raise LlavaDataError("slice vectors of a route are of several encoders: embed them again")
    return {route: list(versions) for route, *versions in rows}


def agents_of(claims: pl.DataFrame) -> dict[str, str]:
    """Version of each agent that speaks in claims, for a card.

    Raises:
        LlavaDataError: an agent speaks in several.
    """
    _refuse_mixed(claims)
    return dict(claims.select("agent", "agent_version").unique().sort("agent").rows())


def _refuse_mixed(claims: pl.DataFrame) -> None:
    versions = (
        claims.group_by("agent").agg(pl.col("agent_version").n_unique().alias("n")).filter(pl.col("n") > 1)
    )
    if versions.height:
        raise LlavaDataError(
            f"claims of {versions['agent'].min()} are by several versions of it: materialise agents/claims of all "
            "batches again, then go on"
        )


def _claimed(condition: str, units: Sequence[Unit]) -> dict[str, Any]:
    places = [{"level": u.level, "side": u.side, "severity": u.severity} for u in units]
    strongest = max((u.certainty for u in units), key=CERTAINTIES.index)
    return _NOTHING | {
        "condition": condition,
        "status": "present",
        "affirmed": True,
        "certainty": strongest,
        "places": places,
    }


def _similar(
    near: Sequence[Mapping[str, Any]], patient_key: str, shown: frozenset[str], target: Any
) -> tuple[str, str, str] | None:
    """The nearest report that may be shown: of another patient, and with something in it."""
    for row in near:
        other = row["neighbour_patient_key"]
        if other != patient_key and other in shown and (text := target(row["neighbour_study_key"])):
            return text, row["neighbour_study_key"], other
    return None


def _by_study(rows: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.iter_rows(named=True):
        found[row["study_key"]].append(row)
    return found
