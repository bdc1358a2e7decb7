"""Instruction items, benchmark, scores and contamination of the valid lake, and what breaks each of their rules.

Belongs here: rows and mutations. Does not belong here: asking rules (`test_checks`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.sql.tiny_lake import REPORT, STUDIES, Lake, key

QUOTE = "Severe canal stenosis at L4-L5."
TRAIN, TEST = 4, 1  # of STUDIES
RULES = ("no_common_patients", "no_common_texts")


def add_instructions(lake: Lake) -> None:
    """A short answer, a choice and a refused one of a train patient; a choice and a report of the test patient."""
    item = _item(TRAIN)
    lake.add("instructions.items", **item("a", kind="short", dimension="level", answer="L4-L5."))
    lake.add("instructions.items", **item("b", **_choice(1)))
    lake.add(
        "instructions.refused",
        **item("c", kind="short", dimension="side", answer="Left.")
        | {"verified": False, "rejected_reason": "place_not_in_labels"},
    )
    held = _item(TEST)
    lake.add("instructions.benchmark", **held("d", **_choice(0)), split="test")
    report = {"kind": "report", "dimension": "report", "condition": None, "status": None, "level": None}
    lake.add("instructions.benchmark", **held("e", answer=QUOTE, **report), split="test")
    for dimension, measure, chance in (("level", "accuracy", 0.5), ("report: all", "f1", None)):
        lake.add(
            "instructions.benchmark_scores", dimension=dimension, answerer="agents", measure=measure, n=1,
            n_patients=1, answered=1.0, score=0.5, low=0.25, high=0.75, chance=chance,
        )  # fmt: skip
    for rule in RULES:
        lake.add("instructions.contamination", rule=rule, meaning="shared", first=1, second=1, overlap=0)


def _item(number: int) -> Callable[..., dict[str, Any]]:
    patient, batch, *_ = STUDIES[number]
    start = REPORT.index(QUOTE)

    def make(name: str, **given: Any) -> dict[str, Any]:
        row = {
            "item_key": key("item", name), "batch_key": batch, "patient_key": key(patient),
            "study_key": key("study", number), "report_key": key("report", number), "region": "lumbar",
            "condition": "canal", "status": "present", "level": "L4-L5", "asks": ["level"],
            "question": f"At which level ({name})?", "evidence": QUOTE, "evidence_start": start,
            "evidence_end": start + len(QUOTE), "writer": "templates", "prompt_version": "t1",
            "labels_version": "rules@1", "draft": "At which level? L4-L5.", "template": "At which level?",
            "seed": 0, "verified": True, "rejected_reason": None,
        } | given  # fmt: skip
        return row | {"turns": [{"question": row["question"], "answer": row["answer"]}]}

    return make


def _choice(correct: int) -> dict[str, Any]:
    options = ["L3-L4", "L3-L4"]
    options[correct] = "L4-L5"
    return {
        "kind": "choice", "dimension": "level", "answer": "L4-L5", "options": options, "correct": correct,
    }  # fmt: skip


def _in(table: str, **values: Any) -> Callable[[Lake], None]:
    return lambda lake: lake.change(f"instructions.{table}", **values)


def _choices(**values: Any) -> Callable[[Lake], None]:
    return lambda lake: lake.change("instructions.items", where={"kind": "choice"}, **values)


INSTRUCTION_CASES: list[tuple[str, Callable[[Lake], None]]] = [
    ("instructions__only_train_patients", _in("items", patient_key=key("ben"))),
    ("instructions__only_train_patients", _in("items", patient_key="0" * 32)),
    ("instructions__benchmark_is_of_test_patients", _in("benchmark", patient_key=key("cem"))),
    ("instructions__benchmark_is_of_test_patients", _in("benchmark", split="val")),
    ("instructions__nothing_overlaps", _in("contamination", overlap=1)),
    ("instructions__nothing_overlaps", _in("contamination", overlap=None)),
    ("instructions__evidence_is_verbatim", _in("items", evidence="Severe canal stenosis at L3-L4.")),
    ("instructions__evidence_is_verbatim", _in("items", evidence_start=0)),
    ("instructions__evidence_is_verbatim", _in("items", report_key=key("report", 0))),
    ("instructions__evidence_is_verbatim", _in("benchmark", evidence=None)),
    ("instructions__labels_agree", _in("items", status="absent")),
    ("instructions__labels_agree", _in("items", condition="fracture")),
    (
        "instructions__labels_agree",
        lambda lake: lake.change("instructions.benchmark", where={"kind": "report"}, condition="canal"),
    ),
    ("instructions__options_are_sound", _choices(correct=0)),
    ("instructions__options_are_sound", _choices(correct=2)),
    ("instructions__options_are_sound", _choices(options=None)),
    ("instructions__options_are_sound", _choices(options=["L4-L5", "L4-L5"])),
    ("instructions__options_are_sound", _in("items", options=["L4-L5.", "L3-L4."])),
    ("instructions__every_item_is_verified", _in("items", verified=False)),
    ("instructions__every_item_is_verified", _in("items", rejected_reason="labels_say_otherwise")),
    ("instructions__every_item_is_verified", _in("refused", rejected_reason=None)),
    ("instructions__every_item_is_verified", lambda lake: lake.repeat("instructions.items")),
    ("instructions__scores_in_range", _in("benchmark_scores", score=1.5)),
    ("instructions__scores_in_range", _in("benchmark_scores", low=0.6)),
    ("instructions__scores_in_range", _in("benchmark_scores", chance=None)),
]
