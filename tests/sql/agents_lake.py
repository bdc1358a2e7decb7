"""The registry, results, gradings and scorecard of the valid lake, and what breaks each of their rules.

Belongs here: rows and mutations. Does not belong here: claims (`findings_lake`), asking rules (`test_checks`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spine_models.domain import condition_keys
from tests.sql.tiny_lake import Lake, key

KINDS = ("diagnosis", "localization")
RETRIEVAL = ("retrieval/image_to_report", "retrieval/text_to_image")
WHY = "none of it was trained"


def place_of(lake: Lake, study: str) -> dict[str, Any]:
    """The place of the study's canal stenosis: its first box on its slice."""
    box = lake.first("localization.findings", study_key=study)
    image = lake.first("shards.slices", slice_key=box["slice_key"])
    names = (
        "level",
        "level_uncertain",
        "supervision",
        "series_key",
        "slice_key",
        "x",
        "y",
        "w",
        "h",
        "centre_mm",
    )
    rest = {"side": None, "severity": "severe", "confidence": 0.8}
    return {n: box.get(n) for n in names} | rest | {n: image[n] for n in ("instance_key", "frame")}


def add_agents(lake: Lake) -> None:
    """All 37 registered, and 36 results for every study with claims; only canal is graded."""
    for kind in KINDS:
        for condition in condition_keys():
            _register(lake, f"{kind}/{condition}", kind, condition)
    for agent in (*RETRIEVAL, "report"):
        _register(lake, agent, agent.split("/")[0], None)
    for condition in condition_keys():
        used = condition == "canal"
        proof = {
            "grades": ["mild", "severe"],
            "balanced_accuracy": 0.7,
            "low": 0.6,
            "high": 0.8,
            "chance": 0.5,
        }
        lake.add(
            "agents.gradings", condition=condition, status="used" if used else "not_used",
            reason=None if used else "no report grades it", grading_version="g1", **(proof if used else {}),
        )  # fmt: skip
        for sequence_set in ("all", "t1"):
            row = {"condition": condition, "sequence_set": sequence_set, "heads_version": "h1"}
            chosen = {"threshold": 0.6, "n_studies": 3, "n_patients": 2, "n_positive": 3, "chosen_on": "cv"}
            chosen |= {
                "prevalence": 1.0,
                "flagged_share": 1.0,
                "precision": 1.0,
                "recall": 1.0,
                "status": "chosen",
            }
            none = {"status": "none", "reason": "no head"}
            lake.add("probes.operating_points", **row, **(chosen if used and sequence_set == "all" else none))
    claims: dict[str, list[dict[str, Any]]] = {}
    for claim in lake.rows["agents.claims"]:
        claims.setdefault(claim["study_key"], []).append(claim)
    for own in claims.values():
        for claim in own:
            _diagnosed(lake, claim)
            _localized(lake, claim)
        _retrieved(lake, own[0])
    for row in lake.rows["agents.registry"]:
        _score(lake, row)


def _register(lake: Lake, agent: str, kind: str, condition: str | None) -> None:
    good = condition == "canal" or agent in RETRIEVAL
    figure = {"value": 0.8, "low": 0.7, "high": 0.9, "n_patients": 9, "evaluation": "test"}
    if kind == "diagnosis":
        figure |= {"ece": 0.05}
    graded = {"grades_severity": good, "severity_reason": None if good else "no report grades it"}
    metric = {
        "diagnosis": "auroc",
        "localization": "slice_auroc",
        "retrieval": "recall_5",
        "report": "claim_f1",
    }
    lake.add(
        "agents.registry", agent=agent, kind=kind, condition=condition, version="a1", metric=metric[kind],
        trained=good or kind == "report", reason=None if good or kind == "report" else WHY,
        **(figure if good else {"unmeasured": "not evaluated yet"}), **(graded if kind == "diagnosis" else {}),
    )  # fmt: skip


def _row(claim: dict[str, Any], agent: str, kind: str, condition: str | None, **more: Any) -> dict[str, Any]:
    ids = {name: claim[name] for name in ("batch_key", "patient_key", "study_key")}
    empty = {"boxes": [], "neighbours": [], "model_versions": [], "source_series": [], "source_instances": []}
    return ids | empty | {
        "result_key": key("result", claim["study_key"], agent), "agent": agent, "kind": kind, "condition": condition,
        "agent_version": "a1", "asked": True, "status": "not_assessed", "reason": WHY,
    } | more  # fmt: skip


