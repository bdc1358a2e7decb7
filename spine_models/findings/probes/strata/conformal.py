"""Conformal abstention: class-conditional (Mondrian) split conformal prediction on held-out probabilities.

Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World" (2005). For either class the calibration studies of
that class say how low (present) or how high (absent) a probability may be before at most a share ``alpha`` of the
class would be lost. A study's prediction set is {present}, {absent}, both or neither; only a set of one decides.

The guarantee holds for exchangeable studies. A patient's studies are not exchangeable with another's, so one study a
patient is drawn, with a seed, for calibration and again for measuring. Calibration probabilities are out of fold: they
come from heads fitted on four fifths of the patients that the published heads were fitted on, and from encoders that
saw the train patients' images (never their labels); the theorem covers neither, the measured coverage is the proof.

Sets with a route of a synthesizer have no honest out-of-fold probabilities: its training saw the train patients'
reports. They are calibrated on the val patients, whom neither heads nor gates were fitted on, where these suffice for
``alpha`` in both classes; else on the out-of-fold probabilities all the same, so that something can be decided.
``calibrated_on`` says which; of ``seen`` nothing is promised, and only the coverage measured on test patients counts.

Belongs here: thresholds, decisions, measured coverage. Does not belong here: saving (``guards``), wording
(``reporting.agents``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import StratumSettings
from spine_models.domain import condition_keys
from spine_models.findings.probes.evaluate import SPINEFM
from spine_models.findings.probes.judgement import SEEN, VAL
from spine_models.findings.probes.strata.resampling import wilson
from spine_models.findings.probes.strata.tables import CONFORMAL
from spine_models.findings.probes.studies import ROUTES_OF_SET, ProbeInputError

PRESENT: Final = "present"
ABSENT: Final = "absent"
ABSTAIN: Final = "abstain"
BOTH: Final = "neither present nor absent can be ruled out at the promised error rate"
NEITHER: Final = "the probability is unusual for studies with the condition and for studies without it"
CALIBRATING: Final = ("cv", VAL, SEEN)
"""Predictions that calibrate; of a set without cv the first that suffices."""
SIGMAS: Final = 3.5
NO_THRESHOLD: Final = "no abstention threshold for this condition and these sequences"


@dataclass(frozen=True)
class Threshold:
    """What a probability must reach for a condition and sequence set; None where ``alpha`` cannot be attained.

    Attributes:
        present_from: least probability whose set holds "present".
        absent_to: greatest probability whose set holds "absent".
        n_positive, n_negative: calibration patients of either class.
        calibrated_on: cv (train patients out of fold), val (val patients), seen (out of fold, vectors that saw the
            reports).
    """

    condition: str
    sequence_set: str
    alpha: float
    n_positive: int
    n_negative: int
    present_from: float | None
    absent_to: float | None
    calibrated_on: str = CALIBRATING[0]

    @property
    def reason(self) -> str | None:
        """Why it always abstains, or None."""
        least = int(np.ceil(1 / self.alpha - 1e-9)) - 1
        for edge, count, name in (
            (self.present_from, self.n_positive, "positive"),
            (self.absent_to, self.n_negative, "negative"),
        ):
            if edge is None:
                return (
                    f"{count} {name} calibration patients, at least {least} are needed for an error rate of "
                    f"{self.alpha:g}"
                )
        return None

    def sets(self, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether "present" and "absent" are in the set of each probability, bool [N] each; both without thresholds."""
        everywhere = np.ones(len(probabilities), dtype=bool)
        if self.present_from is None or self.absent_to is None:
            return everywhere, everywhere
        return probabilities >= self.present_from, probabilities <= self.absent_to


def edges(labels: np.ndarray, probabilities: np.ndarray, alpha: float) -> tuple[float | None, float | None]:
    """The two edges of calibration studies, labels 0 or 1 [N].

    A class is kept in the set exactly where its conformal p-value, (1 + number of its calibration studies that are at
    least as unlike it) / (1 + their number), exceeds ``alpha``; that is a comparison with one of its own
    probabilities, the ``floor(alpha * (n + 1))``-th from the unlikely end. None where that is the zeroth.
    """
    positives = np.sort(probabilities[labels == 1])
    negatives = np.sort(probabilities[labels == 0])[::-1]
    ranks = [int(np.floor(alpha * (len(part) + 1) + 1e-9)) for part in (positives, negatives)]
    low, high = (
        float(part[rank - 1]) if rank else None
        for part, rank in zip((positives, negatives), ranks, strict=True)
    )
    return low, high


