"""Claims of train patients as the agents would speak of them had their heads not seen them.

A report model that is conditioned on what heads say of studies that they were fitted on learns to trust claims that are
better than any that it will meet. So probability and decision are taken from the out-of-fold predictions.

What is not replaced is honest already or stays as it is: conditions of which a study has no usable label were no part
of their head's fit; places come from localizers that learned from some of these patients' boxes, which have no folds.

Belongs here: this exchange. Does not belong here: thresholds (``status``), prompts (``reporting.llava``).
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import polars as pl

from spine_models.config import AgentSettings
from spine_models.findings.probes.operating import thresholds
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
) -> pl.DataFrame:
    """``claims`` with probability and decision out of fold where a study was fitted on; keys and order are kept.

    An affirmed claim that is not affirmed out of fold loses its places, level, side and severity; one that becomes
    affirmed has none.

    Args:
        claims: ``CLAIMS`` of any patients; those of val and test patients stay as they are.
        predictions: probes.PREDICTIONS; those of ``spinefm`` by linear heads, evaluation cv or else seen.
        points: probes.OPERATING_POINTS, or None.
        settings: as the claims were made with; None for the defaults.
        guards: of the heads, as the claims were made with, or None.

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
    asked = claims.select(*where).join(
        held.select(*where, "probability"), on=where, how="inner", maintain_order="left"
    )
    if guards is not None:
        asked = guards.decide(asked)
    told = {(row["study_key"], row["condition"]): row for row in asked.iter_rows(named=True)}
    at = {} if points is None else thresholds(points)
    rows = [
        _spoken(row, told.get((row["study_key"], row["condition"])), at, settings)
        for row in claims.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=CLAIMS)


def _spoken(
    claim: dict[str, Any],
    held: dict[str, Any] | None,
    points: dict[tuple[str, str], float],
    settings: AgentSettings,
) -> dict[str, Any]:
    if held is None or claim["status"] == ClaimStatus.NOT_ASSESSED:
        return claim
    prediction = Prediction(
        held["sequence_set"], held["probability"], held.get("decision"), held.get("reason")
    )
    said = verdict(prediction, points.get((claim["condition"], held["sequence_set"])), settings)
    kept = claim["affirmed"] and said.affirmed
    place = {name: claim[name] if kept else None for name in ("level", "side", "severity")}
    return (
        claim
        | place
        | {
            "status": str(said.status),
            "certainty": None if said.certainty is None else str(said.certainty),
            "affirmed": said.affirmed,
            "reason": said.reason,
            "probability": held["probability"],
            "confidence": 2.0 * abs(held["probability"] - 0.5),
            "places": claim["places"] if kept else [],
        }
    )
