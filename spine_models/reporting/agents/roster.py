"""The registry of the 37 agents: what each is called, reads and rests on, whether it is trained, and how good it is.

17 diagnosis agents and 17 localization agents, one a condition; two retrieval agents; the report agent.

Belongs here: names, versions, inputs, measured skill. Does not belong here: running one (``diagnosis``, ``results``),
how much of the lake they answer (``scorecard``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from spine_models.domain import condition_keys
from spine_models.reporting.agents.examination import READ_ROUTES
from spine_models.reporting.agents.published import Grading, Guards, Heads, LevelJudge, Localizer, Published
from spine_models.reporting.agents.tables import REGISTRY
from spine_models.reporting.agents.versions import NO_HEAD

RULES_VERSION: Final = "3"
"""Version of the rules that turn models' answers into claims and results; part of every agent's version."""

DIAGNOSIS, LOCALIZATION, RETRIEVAL, REPORT = "diagnosis", "localization", "retrieval", "report"
IMAGE_TO_REPORT: Final = f"{RETRIEVAL}/image_to_report"
TEXT_TO_IMAGE: Final = f"{RETRIEVAL}/text_to_image"

UNTRAINED_HEADS: Final = "no diagnosis head has been trained"
UNTRAINED_LOCALIZER: Final = "no localization has been trained"
UNTRAINED_SPACE: Final = "no alignment of images and reports has been trained"
WEAK: Final = "boxes are found with the diagnosis head alone (weak)"
SCORED_LATER: Final = "measured by the scores of the reports"


@dataclass(frozen=True)
class Measured:
    """Tables that hold the agents' own figures; an empty one leaves its agents without a value.

    Attributes:
        metrics: probes.METRICS.
        localization: localization.SCORES.
        retrieval: retrieval.SCORES.
        gradings: agents.GRADINGS.
        levels: localization.SKILL of the heads of levels, or None.
    """

    metrics: pl.DataFrame
    localization: pl.DataFrame
    retrieval: pl.DataFrame
    gradings: pl.DataFrame
    levels: pl.DataFrame | None = None


def agent_name(condition: str, kind: str = DIAGNOSIS) -> str:
    """Name of a condition's agent of this kind."""
    return f"{kind}/{condition}"


def agent_names() -> tuple[str, ...]:
    """The 37 names in the order of the registry."""
    per_condition = [agent_name(c, kind) for kind in (DIAGNOSIS, LOCALIZATION) for c in condition_keys()]
    return (*per_condition, IMAGE_TO_REPORT, TEXT_TO_IMAGE, REPORT)


def diagnosis_version(
    heads: Heads | None,
    condition: str,
    guards: Guards | None = None,
    grading: Grading | None = None,
    levels: LevelJudge | None = None,
) -> str:
    """Rules, heads (``no-head`` where it has none) and their guards; grading and heads of levels that it rests on."""
    if heads is None or condition not in heads.conditions:
        return f"{RULES_VERSION}+{NO_HEAD}"
    graded = grading is not None and condition in grading.grades
    parts = [RULES_VERSION, heads.version, *([] if guards is None else [guards.version])]
    if grading is not None and graded:
        parts.append(grading.version)
    if levels is not None and condition in levels.heads:
        parts.append(levels.version)
    return "+".join(parts)


def localization_version(published: Published) -> str:
    """Rules, localization, heads and, where there are any, heads of levels.

    Weak boxes are found with the heads of whole studies, and these say which studies are searched.
    """
    parts = [part.version if part is not None else NO_HEAD for part in (published.localizer, published.heads)]
    return "+".join(
        [RULES_VERSION, *parts, *([] if published.levels is None else [published.levels.version])]
    )


def retrieval_version(published: Published) -> str:
    """Rules and space; which patients' reports are in the pool changes with every batch and is no version."""
    if published.space is None:
        return f"{RULES_VERSION}+{NO_HEAD}"
    others = [] if published.space.synthesizer is None else [published.space.synthesizer]
    return "+".join([RULES_VERSION, published.space.clip, *others])


def registry(published: Published, measured: Measured) -> pl.DataFrame:
    """The 37 agents as ``REGISTRY`` rows in the order of ``agent_names``."""
    rows = [
        *_diagnosis(published, measured),
        *_localization(published, measured),
        *_retrieval(published, measured),
        {
            "agent": REPORT,
            "kind": REPORT,
            "inputs": ["agents/claims", "sequences/series", "llava/written"],
            # Templates need no training; each draft says which version wrote it.
            "version": RULES_VERSION,
            "trained": True,
            "metric": "claim_f1",
            "unmeasured": SCORED_LATER,
        },
    ]
    return pl.DataFrame([{name: row.get(name) for name in REGISTRY} for row in rows], schema=REGISTRY)


Row = dict[str, Any]