def decide(threshold: Threshold, probabilities: np.ndarray) -> tuple[list[str], list[str | None]]:
    """Decision (present, absent, abstain) and reason (None where decided) of each probability [N]."""
    present, absent = threshold.sets(probabilities)
    why = threshold.reason
    decisions = [
        PRESENT if p and not a else ABSENT if a and not p else ABSTAIN
        for p, a in zip(present, absent, strict=True)
    ]
    reasons = [
        None if one != ABSTAIN else why or (BOTH if held else NEITHER)
        for one, held in zip(decisions, present, strict=True)
    ]
    return decisions, reasons


def calibrate(predictions: pl.DataFrame, settings: StratumSettings) -> list[Threshold]:
    """A threshold per condition and sequence set that has predictions to calibrate on, in file order.

    Args:
        predictions: probes.PREDICTIONS; those of ``spinefm`` by linear heads and evaluation cv, or else val or
            seen, are used.
        settings: alpha and seed.

    Raises:
        ProbeInputError: a patient who calibrates is a test patient as well.
    """
    return [
        Threshold(
            condition,
            sequence_set,
            settings.alpha,
            int(rows["label"].sum()),
            rows.height - int(rows["label"].sum()),
            *_edges_of(rows, settings),
            rows["evaluation"][0],
        )
        for condition, sequence_set, rows in calibration_rows(predictions, settings)
    ]


def calibration_rows(
    predictions: pl.DataFrame, settings: StratumSettings
) -> list[tuple[str, str, pl.DataFrame]]:
    """Condition, sequence set and the predictions that calibrate it, one study a patient.

    Raises:
        ProbeInputError: a patient who calibrates is a test patient as well.
    """
    held = _ours(predictions)
    tests = pl.col("evaluation") == "test"
    if held.filter(tests)["patient_key"].is_in(held.filter(~tests)["patient_key"].implode()).any():
        raise ProbeInputError(
            "a patient is scored out of fold and as a test patient in probes/predictions: materialise probes again"
        )
    chosen: dict[tuple[str, str], pl.DataFrame] = {}
    for evaluation in CALIBRATING:
        for condition, name, rows in _groups(held.filter(evaluation=evaluation), settings.seed, 0):
            if evaluation != VAL or None not in _edges_of(rows, settings):
                chosen.setdefault((condition, name), rows)
    order = [(condition, name) for name in ROUTES_OF_SET for condition in condition_keys()]
    return [(*place, chosen[place]) for place in order if place in chosen]


def _edges_of(rows: pl.DataFrame, settings: StratumSettings) -> tuple[float | None, float | None]:
    return edges(rows["label"].to_numpy(), rows["probability"].to_numpy(), settings.alpha)


def measure(
    predictions: pl.DataFrame, thresholds: list[Threshold], settings: StratumSettings
) -> pl.DataFrame:
    """probes.CONFORMAL: coverage, abstention and accuracy on the test patients, one study each.

    Args:
        predictions: probes.PREDICTIONS.
        thresholds: of ``calibrate``.
        settings: alpha and seed.

    Returns:
        A row per condition and sequence set; where there is no threshold, or no test patient, with the reason.
    """
    tested = {
        (condition, name): rows
        for condition, name, rows in _groups(
            _ours(predictions).filter(pl.col("evaluation") == "test"), settings.seed, 1
        )
    }
    known = {(one.condition, one.sequence_set): one for one in thresholds}
    rows = [
        _row(condition, name, known.get((condition, name)), tested.get((condition, name)), settings)
        for name in ROUTES_OF_SET
        for condition in condition_keys()
    ]
    return pl.DataFrame(rows, schema=CONFORMAL)


