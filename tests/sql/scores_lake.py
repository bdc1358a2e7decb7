"""Scores of the valid lake's one test study, and lakes that break one rule of them each."""

from __future__ import annotations

from tests.sql.tiny_lake import FIRST, Lake, key

METHODS = ("agents", "agents_llm", "image_only", "retrieved")
_TOLD = {"n_told": 2, "told": 5.0}


def add_scores(lake: Lake) -> None:
    """Agents find one of two findings and invent one, the retrieved report neither; the model wrote nothing."""
    ids = {"batch_key": FIRST, "patient_key": key("ben"), "study_key": key("study", 1)}
    alike = {"edit_distance": 0.6, "rouge_l": 0.4, "bleu": 0.1}
    found = {
        "agents": {
            "status": "scored", "n_said": 2, "credit": 3.0, "said": 5.0, "precision": 0.6, "recall": 0.6, "f1": 0.6,
            "false_positives": 1, "omissions": 1, "wrong_level": 0, "wrong_side": 0, "wrong_severity": 0,
        },
        "retrieved": {
            "status": "scored", "n_said": 1, "credit": 0.0, "said": 5.0, "precision": 0.0, "recall": 0.0, "f1": 0.0,
            "false_positives": 1, "omissions": 2, "wrong_level": 0, "wrong_side": 0, "wrong_severity": 0,
        },
    }  # fmt: skip
    missing = {"status": "missing", "reason": "the language model wrote no report"}
    for method in METHODS:
        own = found.get(method)
        row = missing if own is None else own | _TOLD | alike | {"source_key": "d", "excluded": []}
        lake.add("scores.studies", **ids, method=method, **row)
        _methods(lake, method, own)
        lake.add(
            "scores.judgements", method=method, status="not_evaluable", n_studies=0, n_patients=0, n_unanswered=0,
            reason="no language model is configured (scores.llm)",
        )  # fmt: skip
    _comparisons(lake)
    _conditions(lake)
    for kind, f1 in (("drop", 0.7), ("add", 0.8)):
        lake.add(
            "scores.perturbations", kind=kind, expected="f1 falls", status="evaluated", n_studies=1, n_tried=2,
            n_right=2, f1_after=f1, precision_change=0.0, recall_change=-0.3, false_positives_change=0.0,
            omissions_change=1.0,
        )  # fmt: skip
    lake.add(
        "scores.perturbations", kind="flip_side", expected="f1 falls", status="not_evaluable", n_studies=0, n_tried=0,
        n_right=0, reason="no reference has what it spoils",
    )  # fmt: skip
    _judged(lake, ids)
    _readers(lake, ids["study_key"])


def _methods(lake: Lake, method: str, own: dict[str, object] | None) -> None:
    for strictness in ("graded", "condition", "level", "side", "severity", "certainty"):
        row: dict[str, object] = {"method": method, "strictness": strictness, "weights_version": "w1"}
        row |= {
            "n_studies": int(own is not None),
            "n_patients": int(own is not None),
            "n_missing": int(own is None),
        }
        row |= {"n_unreadable": 0, "n_no_reference": 0, "n_excluded": 0}
        if own is None:
            lake.add(
                "scores.methods", **row, status="not_evaluable", reason="the language model wrote no report"
            )
            continue
        values = {name: own[name] for name in ("precision", "recall", "f1", "false_positives", "omissions")}
        ends = {f"{name}_{end}": value for name, value in values.items() for end in ("low", "high")}
        lake.add(
            "scores.methods", **row, status="evaluated", n_told=2, n_said=own["n_said"], **values, **ends
        )


def _comparisons(lake: Lake) -> None:
    same = {"method": "agents", "n_studies": 1, "n_patients": 1}
    beside = {
        "against": "retrieved",
        "measure": "f1",
        "status": "evaluated",
        "value": 0.6,
        "against_value": 0.0,
    }
    lake.add("scores.comparisons", **same, **beside, difference=0.6, ratio_reason="the other's value is zero")
    lake.add(
        "scores.comparisons", **same, **beside | {"measure": "false_positives", "value": 1.0, "against_value": 1.0},
        difference=0.0, difference_low=0.0, difference_high=0.0, ratio=1.0, ratio_low=1.0, ratio_high=1.0,
    )  # fmt: skip
    lake.add(
        "scores.comparisons", **same | {"n_studies": 0, "n_patients": 0}, against="image_only", measure="f1",
        status="not_evaluable", reason="no study has a text of both methods",
    )  # fmt: skip


def _conditions(lake: Lake) -> None:
    for method, score in (("agents", "probability"), ("agents", "text")):
        same = {"method": method, "score": score, "n_studies": 4, "n_patients": 4}
        found = {"status": "evaluated", "auroc": 0.75, "auroc_low": 0.5, "auroc_high": 1.0}
        lake.add("scores.conditions", **same, **found, condition="canal", n_positive=2)
        lake.add("scores.conditions", **same, **found, condition="all", n_conditions=1)
        lake.add(
            "scores.conditions", **same, condition="cyst", n_positive=0, status="not_evaluable",
            reason="the studies are all of one class",
        )  # fmt: skip


