"""What each of the 36 agents that look at images says of a study, as one typed row each.

The thirty-seventh, the report agent, answers by the drafts.

Belongs here: the rows, who was asked, provenance down to instances. Does not belong here: claims (``diagnosis``),
neighbours (``similar``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.config import AgentSettings
from spine_models.domain import condition_keys
from spine_models.reporting.agents.evidence import digest, evidence
from spine_models.reporting.agents.published import Published
from spine_models.reporting.agents.roster import (
    DIAGNOSIS,
    IMAGE_TO_REPORT,
    LOCALIZATION,
    RETRIEVAL,
    TEXT_TO_IMAGE,
    agent_name,
    localization_version,
    retrieval_version,
)
from spine_models.reporting.agents.serialised import PROBABLE, places_said, token_of
from spine_models.reporting.agents.similar import Alike, NoAnswer, similar_reports, slices_by_text
from spine_models.reporting.agents.status import ClaimStatus, Reason
from spine_models.reporting.agents.tables import RESULTS
from spine_models.reporting.agents.versions import AgentsError, refuse_mixed

ANSWERED: Final = "answered"
NOT_ASSESSED: Final = "not_assessed"
UNFIT: Final = frozenset({str(Reason.NOT_SPINE), str(Reason.REGION_UNKNOWN), str(Reason.OUT_OF_SCOPE)})
"""Why a whole study is not assessed by whoever looks at images."""
DECISIONS: Final[Mapping[str, str]] = {"present": "present", "absent": "absent", "indeterminate": "abstain"}

Row = dict[str, Any]


def results(
    claims: pl.DataFrame,
    slices: pl.DataFrame,
    published: Published,
    *,
    settings: AgentSettings,
    findings: pl.DataFrame | None = None,
    levels: pl.DataFrame | None = None,
    neighbours: pl.DataFrame | None = None,
    aligned_slices: pl.DataFrame | None = None,
    sentences: Mapping[str, np.ndarray] | None = None,
) -> pl.DataFrame:
    """``RESULTS``: 36 rows for every study of ``claims``, studies sorted, agents in the order of the registry.

    What is None was not made; its agents then have not assessed the study, and say so.

    Args:
        claims: ``CLAIMS`` of one batch or study.
        slices: ``shards.SLICES`` of the same studies.
        published: the models behind the agents, for versions.
        settings: number of evidence slices and of slices found by text.
        findings: ``localization.FINDINGS`` that the claims' places were made from.
        levels: levelwise FINDINGS that they were made from.
        neighbours: ``retrieval.NEIGHBOURS``.
        aligned_slices: ``embeddings.ALIGNED_SLICES``.
        sentences: unit vector by condition.

    Raises:
        AgentsError: agents of mixed versions, not 17 claims a study, or models of other versions than are published.
    """
    refuse_mixed(claims)
    _refuse_other_localizer(findings, published)
    _refuse_other_levels(levels, published)
    by_study: dict[str, list[Row]] = {}
    for claim in claims.sort("study_key", maintain_order=True).iter_rows(named=True):
        by_study.setdefault(claim["study_key"], []).append(claim)
    affirmed = {study: [c["condition"] for c in own if c["affirmed"]] for study, own in by_study.items()}
    space = () if published.space is None else _versions(published.space.clip, published.space.synthesizer)
    reports = similar_reports(list(by_study), neighbours, space)
    by_text = slices_by_text(affirmed, aligned_slices, sentences, space=space, count=settings.text_slices)
    of_study = {str(key): rows for (key,), rows in slices.partition_by("study_key", as_dict=True).items()}
    rows: list[Row] = []
    for study, own in by_study.items():
        if [claim["condition"] for claim in own] != list(condition_keys()):
            raise AgentsError("a study has not one claim for each condition: materialise agents/claims again")
        images = of_study.get(study, slices.clear())
        rows += [_diagnosed(claim) for claim in own]
        rows += [_localized(claim, findings, levels, published) for claim in own]
        alike = _unfit(own) or reports[study]
        rows.append(_reports(own[0], alike, images, published, settings))
        rows.append(_by_text(own[0], by_text[study], images, published))
    empty = dict.fromkeys(RESULTS)
    return pl.DataFrame([empty | row | {"result_key": _key(row)} for row in rows], schema=RESULTS)


def _unfit(claims: list[Row]) -> Alike | None:
    """No answer for a study that is no spine or unlike all that is known: its neighbours would only mislead."""
    reasons = {claim["reason"] for claim in claims}
    (reason,) = reasons if len(reasons) == 1 else (None,)
    return Alike([], Reason(reason)) if reason in UNFIT else None


def _identity(claim: Row) -> Row:
    return {name: claim[name] for name in ("batch_key", "patient_key", "study_key")}


def _key(row: Row) -> str:
    return digest(*(row.get(name) for name in RESULTS if name != "result_key"))


def _versions(*versions: str | None) -> list[str]:
    return [version for version in versions if version is not None]


def _refuse_other_localizer(findings: pl.DataFrame | None, published: Published) -> None:
    if findings is None or published.localizer is None:
        return
    if strange := set(findings["models_version"].unique()) - {published.localizer.version}:
        raise AgentsError(
            f"localization/findings are of models {min(strange)}, published is {published.localizer.version}:"
            " materialise localization/findings of this batch again"
        )


def _refuse_other_levels(levels: pl.DataFrame | None, published: Published) -> None:
    if levels is None or published.levels is None:
        return
    if strange := set(levels["heads_version"].unique()) - {published.levels.version}:
        raise AgentsError(
            f"localization/level_findings are of heads {min(strange)}, published is {published.levels.version}:"
            " materialise localization/level_findings of this batch again"
        )


def _diagnosed(claim: Row) -> Row:
    assessed = claim["status"] != ClaimStatus.NOT_ASSESSED
    hedge = f" {PROBABLE}" if claim["certainty"] == PROBABLE else ""
    return _identity(claim) | {
        "agent": claim["agent"],
        "kind": DIAGNOSIS,
        "condition": claim["condition"],
        "status": ANSWERED if assessed else NOT_ASSESSED,
        "reason": claim["reason"],
        "asked": True,
        "probability": claim["probability"],
        "decision": DECISIONS.get(claim["status"]),
        "boxes": [],
        "neighbours": [],
        "confidence": claim["confidence"],
        "agent_version": claim["agent_version"],
        "model_versions": claim["model_versions"],
        "source_series": claim["source_series"],
        "source_instances": claim["source_instances"],
        "tokens": f"{claim['condition']}{token_of(claim)}{hedge}",
    }


def _localized(
    claim: Row, findings: pl.DataFrame | None, levels: pl.DataFrame | None, published: Published
) -> Row:
    places: Sequence[Row] = claim["places"]
    asked = bool(claim["affirmed"])
    if places:
        reason = None
    elif not asked:
        reason = NoAnswer.CONDITION_NOT_AFFIRMED
    else:
        reason = NoAnswer.NOT_LOCALIZED if findings is None and levels is None else NoAnswer.NOWHERE
    said = ", ".join(str(one) for one in places_said(claim)) if places else ""
    first: Mapping[str, Any] = places[0] if places else {}
    return _identity(claim) | {
        "agent": agent_name(claim["condition"], LOCALIZATION),
        "kind": LOCALIZATION,
        "condition": claim["condition"],
        "status": ANSWERED if places else NOT_ASSESSED,
        "reason": None if reason is None else str(reason),
        "asked": asked,
        "level": first.get("level"),
        "side": first.get("side"),
        "boxes": places,
        "neighbours": [],
        "confidence": first.get("confidence"),
        "agent_version": localization_version(published),
        "model_versions": claim["model_versions"] if places else [],
        "source_series": list(dict.fromkeys(place["series_key"] for place in places)),
        "source_instances": list(dict.fromkeys(place["instance_key"] for place in places)),
        "tokens": said or None,
    }


def _reports(
    claim: Row, alike: Alike, images: pl.DataFrame, published: Published, settings: AgentSettings
) -> Row:
    seen = evidence(images, alike.asked, slices_per_series=settings.evidence_slices) if alike.asked else None
    return _retrieved(claim, IMAGE_TO_REPORT, alike, published) | {
        "source_series": list(seen.source_series) if seen else [],
        "source_instances": list(seen.source_instances) if seen else [],
    }


def _by_text(claim: Row, alike: Alike, images: pl.DataFrame, published: Published) -> Row:
    named = [neighbour["slice_key"] for neighbour in alike.neighbours]
    instance_of = dict(
        images.filter(pl.col("slice_key").is_in(named)).select("slice_key", "instance_key").iter_rows()
    )
    if missing := set(named) - set(instance_of):
        raise AgentsError(
            f"embeddings/aligned_slices name {len(missing)} slices that shards/slices lacks: materialise"
            " embeddings/aligned_slices of this batch again"
        )
    return _retrieved(claim, TEXT_TO_IMAGE, alike, published) | {
        "asked": alike.reason != NoAnswer.NOT_AFFIRMED,
        "source_series": list(dict.fromkeys(neighbour["series_key"] for neighbour in alike.neighbours)),
        "source_instances": list(dict.fromkeys(instance_of[key] for key in named)),
    }


def _retrieved(claim: Row, agent: str, alike: Alike, published: Published) -> Row:
    space = published.space
    return _identity(claim) | {
        "agent": agent,
        "kind": RETRIEVAL,
        "status": ANSWERED if alike.neighbours else NOT_ASSESSED,
        "reason": None if alike.reason is None else str(alike.reason),
        "asked": True,
        "boxes": [],
        "neighbours": alike.neighbours,
        "confidence": alike.neighbours[0]["score"] if alike.neighbours else None,
        "agent_version": retrieval_version(published),
        "model_versions": []
        if space is None or not alike.neighbours
        else _versions(space.clip, space.synthesizer),
    }
