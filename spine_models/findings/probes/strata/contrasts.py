"""T1 minus T2: which sequence tells a condition better, and is that what a radiologist expects?

Both heads are scored on the studies that have both sequences, on the same patients and the same bootstrap draws. The
heads themselves were fitted on every train study that has their sequence.

Belongs here: the paired difference and its comparison with ``expectation.yaml``. Does not belong here: predictions
(``evaluate``).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import polars as pl
import yaml

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.domain import condition_keys
from spine_models.findings.probes.draws import Bootstrap
from spine_models.findings.probes.evaluate import EVALUATIONS
from spine_models.findings.probes.strata.resampling import too_few
from spine_models.findings.probes.strata.tables import CONTRASTS

AGREES: Final = "agrees"
DISAGREES: Final = "disagrees"
OPEN: Final = "open"
EITHER: Final = "either"


@lru_cache(maxsize=1)
def expectations() -> dict[str, tuple[str, str]]:
    """Expected sequence (t1, t2, either) and reason of every condition.

    Raises:
        ValueError: the file lacks a condition, or names another sequence.
    """
    document = yaml.safe_load((Path(__file__).parent / "expectation.yaml").read_text(encoding="utf-8"))
    found = {
        key: (str(given["sequence"]), str(given["why"])) for key, given in document["conditions"].items()
    }
    wrong = set(found) ^ set(condition_keys())
    wrong |= {key for key, (sequence, _) in found.items() if sequence not in ("t1", "t2", EITHER)}
    if wrong:
        raise ValueError(f"expectation.yaml: no valid entry for {', '.join(sorted(wrong))}")
    return found


def agreement(low: float, high: float, expected: str) -> str | None:
    """Whether the interval of AUROC(t1) - AUROC(t2) has the expected sign; None where either may win."""
    if expected == EITHER:
        return None
    if not (low > 0 or high < 0):
        return OPEN
    return AGREES if (low > 0) == (expected == "t1") else DISAGREES


def sequence_contrast(
    predictions: pl.DataFrame, *, probes: ProbeSettings, settings: StratumSettings
) -> pl.DataFrame:
    """probes.CONTRASTS: encoders x evaluations x conditions.

    Args:
        predictions: probes.PREDICTIONS; linear heads of the sequence sets t1 and t2 are used.
        probes: least number of patients of either class.
        settings: bootstrap and seed.
    """
    held = predictions.filter(pl.col("head") == "linear") if "head" in predictions.columns else predictions
    keys = ["encoder", "evaluation", "condition", "study_key", "patient_key", "label"]
    sides = [
        held.filter(pl.col("sequence_set") == name).select(*keys, "probability") for name in ("t1", "t2")
    ]
    both = sides[0].join(sides[1], on=keys, suffix="_t2").sort("study_key")
    parts = both.partition_by("encoder", "evaluation", "condition", as_dict=True)
    encoders = held.filter(pl.col("sequence_set").is_in(["t1", "t2"]))["encoder"].unique().sort().to_list()
    draws = {
        evaluation: Bootstrap.of(
            both.filter(pl.col("evaluation") == evaluation)["patient_key"].to_numpy(),
            settings.bootstrap,
            (settings.seed, 12, number),
        )
        for number, evaluation in enumerate(EVALUATIONS)
    }
    rows = [
        {"condition": condition, "encoder": encoder, "evaluation": evaluation}
        | _row(parts.get((encoder, evaluation, condition)), draws[evaluation], condition, probes)
        for encoder in encoders
        for evaluation in EVALUATIONS
        for condition in condition_keys()
    ]
    return pl.DataFrame(rows, schema=CONTRASTS)


def _row(
    part: pl.DataFrame | None, bootstrap: Bootstrap, condition: str, probes: ProbeSettings
) -> dict[str, object]:
    expected, why = expectations()[condition]
    row: dict[str, object] = {"expected": expected, "expectation": why, "status": "not_evaluable"}
    if part is None:
        return row | {"reason": "no study has predictions by both sequences", "n_studies": 0}
    label, patients = part["label"].to_numpy(), part["patient_key"].to_numpy()
    row |= {"n_studies": part.height, "n_patients": part["patient_key"].n_unique()}
    row["n_positive"] = int((label == 1).sum())
    reason = too_few(label, patients, probes.min_positive)
    if reason is not None:
        return row | {"reason": reason}
    t1 = bootstrap.auroc(label, part["probability"].to_numpy(), patients)
    t2 = bootstrap.auroc(label, part["probability_t2"].to_numpy(), patients)
    edge = (t1 - t2).interval
    row |= t1.columns("t1") | t2.columns("t2") | (t1 - t2).columns("difference")
    return row | {"status": "evaluated", "agreement": agreement(edge.low, edge.high, expected)}
