"""Heads of levels in the valid lake, and lakes that break one of their rules each.

Belongs here: rows and mutations. Does not belong here: the other tables (`conftest`), asking rules (`test_checks`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from spine_models.domain import condition_keys
from tests.sql.tiny_lake import STUDIES, Lake, key

THRESHOLDS = {"canal": 0.5, "neuroforaminal": 0.4}
# condition, level, side, probability: what the heads say in every study
JUDGED: list[tuple[str, str, str | None, float]] = [
    ("canal", "L4-L5", None, 0.8),
    ("canal", "L5-S1", None, 0.5),
    ("canal", "L3-L4", None, 0.1),
    ("neuroforaminal", "L4-L5", "left", 0.3),
    ("neuroforaminal", "L4-L5", "right", 0.2),
]
VERSIONS = {"models_version": "l1", "heads_version": "lv1"}


def add_levels(lake: Lake) -> None:
    """Canal levels are flagged and measured, foraminal ones are neither; nothing else is fitted."""
    for number, (patient, batch, split, *_) in enumerate(STUDIES):
        ids = {"batch_key": batch, "patient_key": key(patient), "study_key": key("study", number)}
        _add_views(lake, ids)
        for condition, level, side, probability in JUDGED:
            lake.add(
                "localization.level_predictions", **ids, split=split,
                evaluation="cv" if split == "train" else split, condition=condition, level=level, side=side,
                label=int(condition == "canal"), probability=probability,
                flagged=probability >= THRESHOLDS[condition], heads_version="lv1",
            )  # fmt: skip
        _add_findings(lake, ids)
    for patient in ("ann", "dot"):
        lake.add(
            "localization.level_patients", training="levels", route="all", patient_key=key(patient), role="train", n=1
        )  # fmt: skip
    for condition in condition_keys():
        lake.add("localization.level_skill", condition=condition, heads_version="lv1", **_skill(condition))


def _add_views(lake: Lake, ids: dict[str, str]) -> None:
    found = lake.first("shards.slices", study_key=ids["study_key"])
    for number, level in enumerate(("L3-L4", "L4-L5", "L5-S1")):
        # No slice lies on the right of the patient.
        lake.add(
            "localization.level_views", **ids, region="lumbar", level=level, z_mm=-30.0 * number, settled=True,
            routes=["t1"], centre_slice=found["slice_key"], left_slice=found["slice_key"], centre=[0.5, -0.5],
            left=[0.25, float(number)], models_version="l1", model_versions=["t1:m-t1"], preprocessing_version="p1",
        )  # fmt: skip


def _add_findings(lake: Lake, ids: dict[str, str]) -> None:
    """The canal's flagged levels with their boxes; the foramen's best without one, as on a slice without a place."""
    found = lake.first("shards.slices", study_key=ids["study_key"])
    place = {"series_key": found["series_key"], "slice_key": found["slice_key"]}
    box = {"x": 2.0, "y": 4.0, "w": 6.0, "h": 3.0, "centre_mm": [0.0, 10.0, -30.0]}
    for rank, (condition, level, side, probability) in ((1, JUDGED[0]), (2, JUDGED[1]), (1, JUDGED[3])):
        lake.add(
            "localization.level_findings", **ids, **place, condition=condition, rank=rank, level=level, side=side,
            probability=probability, flagged=probability >= THRESHOLDS[condition], level_uncertain=False, **VERSIONS,
            **(box if condition == "canal" else {}),
        )  # fmt: skip


def _skill(condition: str) -> dict[str, object]:
    counts = {"n_patients": 2, "n_places": 9, "n_positive": 6}
    fitted = {"status": "fitted", "threshold": THRESHOLDS.get(condition), "precision": 0.6, "recall": 0.6}
    if condition == "neuroforaminal":
        unmeasured = {"unmeasured": "no test patient has it", "test_patients": 1, "test_positive": 0}
        return counts | fitted | unmeasured | {"sided": True}
    if condition == "canal":
        values = {"auroc": 0.9, "prior_auroc": 0.7, "study_auroc": 0.8}
        ends = {f"{name}_low": value - 0.1 for name, value in values.items()}
        ends |= {f"{name}_high": value + 0.1 for name, value in values.items()}
        ends["auroc_low"] = 0.8
        measured = {"test_patients": 1, "test_positive": 2, "ece": 0.05}
        return counts | fitted | values | ends | measured | {"sided": False}
    return {
        "status": "not_fitted",
        "reason": "2 positive patients, at least 10 are needed",
        "unmeasured": "not fitted",
        "sided": False,
    }


def _set(table: str, where: dict[str, Any] | None = None, **values: Any) -> Callable[[Lake], None]:
    return lambda lake: lake.change(f"localization.level_{table}", where=where, **values)


def _again(table: str, **values: Any) -> Callable[[Lake], None]:
    """Say something a second time, with these values."""

    def mutate(lake: Lake) -> None:
        lake.repeat(f"localization.level_{table}")
        lake.rows[f"localization.level_{table}"][-1].update(values)

    return mutate


def _in_the_other_evaluation(lake: Lake) -> None:
    for row in lake.rows["localization.level_predictions"]:
        if row["patient_key"] == key("ben"):
            row["evaluation"] = "cv"


def _on_a_slice_of_another_study(lake: Lake) -> None:
    other = lake.first("shards.slices", study_key=key("study", 1))
    place = {"series_key": other["series_key"], "slice_key": other["slice_key"]}
    lake.change("localization.level_findings", where={"study_key": key("study", 0)}, **place)


def _other_heads_in_half_a_batch(lake: Lake) -> None:
    """Former heads, whose thresholds nobody knows any more."""
    lake.change("localization.level_findings", heads_version="lv0")


def _a_refresh_that_is_not_through(lake: Lake) -> None:
    for row in lake.rows["localization.level_findings"]:
        if row["batch_key"] == STUDIES[0][1]:
            row.update(heads_version="lv0", probability=row["probability"] / 10)


CANAL, FORAMINAL, OTHER = ({"condition": name} for name in ("canal", "neuroforaminal", "pars"))
SECOND = {"rank": 2}
LEVEL_CASES: list[tuple[str, Callable[[Lake], None]]] = [
    ("localization__level_heads_are_of_train_patients", _set("patients", patient_key=key("ben"))),
    ("localization__level_heads_are_of_train_patients", _set("patients", patient_key=key("cem"))),
    ("localization__level_heads_are_of_train_patients", _set("patients", patient_key=key("nobody"))),
    ("localization__level_heads_are_of_train_patients", _set("patients", role="held_out")),
    ("localization__level_evaluation_matches_split", _in_the_other_evaluation),
    (
        "localization__level_evaluation_matches_split",
        _set("predictions", {"evaluation": "val"}, evaluation="test"),
    ),
    ("localization__level_evaluation_matches_split", _set("predictions", {"split": "test"}, split="train")),
    ("localization__level_evaluation_matches_split", _set("predictions", evaluation=None)),
    ("localization__level_probabilities_in_range", _set("predictions", probability=1.5)),
    ("localization__level_probabilities_in_range", _set("predictions", probability=math.nan)),
    ("localization__level_probabilities_in_range", _set("predictions", label=2)),
    ("localization__level_probabilities_in_range", _set("findings", probability=1.5)),
    ("localization__level_probabilities_in_range", _set("findings", FORAMINAL, probability=-0.1)),
    ("localization__level_flags_follow_threshold", _set("predictions", flagged=False)),
    ("localization__level_flags_follow_threshold", _set("predictions", {"flagged": False}, flagged=True)),
    ("localization__level_flags_follow_threshold", _set("predictions", flagged=None)),
    ("localization__level_flags_follow_threshold", _set("predictions", heads_version="lv0")),
    ("localization__level_flags_follow_threshold", _set("predictions", condition="pars")),
    ("localization__level_flags_follow_threshold", _set("findings", SECOND, flagged=False)),
    ("localization__level_flags_follow_threshold", _set("findings", FORAMINAL, flagged=True)),
    ("localization__level_flags_follow_threshold", _set("skill", CANAL, threshold=0.6)),
    (
        "localization__level_skill_has_seventeen_conditions",
        lambda lake: lake.drop("localization.level_skill", condition="pars"),
    ),
    ("localization__level_skill_has_seventeen_conditions", _set("skill", OTHER, condition="cyst")),
    ("localization__level_skill_has_seventeen_conditions", _set("skill", OTHER, heads_version="lv0")),
    ("localization__level_skill_has_seventeen_conditions", _set("skill", OTHER, heads_version=None)),
    ("localization__level_skill_says_why", _set("skill", OTHER, reason="")),
    ("localization__level_skill_says_why", _set("skill", OTHER, status="unknown")),
    ("localization__level_skill_says_why", _set("skill", OTHER, auroc=0.9)),
    ("localization__level_skill_says_why", _set("skill", FORAMINAL, unmeasured=None)),
    ("localization__level_skill_says_why", _set("skill", CANAL, unmeasured="no test patient has it")),
    ("localization__level_skill_says_why", _set("skill", CANAL, reason="why not")),
    ("localization__level_skill_in_range", _set("skill", CANAL, auroc_high=1.5)),
    ("localization__level_skill_in_range", _set("skill", CANAL, prior_auroc_low=0.95)),
    ("localization__level_skill_in_range", _set("skill", CANAL, ece=math.nan)),
    ("localization__level_skill_in_range", _set("skill", FORAMINAL, precision=-0.1)),
    ("localization__level_skill_in_range", _set("skill", FORAMINAL, n_positive=10)),
    ("localization__level_boxes_lie_on_their_slices", _set("findings", w=90.0)),
    ("localization__level_boxes_lie_on_their_slices", _set("findings", x=-1.0)),
    ("localization__level_boxes_lie_on_their_slices", _set("findings", y=18.0)),
    ("localization__level_boxes_lie_on_their_slices", _set("findings", h=0.0)),
    ("localization__level_boxes_lie_on_their_slices", _set("findings", h=None)),
    ("localization__level_boxes_lie_on_their_slices", _set("findings", x=math.nan)),
    ("localization__level_boxes_lie_on_their_slices", _set("findings", FORAMINAL, slice_key="gone")),
    ("localization__level_boxes_lie_on_their_slices", _set("findings", series_key="0" * 32)),
    ("localization__level_boxes_lie_on_their_slices", _on_a_slice_of_another_study),
    ("localization__level_ranks_fall_in_probability", _set("findings", SECOND, rank=3)),
    ("localization__level_ranks_fall_in_probability", _set("findings", SECOND, rank=1)),
    ("localization__level_ranks_fall_in_probability", _set("findings", SECOND, probability=0.9)),
    ("localization__level_ranks_fall_in_probability", _set("findings", SECOND, rank=None)),
    ("localization__level_judged_once", _again("predictions")),
    ("localization__level_judged_once", _again("findings", rank=3, probability=0.5)),
    ("localization__level_findings_one_version", _other_heads_in_half_a_batch),
    ("localization__level_findings_one_version", _set("findings", heads_version=None)),
    ("localization__level_views_are_finite", _set("views", left=[0.5, math.inf])),
    ("localization__level_views_are_finite", _set("views", centre=[0.5, None])),
    ("localization__level_views_are_finite", _set("views", right_slice="gone")),
    ("localization__level_views_are_finite", _again("views")),
]

LEVELS_TOGETHER: list[tuple[set[str], Callable[[Lake], None]]] = [
    # Without its threshold a condition neither says why nor can it flag.
    (
        {"localization__level_skill_says_why", "localization__level_flags_follow_threshold"},
        _set("skill", FORAMINAL, threshold=None),
    ),
    # One that is not flagged stands before one that is.
    (
        {"localization__level_ranks_fall_in_probability", "localization__level_flags_follow_threshold"},
        _set("findings", flagged=False),
    ),
    # A place more than the flagged ones may be shown.
    (set(), _set("findings", SECOND, probability=0.4, flagged=False)),
    (
        {"localization__level_skill_in_range", "localization__level_flags_follow_threshold"},
        _set("skill", CANAL, threshold=1.5),
    ),
    # Batches of two heads wait for a refresh; each is judged by its own thresholds, where they are known.
    (set(), _a_refresh_that_is_not_through),
]