def _sources(claim: dict[str, Any]) -> dict[str, Any]:
    return {name: claim[name] for name in ("model_versions", "source_series", "source_instances")}


def _diagnosed(lake: Lake, claim: dict[str, Any]) -> None:
    said = {}
    if claim["status"] == "present":
        said = {
            "status": "answered",
            "reason": None,
            "decision": "present",
            "probability": claim["probability"],
        }
        said |= _sources(claim)
    lake.add("agents.results", **_row(claim, claim["agent"], "diagnosis", claim["condition"], **said))


def _localized(lake: Lake, claim: dict[str, Any]) -> None:
    places = claim["places"]
    said: dict[str, Any] = {"asked": claim["affirmed"]}
    if places:
        said |= {"status": "answered", "reason": None, "boxes": places, "level": places[0]["level"]}
        said |= _sources(claim)
    agent = f"localization/{claim['condition']}"
    lake.add("agents.results", **_row(claim, agent, "localization", claim["condition"], **said))


def _retrieved(lake: Lake, claim: dict[str, Any]) -> None:
    found = lake.first("retrieval.neighbours", study_key=claim["study_key"])
    slice_of = lake.first("shards.slices", study_key=claim["study_key"])
    nothing = {"series_key": None, "slice_key": None, "condition": None}
    report = {"kind": "report", "study_key": found["neighbour_study_key"], "score": 0.9, "rank": 1} | nothing
    own = report | {
        "kind": "slice", "study_key": claim["study_key"], "condition": "canal",
        "series_key": slice_of["series_key"], "slice_key": slice_of["slice_key"],
    }  # fmt: skip
    for agent, neighbour in zip(RETRIEVAL, (report, own), strict=True):
        said = {
            "status": "answered",
            "reason": None,
            "neighbours": [neighbour],
            "confidence": 0.9,
            **_sources(claim),
        }
        lake.add("agents.results", **_row(claim, agent, "retrieval", None, **said))


def forget_neighbours(lake: Lake, held: set[object]) -> None:
    """Whoever named a study that is not held has nothing to name."""
    for row in lake.rows["agents.results"]:
        if any(neighbour["study_key"] not in held for neighbour in row["neighbours"]):
            row |= {"status": "not_assessed", "reason": "no report is in the pool", "neighbours": []}


def _score(lake: Lake, row: dict[str, Any]) -> None:
    own = [result for result in lake.rows["agents.results"] if result["agent"] == row["agent"]]
    asked, answered = (
        sum(map(test, own)) for test in (lambda r: r["asked"], lambda r: r["status"] == "answered")
    )
    counts = {"n_studies": len(own), "n_asked": asked, "n_answered": answered, "n_decided": answered}
    shares = {"answered": answered / asked if asked else None, "decided": 1.0 if answered else None}
    shown = {n: v for n, v in row.items() if n not in ("inputs", "grades_severity", "severity_reason")}
    lake.add("agents.scorecard", **shown, **(counts | shares if row["kind"] != "report" else {}))


def _place(**more: Any) -> Callable[[Lake], None]:
    def mutate(lake: Lake) -> None:
        claim = lake.first("agents.claims", status="present", condition="canal")
        claim["places"] = [claim["places"][0] | more]
        claim |= {name: more[name] for name in ("level", "side") if name in more}

    return mutate


def _named(agent: str, **more: Any) -> Callable[[Lake], None]:
    def mutate(lake: Lake) -> None:
        row = lake.first("agents.results", agent=agent)
        row["neighbours"] = [row["neighbours"][0] | more]

    return mutate


def _answer(where: dict[str, Any], **values: Any) -> Callable[[Lake], None]:
    return lambda lake: lake.change("agents.results", where=where, **values)


def _point(**values: Any) -> Callable[[Lake], None]:
    return lambda lake: lake.change("probes.operating_points", where={"status": "chosen"}, **values)


