"""Claims of train patients as the agents would speak of them had their heads not seen them.

A report model that is conditioned on what heads say of studies that they were fitted on learns to trust claims that are
better than any that it will meet. So probability and decision are taken from the out-of-fold predictions.

So are the places that heads of levels flag. What is not replaced is honest already or stays as it is: conditions of
which a study has no usable label were no part of their head's fit; boxes come from localizers that learned from some of
these patients' boxes, which have no folds.

Belongs here: this exchange. Does not belong here: thresholds (``status``), prompts (``reporting.llava``).
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import polars as pl

from spine_models.config import AgentSettings
from spine_models.findings.probes.operating import thresholds
from spine_models.reporting.agents.places import LEVEL, Place, bare_place, graded, judged_by
from spine_models.reporting.agents.status import ClaimStatus, Prediction, verdict
from spine_models.reporting.agents.tables import CLAIMS
from spine_models.reporting.agents.versions import AgentsError

EVALUATIONS: Final = ("cv", "seen")
"""Out-of-fold predictions: of vectors that saw no report, else of those that may carry it."""


class Decider(Protocol):
    """Guards that decide on probabilities alone (``findings.probes.strata.guards.Guards``)."""

    def decide(self, predictions: pl.DataFrame) -> pl.DataFrame:
        """The predictions (condition, sequence_set, probability) with decision and reason; row order is kept."""


def out_of_fold(
    claims: pl.DataFrame,
    predictions: pl.DataFrame,
    points: pl.DataFrame | None,
    *,
    settings: AgentSettings | None = None,
    guards: Decider | None = None,
    levels: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """``claims`` with probability and decision out of fold where a study was fitted on; keys and order are kept.

    An affirmed claim that is not affirmed out of fold loses its places, level, side and severity; one that becomes
    affirmed has the places that are flagged out of fold, without boxes, or none.

    Args:
        claims: ``CLAIMS`` of any patients; those of val and test patients stay as they are.
        predictions: probes.PREDICTIONS; those of ``spinefm`` by linear heads, evaluation cv or else seen.
        points: probes.OPERATING_POINTS, or None.
        settings: as the claims were made with; None for the defaults.
        guards: of the heads, as the claims were made with, or None.
        levels: levelwise PREDICTIONS, or None; those of evaluation cv.

    Raises:
        AgentsError: a study has two out-of-fold predictions of one condition and sequence set.
    """
    settings = settings or AgentSettings()
    held = predictions.filter(
        (pl.col("encoder") == "spinefm")
        & (pl.col("head") == "linear")
        & pl.col("evaluation").is_in(EVALUATIONS)
    )
    where = ["study_key", "condition", "sequence_set"]
    if held.select(*where, "evaluation").is_duplicated().any():
        raise AgentsError(
            "a study has two out-of-fold predictions of one condition: materialise probes/predictions again"
        )
    held = held.sort("evaluation").unique(where, keep="first", maintain_order=True)
    asked = (
        claims.filter(pl.col("status") != ClaimStatus.NOT_ASSESSED.value)
        .select(*where, own="probability")
        .join(held.select(*where, "probability"), on=where, how="left", maintain_order="left")
        .with_columns(
            fitted=pl.col("probability").is_not_null(), probability=pl.coalesce("probability", "own")
        )
        .drop("own")
    )
    if guards is not None:
        asked = guards.decide(asked)
    told = {(row["study_key"], row["condition"]): row for row in asked.iter_rows(named=True)}
    at = {} if points is None else thresholds(points)
    flagged = _flagged(levels) | _unseen(claims, levels)
    rows = [
        _spoken(claim, told.get(key), at, settings, flagged.get(key))
        for claim in claims.iter_rows(named=True)
        if (key := (claim["study_key"], claim["condition"]))
    ]
    return pl.DataFrame(rows, schema=CLAIMS)


def _flagged(levels: pl.DataFrame | None) -> dict[tuple[str, str], list[Place]]:
    """Places flagged out of fold of every study and condition that was judged so, most probable first."""
    found: dict[tuple[str, str], list[Place]] = {}
    if levels is None:
        return found
    rows = levels.filter(pl.col("evaluation") == "cv").sort(
        "study_key",
        "condition",
        "probability",
        "level",
        "side",
        descending=[False, False, True, False, False],
    )
    for row in rows.iter_rows(named=True):
        kept = found.setdefault((row["study_key"], row["condition"]), [])
        if row["flagged"]:
            level = None if row["level_uncertain"] else row["level"]
            kept.append(bare_place(level, row["side"], row["probability"]))
    return found


def _unseen(claims: pl.DataFrame, levels: pl.DataFrame | None) -> dict[tuple[str, str], list[Place]]:
    """Places of studies that heads of levels judged without being fitted on them: those are honest as they are."""
    if levels is None:
        return {}
    conditions = set(levels["condition"])
    fitted = levels.filter(pl.col("evaluation") == "cv").select("study_key").unique()
    others = claims.join(fitted, on="study_key", how="anti").to_dicts()
    judged = {row["study_key"] for row in others for place in row["places"] if place["supervision"] == LEVEL}
    return {
        (row["study_key"], row["condition"]): row["places"] if row["affirmed"] else []
        for row in others
        if row["study_key"] in judged and row["condition"] in conditions
    }


def _spoken(
    claim: dict[str, Any],
    held: dict[str, Any] | None,
    points: dict[tuple[str, str], float],
    settings: AgentSettings,
    flagged: list[Place] | None,
) -> dict[str, Any]:
    if held is None or not (held["fitted"] or flagged is not None):
        return claim
    prediction = Prediction(
        held["sequence_set"], held["probability"], held.get("decision"), held.get("reason")
    )
    threshold = points.get((claim["condition"], held["sequence_set"]))
    said = verdict(prediction, threshold, settings, judged_by(flagged))
    places = _places(claim, flagged) if said.affirmed else []
    severity = claim["severity"] if claim["affirmed"] and said.affirmed else None
    first = places[0] if places else {}
    return claim | {
        "level": first.get("level"),
        "side": first.get("side"),
        "severity": severity,
        "status": str(said.status),
        "certainty": None if said.certainty is None else str(said.certainty),
        "affirmed": said.affirmed,
        "reason": said.reason,
        "probability": held["probability"],
        "confidence": 2.0 * abs(held["probability"] - 0.5),
        "places": graded(places, severity),
    }


def _places(claim: dict[str, Any], flagged: list[Place] | None) -> list[Place]:
    """Those flagged out of fold, with the claim's own box where it has one of the same level and side; else its own.

    A place that is known only because heads that saw the study flag it is none where they do not flag it out of fold.
    """
    own: list[Place] = claim["places"] if claim["affirmed"] else []
    if flagged is None:
        return own
    if not flagged:
        return [place for place in own if place["supervision"] != LEVEL]
    boxes = {(place["level"], place["side"]): place for place in own if place["level"] is not None}
    return [
        boxes.get((place["level"], place["side"]), place) | {"confidence": place["confidence"]}
        for place in flagged
    ]