def _diagnosis(published: Published, measured: Measured) -> Iterator[Row]:
    """AUROC of ``spinefm``'s linear heads on all sequences: of test patients, else out of fold."""
    heads = published.heads
    own = measured.metrics.filter(encoder="spinefm", head="linear", sequence_set="all")
    found = {(row["condition"], row["evaluation"]): row for row in own.iter_rows(named=True)}
    reasons = dict(measured.gradings.select("condition", "reason").iter_rows())
    for condition in condition_keys():
        told = [found.get((condition, evaluation)) for evaluation in ("test", "cv")]
        graded = published.grading is not None and condition in published.grading.grades
        trained = heads is not None and condition in heads.conditions
        yield {
            "agent": agent_name(condition),
            "kind": DIAGNOSIS,
            "condition": condition,
            "version": diagnosis_version(
                heads, condition, published.guards, published.grading, published.levels
            ),
            "inputs": [f"embeddings/studies/{route}" for route in READ_ROUTES],
            "trained": trained,
            "reason": None if trained else _no_head(heads, condition),
            **_value([row for row in told if row is not None], "auroc", ece=True),
            "grades_severity": graded,
            "severity_reason": None
            if graded
            else reasons.get(condition) or "no severity grading has been fitted",
        }


def _no_head(heads: Heads | None, condition: str) -> str:
    if heads is None or not heads.conditions:
        return UNTRAINED_HEADS
    card: Mapping[str, Any] = getattr(heads, "card", {})
    told = [
        row["reason"]
        for row in card.get("missing", [])
        if row["condition"] == condition and row["sequence_set"] == "all"
    ]
    return told[0] if told else "no trained head: too few positive or negative studies"


def _localization(published: Published, measured: Measured) -> Iterator[Row]:
    """AUROC of the levels that reports name; without heads of levels that of annotated slices in their series."""
    localizer, heads = published.localizer, published.heads
    taught = set() if localizer is None else {condition for condition, _ in localizer.slice_heads}
    own = measured.localization.filter(method="model").with_columns(evaluation=pl.lit("test"))
    found = {(row["condition"], row["supervision"]): row for row in own.iter_rows(named=True)}
    judged = {} if measured.levels is None else {row["condition"]: row for row in measured.levels.to_dicts()}
    for condition in condition_keys():
        row = found.get((condition, "supervised" if condition in taught else "weak"))
        by_level = published.levels is not None and condition in published.levels.heads
        skill = _of_levels(judged.get(condition)) if by_level else None
        yield {
            "agent": agent_name(condition, LOCALIZATION),
            "kind": LOCALIZATION,
            "condition": condition,
            "version": localization_version(published),
            "inputs": [
                "shards/tars",
                *(f"embeddings/slices/{route}" for route in READ_ROUTES),
                agent_name(condition),
            ],
            "trained": condition in taught or by_level,
            "reason": None if condition in taught or by_level else _untaught(localizer, heads, condition),
            **(skill or _value([] if row is None else [row], "slice_auroc")),
        }


def _of_levels(row: Row | None) -> Row | None:
    """The figure of a condition's head of levels; None where it was not measured."""
    if row is None or row["auroc"] is None:
        return None
    return {
        "metric": "level_auroc",
        "evaluation": "test",
        "value": row["auroc"],
        "low": row["auroc_low"],
        "high": row["auroc_high"],
        "ece": row["ece"],
        "n_patients": row["test_patients"],
    }


def _untaught(localizer: Localizer | None, heads: Heads | None, condition: str) -> str:
    if localizer is None:
        return UNTRAINED_LOCALIZER
    told = [
        f"{row['route']}: {row['reason']}"
        for row in localizer.card.get("missing", [])
        if row["condition"] == condition
    ]
    weak = heads is not None and condition in heads.conditions
    return "; ".join([*told, *([WEAK] if weak else [])]) or "no route has heads for it"


def _retrieval(published: Published, measured: Measured) -> Iterator[Row]:
    """Recall at 5: of reports by the modality that asks, of slices by the conditions' sentences."""
    own = measured.retrieval.filter(~pl.col("encoder").str.ends_with("+linear")).with_columns(
        evaluation=pl.lit("test")
    )
    trained = published.space is not None
    for agent, task, inputs in (
        (IMAGE_TO_REPORT, "image_to_report", ["embeddings/aligned", "retrieval/index"]),
        (TEXT_TO_IMAGE, "condition_to_slice", ["embeddings/aligned_slices", "clip/aligned", "agents/claims"]),
    ):
        rows = own.filter(task=task, sequence_set="all").sort(
            # As the neighbours are asked for: by the whole study where there is an aligned synthesizer.
            pl.col("query").replace_strict({"study": 0, "sentence": 0}, default=1, return_dtype=pl.Int8),
            "query",
            maintain_order=True,
        )
        yield {
            "agent": agent,
            "kind": RETRIEVAL,
            "version": retrieval_version(published),
            "inputs": inputs,
            "trained": trained,
            "reason": None if trained else UNTRAINED_SPACE,
            **_value(rows.to_dicts(), "recall_5"),
        }


def _value(rows: list[Row], metric: str, *, ece: bool = False) -> Row:
    """The first of the rows that was evaluated; else the reason why the first was not."""
    row = next((row for row in rows if row["status"] == "evaluated" and row[metric] is not None), None)
    if row is None:
        told = [row["reason"] for row in rows if row["reason"]]
        return {"metric": metric, "unmeasured": told[0] if told else "not evaluated yet"}
    return {
        "metric": metric,
        "evaluation": row["evaluation"],
        "value": row[metric],
        "low": row[f"{metric}_low"],
        "high": row[f"{metric}_high"],
        "ece": row["ece"] if ece else None,
        "n_patients": row["n_patients"],
    }
