"""The diagnosis agents at work: calibrated probabilities of a study turned into typed claims.

Belongs here: status by threshold and guard, the plain reason where nothing was assessed or decided, provenance of every
claim.
Does not belong here: fitting heads (``findings.probes``), wording (``reporting.reports``), localisation:
these agents read a study as a whole, so level, side and severity stay null.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from spine_models.config import AgentSettings
from spine_models.domain import Region, condition_keys
from spine_models.reporting.agents.evidence import ROUTES_OF_SET, Evidence, digest, evidence
from spine_models.reporting.agents.examination import Examination, examination_of, examinations
from spine_models.reporting.agents.roster import Guards, Heads, agent_name, agent_version
from spine_models.reporting.agents.tables import CLAIMS


class ClaimStatus(StrEnum):
    """What an agent says of a condition in a study."""

    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"
    NOT_ASSESSED = "not_assessed"


class Reason(StrEnum):
    """Why a condition was not assessed or not decided, in the words of the report."""

    NOT_SPINE = "not a spine examination"
    REGION_UNKNOWN = "the body region could not be determined"
    NO_SEQUENCES = "no T1 or T2 series"
    NO_VECTORS = "no T1 or T2 image could be encoded"
    ENCODER_UNTRAINED = "the image encoder is untrained"
    NO_HEADS = "no diagnosis head has been trained"
    OTHER_ENCODER = "the images were prepared or encoded by another version than the heads were trained on"
    NO_HEAD = "no trained head: too few positive or negative studies"
    NO_HEAD_FOR_SEQUENCES = "no trained head for the sequences present"
    OUT_OF_SCOPE = "the images are unlike those that the agents were trained on"
    PROBABILITY_UNSURE = "the probability lies between the limits for absent and present"
    GUARD_DISAGREES = "the probability and its error guarantee do not point the same way"


@dataclass(frozen=True)
class _Prediction:
    sequence_set: str
    probability: float
    decision: str | None = None  # of the guards; None without guards
    reason: str | None = None  # why the guards abstain
    in_scope: bool = True


def status_of(probability: float, indeterminate: tuple[float, float]) -> ClaimStatus:
    """Status of a calibrated probability; the bounds themselves count as absent and present."""
    low, high = indeterminate
    if probability <= low:
        return ClaimStatus.ABSENT
    return ClaimStatus.PRESENT if probability >= high else ClaimStatus.INDETERMINATE


def guarded_status(
    prediction: _Prediction, indeterminate: tuple[float, float]
) -> tuple[ClaimStatus, str | None]:
    """Status and, where it is indeterminate by a guard, why; without guards the probability alone decides.

    With guards both must agree: a condition that is far more likely than usual may still be improbable.
    """
    status = status_of(prediction.probability, indeterminate)
    if prediction.decision is None or prediction.decision == str(status):
        return status, None
    if prediction.reason is not None:
        return ClaimStatus.INDETERMINATE, prediction.reason
    unsure = status == ClaimStatus.INDETERMINATE
    return ClaimStatus.INDETERMINATE, str(Reason.PROBABILITY_UNSURE if unsure else Reason.GUARD_DISAGREES)


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
) -> pl.DataFrame:
    """One claim per study and condition, 17 rows for every study of ``studies``.

    Args:
        studies: ``deid.STUDIES``.
        study_vectors: ``embeddings.STUDIES``; a study without a row here is not assessed.
        series: ``sequences.SERIES`` of the same studies.
        slices: ``shards.SLICES`` of the same studies.
        heads: Trained heads, or None.
        settings: Indeterminate band and number of evidence slices per series.
        untrained_versions: Model versions of encoders whose card says that they were not trained; their
            vectors are left out.
        guards: Abstention and scope of these heads, or None. Where they abstain the claim is indeterminate with the
            reason; a study out of scope is not assessed.

    Returns:
        ``CLAIMS`` sorted by study_key, then in the order of ``conditions.yaml``.

    Raises:
        ValueError: a head gave a probability outside 0..1, a study has vectors but no slices, or the guards belong
            to other heads.
    """
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

    claims: list[dict[str, object]] = []
    for study in studies.sort("study_key").iter_rows(named=True):
        study_key = study["study_key"]
        identity = {column: study[column] for column in ("batch_key", "patient_key", "study_key")}
        found: dict[str, Evidence] = {}
        for condition in condition_keys():
            prediction = predictions.get((study_key, condition))
            agent = {
                "agent": agent_name(condition),
                "agent_version": agent_version(heads, condition, guards),
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
            claims.append(
                {
                    **identity,
                    **agent,
                    **_assessed(study_key, agent, prediction, models, found[name], settings),
                }
            )
    return pl.DataFrame(claims, schema=CLAIMS)


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


def _predict(
    heads: Heads, guards: Guards | None, vectors: pl.DataFrame
) -> dict[tuple[str, str], _Prediction]:
    found: dict[tuple[str, str], _Prediction] = {}
    rows = heads.predict(vectors)
    for row in rows.iter_rows(named=True):
        probability = row["probability"]
        if probability is None or not 0.0 <= probability <= 1.0:
            raise ValueError(
                f"the head of {row['condition']} gave no probability between 0 and 1 for study"
                f" {row['study_key']}: fit probes/heads again"
            )
        found[row["study_key"], row["condition"]] = _Prediction(row["sequence_set"], probability)
    if guards is not None:
        if guards.heads_version != heads.version:
            raise ValueError("these guards belong to other heads: materialise probes/guards again")
        for row in guards.judge(vectors, rows).iter_rows(named=True):
            found[row["study_key"], row["condition"]] = _Prediction(
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
    prediction: _Prediction,
    models: list[str],
    found: Evidence,
    settings: AgentSettings,
) -> dict[str, object]:
    status, reason = guarded_status(prediction, settings.indeterminate)
    key = digest(
        study_key,
        agent["agent"],
        agent["agent_version"],
        prediction.sequence_set,
        models,
        found.digest,
        found.source_instances,
        settings.indeterminate,
    )
    return {
        "claim_key": key,
        "status": str(status),
        "reason": reason,
        "probability": prediction.probability,
        "confidence": 2.0 * abs(prediction.probability - 0.5),
        "level": None,
        "side": None,
        "severity": None,
        "sequence_set": prediction.sequence_set,
        "model_versions": models,
        "source_series": list(found.source_series),
        "source_instances": list(found.source_instances),
    }


def _not_assessed(study_key: str, agent: Mapping[str, str], reason: Reason) -> dict[str, object]:
    return {
        "claim_key": digest(study_key, agent["agent"], agent["agent_version"], str(reason)),
        "status": str(ClaimStatus.NOT_ASSESSED),
        "reason": str(reason),
        "probability": None,
        "confidence": None,
        "level": None,
        "side": None,
        "severity": None,
        "sequence_set": None,
        "model_versions": [],
        "source_series": [],
        "source_instances": [],
    }


def _by_study(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(key): rows for (key,), rows in frame.partition_by("study_key", as_dict=True).items()}