def _judged(lake: Lake, ids: dict[str, str]) -> None:
    same = ids | {"method": "agents", "model": "tiny", "prompt_version": "judge-1", "outcome": "answered"}
    said = {
        "side_of": "draft",
        "condition": "canal",
        "certainty": "definite",
        "finding": "Spinal canal stenosis",
    }
    lake.add("scores.judged", **same, **said, position=1, verdict="supported", error="none")
    told = said | {"side_of": "reference", "condition": "fracture", "finding": "Vertebral fracture"}
    lake.add("scores.judged", **same, **told, position=1, verdict="omitted", error="significant")
    lake.add("scores.judged", **same | {"method": "retrieved", "outcome": "refused"})


def _readers(lake: Lake, study: str) -> None:
    for reader, score in (("r1", "1"), ("r2", "2b")):
        lake.add(
            "scores.readers", reader=reader, study_key=study, draft_key="d", status="read", score=score,
            discrepancy=int(score[0]), significant=None if score == "1" else True, corrected=False, n_words=90,
        )  # fmt: skip
    lake.add(
        "scores.readers", reader="r1", study_key=study, draft_key="gone", status="unknown_draft", score="1"
    )
    told = {"measure": "readings", "reader": "all", "status": "evaluated"}
    for status, n in (("read", 2), ("unknown_draft", 1), ("other_study", 0)):
        lake.add("scores.radpeer", **told, score=status, n=n, value=float(n))
    share = {"measure": "share", "reader": "all", "status": "evaluated", "n": 2}
    for score, value in (("1", 0.5), ("2b", 0.5), ("4b", 0.0)):
        lake.add("scores.radpeer", **share, score=score, value=value, low=0.0, high=0.9)
    lake.add("scores.radpeer", measure="kappa", reader="r1", other="r2", status="evaluated", n=1, value=0.0)
    lake.add(
        "scores.radpeer", measure="edit_distance", reader="all", status="not_evaluable", n=0,
        reason="no corrected text with this score",
    )  # fmt: skip


def _change(table: str, where: dict[str, object], **values: object):
    return lambda lake: lake.change(f"scores.{table}", where=where, **values)


def _a_study_of_nobody(lake: Lake) -> None:
    lake.change("scores.judged", where={"method": "agents"}, patient_key=key("ann"))


SCORES_CASES = [
    ("scores__only_test_patients", _a_study_of_nobody),
    (
        "scores__every_study_under_every_method",
        _change("studies", {"method": "agents"}, reason="why"),
    ),
    ("scores__every_study_under_every_method", _change("studies", {"method": "image_only"}, reason=None)),
    ("scores__f1_follows_from_its_sums", _change("studies", {"method": "agents"}, f1=0.7)),
    ("scores__f1_follows_from_its_sums", _change("studies", {"method": "agents"}, credit=9.0, f1=1.8)),
    ("scores__f1_follows_from_its_sums", _change("studies", {"method": "agents"}, omissions=0)),
    ("scores__methods_count_their_studies", _change("methods", {"method": "agents"}, n_studies=2)),
    ("scores__methods_count_their_studies", _change("methods", {"method": "image_only"}, n_missing=0)),
    ("scores__methods_count_their_studies", _change("methods", {"method": "agents"}, f1=1.2)),
    ("scores__methods_count_their_studies", _change("methods", {"method": "image_only"}, reason="")),
    ("scores__comparisons_agree", _change("comparisons", {"measure": "f1"}, difference=0.5)),
    ("scores__comparisons_agree", _change("comparisons", {"measure": "f1"}, ratio_reason=None)),
    ("scores__comparisons_agree", _change("comparisons", {"measure": "false_positives"}, ratio=2.0)),
    ("scores__comparisons_agree", _change("comparisons", {"status": "not_evaluable"}, reason=None)),
    ("scores__perturbations_lower_the_score", _change("perturbations", {"kind": "drop"}, n_right=1)),
    ("scores__perturbations_lower_the_score", _change("perturbations", {"kind": "add"}, f1_after=1.0)),
    ("scores__perturbations_lower_the_score", _change("perturbations", {"kind": "flip_side"}, reason="")),
    ("scores__conditions_in_range", _change("conditions", {"condition": "canal"}, auroc=1.1)),
    ("scores__conditions_in_range", _change("conditions", {"condition": "canal"}, n_positive=4)),
    ("scores__conditions_in_range", _change("conditions", {"condition": "cyst"}, reason=None)),
    ("scores__readings_are_counted", _change("radpeer", {"score": "read"}, n=3)),
    ("scores__readings_are_counted", _change("radpeer", {"measure": "share"}, value=0.7)),
    ("scores__verdicts_are_bound", _change("judged", {"side_of": "draft"}, verdict="omitted")),
    ("scores__verdicts_are_bound", _change("judged", {"side_of": "draft"}, error="minor")),
    ("scores__verdicts_are_bound", _change("judged", {"outcome": "refused"}, verdict="supported")),
]