DECIDED = {"agent": "diagnosis/canal"}
BOXED = {"agent": "localization/canal"}
UNTRAINED = {"agent": "diagnosis/pars"}
SILENT = {"status": "not_assessed"}
NO_WORD = {"severity_reason": None, "grades_severity": None}
AGENT_CASES: list[tuple[str, Callable[[Lake], None]]] = [
    ("probes__operating_points_are_of_train_patients", _point(n_studies=4, n_positive=4)),
    ("probes__operating_points_are_of_train_patients", _point(chosen_on="test")),
    ("probes__operating_points_are_of_train_patients", _point(threshold=float("nan"))),
    ("probes__operating_points_are_of_train_patients", _point(prevalence=0.5)),
    (
        "probes__operating_points_are_of_train_patients",
        lambda lake: lake.change("probes.operating_points", where={"status": "none"}, reason=None),
    ),
    ("agents__certainty_follows_status", lambda lake: lake.change("agents.claims", certainty=None)),
    ("agents__certainty_follows_status", lambda lake: lake.change("agents.claims", certainty="possible")),
    ("agents__certainty_follows_status", lambda lake: lake.change("agents.claims", level="L1-L2")),
    (
        "agents__certainty_follows_status",
        lambda lake: lake.change("agents.claims", where=SILENT, affirmed=True, certainty="possible"),
    ),
    (
        "agents__certainty_follows_status",
        lambda lake: lake.change("agents.claims", where=SILENT, side="left"),
    ),
    ("agents__places_lie_on_their_slices", _place(instance_key="0" * 32)),
    ("agents__places_lie_on_their_slices", _place(frame=3)),
    ("agents__places_lie_on_their_slices", _place(w=float("nan"))),
    ("agents__places_lie_on_their_slices", _place(h=90.0)),
    ("agents__places_lie_on_their_slices", _place(level=None)),
    (
        "agents__severity_is_proved",
        lambda lake: lake.change("agents.gradings", where={"status": "used"}, low=0.5),
    ),
    (
        "agents__severity_is_proved",
        lambda lake: lake.change("agents.gradings", where={"status": "not_used"}, reason=None),
    ),
    (
        "agents__severity_is_proved",
        lambda lake: lake.change("agents.claims", where={"condition": "fracture"}, severity="mild"),
    ),
    ("agents__severity_is_proved", lambda lake: lake.change("agents.claims", severity="moderate")),
    ("agents__results_say_why", _answer(UNTRAINED, reason=None)),
    ("agents__results_say_why", _answer(DECIDED, probability=None)),
    ("agents__results_say_why", _answer(BOXED, source_instances=[])),
    ("agents__results_say_why", _answer({"agent": RETRIEVAL[0]}, neighbours=[])),
    ("agents__results_agree_with_claims", _answer(DECIDED, decision="abstain")),
    ("agents__result_sources_exist", _answer(BOXED, source_instances=["0" * 32])),
    ("agents__neighbours_may_be_named", _named(RETRIEVAL[0], study_key=key("study", 1))),
    ("agents__neighbours_may_be_named", _named(RETRIEVAL[0], study_key="0" * 32)),
    ("agents__neighbours_may_be_named", _named(RETRIEVAL[1], study_key=key("study", 3))),
    ("agents__neighbours_may_be_named", _named(RETRIEVAL[1], condition=None)),
    ("agents__one_version_per_agent", _answer(DECIDED, agent_version="a0")),
    ("agents__one_version_per_agent", lambda lake: lake.change("agents.claims", agent_version="a0")),
    ("agents__registry_says_why", lambda lake: lake.change("agents.registry", where=UNTRAINED, reason=None)),
    ("agents__registry_says_why", lambda lake: lake.change("agents.registry", value=0.95)),
    (
        "agents__registry_says_why",
        lambda lake: lake.change("agents.registry", where=UNTRAINED, unmeasured=None),
    ),
    (
        "agents__registry_says_why",
        lambda lake: lake.change("agents.registry", **NO_WORD),
    ),
    ("agents__registry_says_why", lambda lake: lake.drop("agents.registry", agent="report")),
    ("agents__scorecard_adds_up", lambda lake: lake.change("agents.scorecard", n_answered=1, answered=0.2)),
    ("agents__scorecard_adds_up", lambda lake: lake.change("agents.scorecard", decided=0.5)),
]

AGENTS_TOGETHER: list[tuple[set[str], Callable[[Lake], None]]] = [
    (
        {"agents__thirty_six_results_per_study", "agents__scorecard_adds_up"},
        lambda lake: lake.drop("agents.results", agent="localization/pars"),
    ),
    (
        {"agents__thirty_six_results_per_study", "agents__scorecard_adds_up"},
        lambda lake: lake.repeat("agents.results", agent="diagnosis/pars"),
    ),
    # A box that is not among the claim's places is no place of it, and without it nothing was answered.
    ({"agents__results_agree_with_claims", "agents__results_say_why"}, _answer(BOXED, boxes=[])),
]
