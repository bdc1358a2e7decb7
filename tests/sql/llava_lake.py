"""The report model of the valid lake, and lakes that break one of its rules each."""

from __future__ import annotations

import math
from collections.abc import Callable

from tests.sql.tiny_lake import FIRST, Lake, key

TRAININGS = ("decoder", "warmed", "tuned")


def add_llava(lake: Lake) -> None:
    """Three trainings on two patients, a model that says one of two claims, and texts of the studies."""
    for thing in TRAININGS:
        for step in range(1, 4):
            lake.add(
                f"llava.{thing}_curves", step=step, epoch=0, loss=4.0 - step, tokens=10, lr=0.1, grad_norm=1.0
            )
        for patient, role in (("ann", "train"), ("dot", "train"), ("cem", "held_out")):
            lake.add(
                f"llava.{thing}_patients", training=thing, route="all", patient_key=key(patient), role=role, n=1
            )  # fmt: skip
    for condition, claims, said, added in ((None, 2, 1, 1), ("canal", 2, 1, 0), ("fracture", 0, 0, 1)):
        lake.add(
            "llava.fitness", condition=condition, n_studies=1, n_claims=claims, n_said=said, n_added=added
        )  # fmt: skip
    for study in lake.rows["deid.studies"]:
        ids = {name: study[name] for name in ("batch_key", "patient_key", "study_key")}
        written = {"conditioning": "agents", "n_tokens": 0, "stopped": False, "model_version": "l1"}
        lake.add("llava.written", **ids, **written, text="", reason="the report model is not fit for drafts")
        if study["patient_key"] != key("ben"):
            continue
        for conditioning in ("image_only", "agents"):
            lake.add(
                "llava.answers", **ids, split="test", conditioning=conditioning, text="FINDINGS: No fracture.",
                n_tokens=5, stopped=True, model_version="l1",
            )  # fmt: skip
    _benchmark(lake)


def _benchmark(lake: Lake) -> None:
    """The one choice of the benchmark: right with the agents, wrong on the images alone."""
    item = lake.first("instructions.benchmark", kind="choice")
    ids = {name: item[name] for name in ("item_key", "batch_key", "patient_key", "study_key", "dimension")}
    for answerer, right in (("report_model", True), ("report_model_image_only", False)):
        chosen = item["correct"] if right else 1 - item["correct"]
        lake.add(
            "llava.benchmark_answers", **ids, answerer=answerer, chosen=chosen, model_version="l1",
            nats=[1.0 + abs(n - chosen) for n in range(2)],
        )  # fmt: skip
        shared = {"answerer": answerer, "n": 1, "n_patients": 1, "answered": 1.0, "score": float(right)}
        for dimension in (item["dimension"], "all"):
            lake.add("llava.benchmark_scores", **shared, dimension=dimension, measure="accuracy", chance=0.5)
        lake.add("llava.benchmark_scores", **shared, dimension="report: all", measure="f1")


LLAVA_CASES: list[tuple[str, Callable]] = [
    ("llava__only_train_patients", lambda lake: lake.change("llava.tuned_patients", patient_key=key("ben"))),
    (
        "llava__only_train_patients",
        lambda lake: lake.change("llava.warmed_patients", patient_key=key("nobody")),
    ),
    (
        "llava__only_train_patients",
        lambda lake: lake.change("llava.decoder_patients", where={"role": "held_out"}, role="train"),
    ),
    ("llava__loss_finite", lambda lake: lake.change("llava.tuned_curves", loss=math.inf)),
    ("llava__loss_finite", lambda lake: lake.change("llava.decoder_curves", grad_norm=math.nan)),
    (
        "llava__fitness_adds_up",
        lambda lake: lake.change("llava.fitness", where={"condition": "canal"}, n_said=2),
    ),
    ("llava__fitness_adds_up", lambda lake: lake.change("llava.fitness", n_claims=3)),
    ("llava__text_or_reason", lambda lake: lake.drop("llava.written", batch_key=FIRST)),
    ("llava__text_or_reason", lambda lake: lake.repeat("llava.written")),
    ("llava__text_or_reason", lambda lake: lake.change("llava.written", reason=None)),
    ("llava__text_or_reason", lambda lake: lake.change("llava.written", text="FINDINGS: No fracture.")),
    ("llava__answers_are_held_out", lambda lake: lake.change("llava.answers", patient_key=key("ann"))),
    ("llava__answers_are_held_out", lambda lake: lake.change("llava.answers", split="train")),
    ("llava__answers_are_held_out", lambda lake: lake.repeat("llava.answers")),
    (
        "llava__benchmark_answers_are_choices",
        lambda lake: lake.change("llava.benchmark_answers", reason="tired"),
    ),
    (
        "llava__benchmark_answers_are_choices",
        lambda lake: lake.change("llava.benchmark_answers", nats=[2.0, 1.0]),
    ),
    ("llava__benchmark_scores_follow", lambda lake: lake.change("llava.benchmark_scores", score=0.5)),
    ("llava__benchmark_scores_follow", lambda lake: lake.change("llava.benchmark_scores", n=2)),
    ("llava__benchmark_scores_follow", lambda lake: lake.change("llava.benchmark_scores", chance=None)),
    (
        "llava__benchmark_scores_follow",
        lambda lake: lake.change("llava.benchmark_scores", where={"measure": "f1"}, low=1.5),
    ),
    ("llava__benchmark_scores_follow", lambda lake: lake.drop("llava.benchmark_scores", dimension="all")),
]
