"""Rows of the probes by stratum for the tiny valid lake, and what breaks each of their rules.

Belongs here: rows and mutations. Does not belong here: the other tables (`conftest`), asking rules (`test_checks`).
"""

from __future__ import annotations

from collections.abc import Callable

from spine_models.domain import condition_keys
from tests.sql.tiny_lake import STUDIES, Lake, key

FEW = {"status": "not_evaluable", "reason": "3 positive patients, at least 5 are needed"}
DONE = {"status": "evaluated"}
SPINEFM = {"encoder": "spinefm", "sequence_set": "all"}


def scores(name: str, value: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value - 0.05, f"{name}_high": value + 0.05}


def add_strata(lake: Lake) -> None:
    """A row that was evaluated and one that was not, of every table."""
    for evaluation in ("cv", "test"):
        for condition in condition_keys():
            row = {"condition": condition, "encoder": "spinefm", "evaluation": evaluation, "n_studies": 3}
            row |= {"expected": "t2", "expectation": "bright CSF"}
            found = {**DONE, "agreement": "agrees", **scores("t1", 0.7), **scores("t2", 0.9)}
            found |= scores("difference", -0.2)
            lake.add("probes.contrasts", **row, **(found if condition == "canal" else FEW))
        lake.add(
            "probes.null", **SPINEFM, **DONE, evaluation=evaluation, n_repeats=20, **scores("auroc", 0.51)
        )
    for train, test, auroc in (
        ("all", "GE", 0.9),
        ("GE", "GE", 0.85),
        ("GE", "Canon", None),
        ("Canon", "GE", 0.6),
    ):
        for category in ("narrowing", "every", "lesion"):
            row = {**SPINEFM, "train_vendor": train, "test_vendor": test, "category": category}
            found = FEW if auroc is None or category == "lesion" else {**DONE, **scores("auroc", auroc)}
            lake.add("probes.vendors", **row, n_train_patients=50, **found)
    for train, test, auroc in (("internal", "rsna", 0.7), ("rsna", "rsna", 0.8), ("rsna", "internal", None)):
        for condition in ("canal", "mean"):
            row = {**SPINEFM, "train_cohort": train, "test_cohort": test, "condition": condition}
            found = FEW if auroc is None else {**DONE, **scores("auroc", auroc)}
            lake.add("probes.cohorts", **row, test_splits="val+test", n_train_patients=50, **found)
    for subgroup, difference in (("F", -0.1), ("M", 0.1)):
        row = {**SPINEFM, "dimension": "sex", "subgroup": subgroup, "evaluation": "test", "n_patients": 40}
        found = {**DONE, **scores("auroc", 0.8), **scores("difference", difference), **scores("gap", 0.01)}
        lake.add("probes.subgroups", **row, condition="mean", **found)
        lake.add("probes.subgroups", **row, condition="pars", **FEW)
    for condition in condition_keys():
        row = {"condition": condition, "sequence_set": "all", "alpha": 0.1, "nominal": 0.9}
        found = {**DONE, "present_from": 0.2, "absent_to": 0.4, "abstained": 0.3, "accuracy": 0.9}
        for side in ("positive", "negative"):
            found |= {f"n_calibration_{side}": 60, f"n_{side}": 50, **scores(f"coverage_{side}", 0.88)}
        lake.add("probes.conformal", **row, **(found if condition == "canal" else FEW))
    lake.add(
        "probes.scope",
        route="study",
        studies="test",
        level=0.05,
        n_studies=80,
        **DONE,
        **scores("share", 0.06),
    )
    lake.add("probes.scope", route="study", studies="outside", level=0.05, n_studies=0, **FEW)
    for patient in sorted({patient for patient, _, split, *_ in STUDIES if split == "train"}):
        for part in ("conformal", "scope"):
            lake.add("probes.guard_patients", patient_key=key(patient), part=part, n_studies=1)
    for number, (patient, batch, *_) in enumerate(STUDIES):
        sure = number != 1
        lake.add(
            "probes.probabilities", batch_key=batch, patient_key=key(patient), study_key=key("study", number),
            condition="canal", sequence_set="all", probability=0.9, decision="present" if sure else "abstain",
            reason=None if sure else "neither can be ruled out", out_of_scope=0.5 if number else 0.01,
            in_scope=number > 0, heads_version="h1", guards_version="g1", model_versions=["m-t1", "m-t2"],
        )  # fmt: skip


def _a_test_patient_calibrates(lake: Lake) -> None:
    patient = lake.first("shards.patients", split="test")["patient_key"]
    lake.change("probes.guard_patients", patient_key=patient)


STRATA_CASES: list[tuple[str, Callable[[Lake], None]]] = [
    ("probes__interval_contains_value", lambda lake: lake.change("probes.subgroups", ece_low=0.9, ece=0.5)),
    ("probes__interval_contains_value", lambda lake: lake.change("probes.subgroups", gap=0.5, gap_high=0.1)),
    ("probes__only_train_patients_calibrate", _a_test_patient_calibrates),
    (
        "probes__only_train_patients_calibrate",
        lambda lake: lake.change("probes.guard_patients", patient_key="0" * 32),
    ),
    ("probes__null_holds_one_half", lambda lake: lake.change("probes.null", auroc_low=0.55)),
    ("probes__null_holds_one_half", lambda lake: lake.change("probes.null", auroc_high=None)),
    (
        "probes__coverage_is_as_promised",
        lambda lake: lake.change("probes.conformal", where={"condition": "canal"}, coverage_negative=0.6),
    ),
    ("probes__abstentions_have_reason", lambda lake: lake.change("probes.probabilities", decision="abstain")),
    (
        "probes__abstentions_have_reason",
        lambda lake: lake.change("probes.probabilities", probability=float("nan")),
    ),
    (
        "probes__abstentions_have_reason",
        lambda lake: lake.change("probes.probabilities", out_of_scope=None, in_scope=False),
    ),
    (
        "probes__strata_say_why",
        lambda lake: lake.change("probes.vendors", where={"category": "lesion"}, reason=""),
    ),
    ("probes__strata_say_why", lambda lake: lake.change("probes.cohorts", auroc=None)),
    ("probes__strata_say_why", lambda lake: lake.change("probes.subgroups", status="unknown")),
    ("probes__strata_say_why", lambda lake: lake.change("probes.scope", share=float("nan"))),
    ("probes__strata_say_why", lambda lake: lake.change("probes.contrasts", where=FEW, difference=0.1)),
    (
        "agents__not_assessed_has_reason",
        lambda lake: lake.change("agents.claims", where={"status": "present"}, reason="why not"),
    ),
]