def uncovered(conformal: pl.DataFrame) -> pl.DataFrame:
    """Rows of probes.CONFORMAL whose coverage of a class is below what chance explains: columns added are
    ``side`` and ``bound``.

    Given its threshold, coverage on n test patients is binomial; the threshold itself, from m calibration patients,
    moves it by about as much as m + 2 further patients would. The bound is ``SIGMAS`` standard deviations below the
    promise, so that among some hundred conditions and sets a false alarm is rare.
    """
    held = conformal.filter(pl.col("status") == "evaluated")
    spread = pl.col("nominal") * (1 - pl.col("nominal"))
    found = []
    for side in ("positive", "negative"):
        variance = spread * (1 / pl.col(f"n_{side}") + 1 / (pl.col(f"n_calibration_{side}") + 2))
        rows = held.filter(pl.col(f"n_{side}") > 0).with_columns(
            side=pl.lit(side), bound=pl.col("nominal") - SIGMAS * variance.sqrt()
        )
        found.append(rows.filter(pl.col(f"coverage_{side}") < pl.col("bound")))
    return pl.concat(found)


def _row(
    condition: str,
    name: str,
    threshold: Threshold | None,
    tested: pl.DataFrame | None,
    settings: StratumSettings,
) -> dict[str, object]:
    row: dict[str, object] = {"condition": condition, "sequence_set": name, "status": "not_evaluable"}
    row |= {"alpha": settings.alpha, "nominal": 1 - settings.alpha}
    if threshold is None:
        return row | {"reason": "no held-out probabilities: too few patients for a head"}
    row |= {
        "calibrated_on": threshold.calibrated_on,
        "n_calibration_positive": threshold.n_positive,
        "n_calibration_negative": threshold.n_negative,
        "present_from": threshold.present_from,
        "absent_to": threshold.absent_to,
    }
    if threshold.reason is not None:
        return row | {"reason": f"always abstains: {threshold.reason}", "abstained": 1.0}
    if tested is None:
        return row | {"reason": "no labelled test patient"}
    label, chances = tested["label"].to_numpy(), tested["probability"].to_numpy()
    present, absent = threshold.sets(chances)
    decided = present != absent
    right = (decided & (present == (label == 1))).sum()
    row |= {
        "status": "evaluated",
        "n_positive": int((label == 1).sum()),
        "n_negative": int((label == 0).sum()),
    }
    row["n_decided"] = int(decided.sum())
    shares = {
        "coverage_positive": (int(present[label == 1].sum()), int((label == 1).sum())),
        "coverage_negative": (int(absent[label == 0].sum()), int((label == 0).sum())),
        "abstained": (int((~decided).sum()), len(label)),
        "accuracy": (int(right), int(decided.sum())),
    }
    for column, (hits, n) in shares.items():
        if n:
            found = wilson(hits, n)
            row |= {column: found.value, f"{column}_low": found.low, f"{column}_high": found.high}
    return row


def _ours(predictions: pl.DataFrame) -> pl.DataFrame:
    """Predictions of the linear heads on SpineFM's vectors."""
    held = predictions.filter(pl.col("encoder") == SPINEFM)
    return held.filter(pl.col("head") == "linear") if "head" in held.columns else held


def _groups(rows: pl.DataFrame, seed: int, turn: int) -> list[tuple[str, str, pl.DataFrame]]:
    """Per condition and sequence set one row a patient, drawn by (seed, turn, place in the file order)."""
    parts = rows.partition_by("condition", "sequence_set", as_dict=True)
    found = []
    for number, (name, condition) in enumerate((s, c) for s in ROUTES_OF_SET for c in condition_keys()):
        part = parts.get((condition, name))
        if part is not None and part.height:
            found.append((condition, name, one_a_patient(part, (seed, turn, number))))
    return found


def one_a_patient(rows: pl.DataFrame, seed: tuple[int, ...]) -> pl.DataFrame:
    """One row of each patient, drawn evenly; does not depend on the order of the rows."""
    ordered = rows.sort("study_key")
    turns = np.random.default_rng(list(seed)).permutation(ordered.height)
    ordered = ordered.with_columns(_turn=pl.Series(turns, dtype=pl.Int64))
    return ordered.filter(pl.col("_turn") == pl.col("_turn").min().over("patient_key")).drop("_turn")
