"""The diagnosis agents at work: calibrated probabilities of a study turned into typed claims with their places.

Belongs here: who can be assessed, the plain reason where nobody can, provenance of every claim.
Does not belong here: thresholds (``status``), fitting heads (``findings.probes``), finding boxes
(``findings.localization``), wording (``reporting.reports``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from spine_models.config import AgentSettings
from spine_models.domain import Region, condition_keys
from spine_models.findings.probes.operating import Points, thresholds
from spine_models.reporting.agents.evidence import ROUTES_OF_SET, Evidence, digest, evidence
from spine_models.reporting.agents.examination import Examination, examination_of, examinations
from spine_models.reporting.agents.places import (
    Place,
    Places,
    graded,
    judged_by,
    judged_places,
    places_of,
    unnamed,
)
from spine_models.reporting.agents.published import Grading, Guards, Heads, LevelJudge
from spine_models.reporting.agents.roster import agent_name, diagnosis_version
from spine_models.reporting.agents.status import ClaimStatus, Prediction, Reason, verdict
from spine_models.reporting.agents.tables import CLAIMS
from spine_models.reporting.agents.versions import AgentsError, refuse_other_heads


def diagnose(
    studies: pl.DataFrame,
    study_vectors: pl.DataFrame,
    series: pl.DataFrame,
    slices: pl.DataFrame,
    heads: Heads | None,
    *,
    settings: AgentSettings,
    untrained_versions: Collection[str] = (),
    guards: Guards | None = None,
    points: pl.DataFrame | None = None,
    findings: pl.DataFrame | None = None,
    grading: Grading | None = None,
    levels: pl.DataFrame | None = None,
    level_heads: LevelJudge | None = None,
) -> pl.DataFrame:
    """One claim per study and condition, 17 rows for every study of ``studies``.

    What is optional may be missing: without guards the probability alone decides, without findings of levels a
    condition is named at the operating point of whole studies, without operating points only what is present is
    affirmed, without any findings no claim has a place, without grading none has a severity.

    Args:
        studies: ``deid.STUDIES``.
        study_vectors: ``embeddings.STUDIES``; a study without a row here is not assessed.
        series: ``sequences.SERIES`` of the same studies.
        slices: ``shards.SLICES`` of the same studies.
        heads: Trained heads, or None.
        settings: Indeterminate band, certainty, number of evidence slices per series.
        untrained_versions: Model versions of encoders whose card says that they were not trained; their
            vectors are left out.
        guards: Abstention and scope of these heads, or None. Where they abstain the claim is indeterminate with the
            reason; a study out of scope is not assessed.
        points: ``probes.OPERATING_POINTS`` of these heads, or None.
        findings: ``localization.FINDINGS`` of the same studies, found with these heads, or None.
        grading: Of the severity, fitted on vectors of the same encoders, or None.
        levels: levelwise FINDINGS of the same studies, or None.
        level_heads: that judged them, for the agents' version; None where there are none.

    Returns:
        ``CLAIMS`` sorted by study_key, then in the order of ``conditions.yaml``.

    Raises:
        ValueError: a head gave a probability outside 0..1, or a study has vectors but no slices.
        AgentsError: guards, points or findings of other heads, or a grading of other encoders.
    """
    version = None if heads is None else heads.version
    refuse_other_heads("probes/operating_points", points, version)
    refuse_other_heads("localization/findings", findings, version)
    refuse_other_heads(
        "localization/level_findings", levels, None if level_heads is None else level_heads.version
    )
    examined = examinations(series)
    nothing = examination_of(())
    blocked: dict[str, Reason] = {}
    vectors = _by_study(study_vectors)
    usable = [study_vectors.clear()]
    for study_key in studies["study_key"].sort():
        rows = vectors.get(study_key, study_vectors.clear())
        reason, kept = _gate(examined.get(study_key, nothing), rows, heads, untrained_versions)
        if reason is None:
            usable.append(kept)
        else:
            blocked[study_key] = reason
    used = pl.concat(usable)
    predictions = _predict(heads, guards, used) if heads is not None and used.height else {}
    versions = _by_study(used)
    # Only what was encoded is a source: series of a route without vectors were read by no agent.
    slices_of = _by_study(
        slices.join(used.select("study_key", "route"), on=["study_key", "route"], how="semi")
    )
    boxes = {} if findings is None else places_of(findings, slices, settings)
    know = _Knowledge(
        {} if points is None else thresholds(points),
        boxes,
        {} if grading is None else grading.grade(used),
        {} if levels is None else judged_places(levels, slices, boxes),
    )
    claims: list[dict[str, object]] = []
    for study in studies.sort("study_key").iter_rows(named=True):
        study_key = study["study_key"]
        identity = {column: study[column] for column in ("batch_key", "patient_key", "study_key")}
        found: dict[str, Evidence] = {}
        for condition in condition_keys():
            prediction = predictions.get((study_key, condition))
            agent = {
                "agent": agent_name(condition),
                "agent_version": diagnosis_version(heads, condition, guards, grading, level_heads),
                "condition": condition,
            }
            if prediction is None or not prediction.in_scope:
                reason = blocked.get(study_key) or _missing_head(heads, condition)
                if prediction is not None:
                    reason = Reason.OUT_OF_SCOPE
                claims.append({**identity, **agent, **_not_assessed(study_key, agent, reason)})
                continue
            name = prediction.sequence_set
            if name not in found:
                found[name] = _evidence(slices_of.get(study_key), name, study_key, settings)
            models = _models(versions[study_key], name)
            said = _assessed(study_key, agent, prediction, models, found[name], know, settings)
            claims.append({**identity, **agent, **said})
    return pl.DataFrame(claims, schema=CLAIMS)


@dataclass(frozen=True)
class _Knowledge:
    """What there is beside the probability: operating points, boxes, severities and judged levels."""

    points: Points
    places: Places
    severities: Mapping[tuple[str, str], str]
    levels: Places


def _gate(
    examination: Examination, vectors: pl.DataFrame, heads: Heads | None, untrained: Collection[str]
) -> tuple[Reason | None, pl.DataFrame]:
    """Why a whole study cannot be assessed (None when it can), and the vectors that may be used."""
    fitted = heads.model_versions if heads is not None else {}
    prepared = heads.preprocessing_versions if heads is not None else {}
    held = vectors.select("route", "model_version", "preprocessing_version").rows()
    trained = [(route, version) for route, version, _ in held if version not in untrained]
    fits = [
        (route, version) in trained and fitted.get(route) == version and prepared.get(route) == preprocessing
        for route, version, preprocessing in held
    ]
    reason: Reason | None = None
    if examination.region == Region.OTHER:
        reason = Reason.NOT_SPINE
    elif not examination.readable and not held:
        reason = Reason.NO_SEQUENCES
    elif not examination.is_spine:
        reason = Reason.REGION_UNKNOWN
    elif not held:
        reason = Reason.NO_VECTORS
    elif not trained:
        reason = Reason.ENCODER_UNTRAINED
    elif heads is None or not heads.conditions:
        reason = Reason.NO_HEADS
    elif not any(fits) and any(route in fitted for route, _ in trained):
        reason = Reason.OTHER_ENCODER
    return reason, vectors.filter(pl.Series(fits, dtype=pl.Boolean))


def _predict(heads: Heads, guards: Guards | None, vectors: pl.DataFrame) -> dict[tuple[str, str], Prediction]:
    found: dict[tuple[str, str], Prediction] = {}
    rows = heads.predict(vectors)
    for row in rows.iter_rows(named=True):
        probability = row["probability"]
        if probability is None or not 0.0 <= probability <= 1.0:
            raise ValueError(
                f"the head of {row['condition']} gave no probability between 0 and 1 for study"
                f" {row['study_key']}: fit probes/heads again"
            )
        found[row["study_key"], row["condition"]] = Prediction(row["sequence_set"], probability)
    if guards is not None:
        if guards.heads_version != heads.version:
            raise AgentsError("these guards belong to other heads: materialise probes/guards again")
        for row in guards.judge(vectors, rows).iter_rows(named=True):
            found[row["study_key"], row["condition"]] = Prediction(
                row["sequence_set"], row["probability"], row["decision"], row["reason"], row["in_scope"]
            )
    return found


def _missing_head(heads: Heads | None, condition: str) -> Reason:
    has_one = heads is not None and condition in heads.conditions
    return Reason.NO_HEAD_FOR_SEQUENCES if has_one else Reason.NO_HEAD


def _evidence(
    slices: pl.DataFrame | None, sequence_set: str, study_key: str, settings: AgentSettings
) -> Evidence:
    found = None
    if slices is not None:
        found = evidence(slices, sequence_set, slices_per_series=settings.evidence_slices)
    if found is None or not found.source_series:
        raise ValueError(
            f"study {study_key} has vectors of sequence set {sequence_set} but no slices of it:"
            " give shards/slices and embeddings/studies of the same batch"
        )
    return found


def _models(vectors: pl.DataFrame, sequence_set: str) -> list[str]:
    routes = [str(route) for route in ROUTES_OF_SET[sequence_set]]
    rows = vectors.filter(pl.col("route").is_in(routes)).sort("route", "model_version")
    return list(dict.fromkeys(rows["model_version"].to_list()))


def _assessed(
    study_key: str,
    agent: Mapping[str, str],
    prediction: Prediction,
    models: list[str],
    found: Evidence,
    know: _Knowledge,
    settings: AgentSettings,
) -> dict[str, object]:
    where = (study_key, agent["condition"])
    threshold = know.points.get((agent["condition"], prediction.sequence_set))
    flagged = know.levels.get(where)
    said = verdict(prediction, threshold, settings, judged_by(flagged))
    severity = know.severities.get(where) if said.affirmed else None
    boxes = know.places.get(where, [])
    places = (
        graded(flagged or (boxes if flagged is None else unnamed(boxes)), severity) if said.affirmed else []
    )
    first: Mapping[str, Any] = places[0] if places else {}
    key = digest(
        study_key,
        agent["agent"],
        agent["agent_version"],
        prediction.sequence_set,
        models,
        found.digest,
        found.source_instances,
        settings.indeterminate,
        settings.definite,
        threshold,
        severity,
        flagged is not None,
        [list(place.values()) for place in places],
    )
    return {
        "claim_key": key,
        "status": str(said.status),
        "certainty": None if said.certainty is None else str(said.certainty),
        "affirmed": said.affirmed,
        "reason": said.reason,
        "probability": prediction.probability,
        "confidence": 2.0 * abs(prediction.probability - 0.5),
        "level": first.get("level"),
        "side": first.get("side"),
        "severity": severity,
        "places": places,
        "sequence_set": prediction.sequence_set,
        "model_versions": models,
        "source_series": _with_places(found.source_series, places, "series_key"),
        "source_instances": _with_places(found.source_instances, places, "instance_key"),
    }


def _with_places(sources: tuple[str, ...], places: list[Place], key: str) -> list[str]:
    return list(dict.fromkeys([*sources, *(place[key] for place in places)]))


def _not_assessed(study_key: str, agent: Mapping[str, str], reason: Reason) -> dict[str, object]:
    return {
        "claim_key": digest(study_key, agent["agent"], agent["agent_version"], str(reason)),
        "status": str(ClaimStatus.NOT_ASSESSED),
        "certainty": None,
        "affirmed": False,
        "reason": str(reason),
        "probability": None,
        "confidence": None,
        "level": None,
        "side": None,
        "severity": None,
        "places": [],
        "sequence_set": None,
        "model_versions": [],
        "source_series": [],
        "source_instances": [],
    }


def _by_study(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(key): rows for (key,), rows in frame.partition_by("study_key", as_dict=True).items()}
