"""From a calibrated probability to what is said of a condition: status, certainty, and the reason where nothing is.

Belongs here: thresholds and reasons. Does not belong here: where probabilities come from (``diagnosis``), wording
(``reporting.reports``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from spine_models.config import AgentSettings


class ClaimStatus(StrEnum):
    """What an agent says of a condition in a study."""

    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"
    NOT_ASSESSED = "not_assessed"


class Certainty(StrEnum):
    """How sure an affirmed condition is."""

    DEFINITE = "definite"
    PROBABLE = "probable"
    POSSIBLE = "possible"


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
    LEVEL_AFFECTED = "a level looks affected, though the study as a whole does not"
    OPERATING_POINT = "the probability is low, but as high as in the studies whose reports name the condition"


@dataclass(frozen=True)
class Prediction:
    """What heads and guards say of a condition in a study.

    Attributes:
        sequence_set: whose head spoke.
        probability: calibrated.
        decision: of the guards: present, absent or abstain; None without guards.
        reason: why they abstain.
        in_scope: whether the study is like those of the training.
    """

    sequence_set: str
    probability: float
    decision: str | None = None
    reason: str | None = None
    in_scope: bool = True


@dataclass(frozen=True)
class Judged:
    """What heads of levels say of a condition in a study whose levels they could judge.

    Attributes:
        best: probability of the most probable flagged place; None where no place is flagged.
    """

    best: float | None


@dataclass(frozen=True)
class Verdict:
    """What is claimed: ``certainty`` is None where the condition is not affirmed."""

    status: ClaimStatus
    reason: str | None
    certainty: Certainty | None

    @property
    def affirmed(self) -> bool:
        """Whether a draft names the condition as a finding, surely or possibly."""
        return self.certainty is not None


def status_of(probability: float, indeterminate: tuple[float, float]) -> ClaimStatus:
    """Status of a calibrated probability; the bounds themselves count as absent and present."""
    low, high = indeterminate
    if probability <= low:
        return ClaimStatus.ABSENT
    return ClaimStatus.PRESENT if probability >= high else ClaimStatus.INDETERMINATE


def guarded_status(
    prediction: Prediction, indeterminate: tuple[float, float]
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


def verdict(
    prediction: Prediction, threshold: float | None, settings: AgentSettings, judged: Judged | None = None
) -> Verdict:
    """What is claimed.

    What is present is affirmed. Beyond it a draft names what heads of levels flag at some place; where no level could
    be judged, what is at or above the operating point of whole studies. Neither is then called absent: of rare
    conditions every probability is low, and of the studies that reports call positive some are among those.

    Args:
        prediction: of the whole study.
        threshold: operating point of whole studies, or None.
        settings: limits of probability.
        judged: of the study's levels; None where they could not be judged.
    """
    status, reason = guarded_status(prediction, settings.indeterminate)
    if status == ClaimStatus.PRESENT:
        sure = prediction.probability >= settings.definite
        return Verdict(status, reason, Certainty.DEFINITE if sure else Certainty.PROBABLE)
    if judged is not None:
        named, why, chance = judged.best is not None, Reason.LEVEL_AFFECTED, judged.best or 0.0
    else:
        named, why, chance = (
            threshold is not None and prediction.probability >= threshold,
            Reason.OPERATING_POINT,
            0.0,
        )
    if not named:
        return Verdict(status, reason, None)
    if status == ClaimStatus.ABSENT:
        status, reason = ClaimStatus.INDETERMINATE, str(why)
    # Nothing is definite that the whole study does not bear out, however clear one level is.
    likely = chance >= settings.indeterminate[1]
    return Verdict(status, reason, Certainty.PROBABLE if likely else Certainty.POSSIBLE)
