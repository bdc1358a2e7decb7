"""Certainty, places and severity of claims, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pytest

from spine_models.config import AgentSettings
from spine_models.findings.localization.tables import FINDINGS
from spine_models.findings.probes.tables import OPERATING_POINTS
from spine_models.reporting.agents import AgentsError, Reason
from spine_models.reporting.agents.status import Prediction, verdict

SETTINGS = AgentSettings()


def points(heads_version: str = "heads-a", sequence_set: str = "all", **thresholds: float) -> pl.DataFrame:
    rows = [
        {
            "condition": c,
            "sequence_set": sequence_set,
            "status": "chosen",
            "threshold": t,
            "heads_version": heads_version,
        }
        for c, t in thresholds.items()
    ]
    return pl.DataFrame([{n: row.get(n) for n in OPERATING_POINTS} for row in rows], schema=OPERATING_POINTS)


def finding(condition: str, rank: int, instance: str, **more: Any) -> dict[str, Any]:
    return {
        "batch_key": "internal-0001", "patient_key": "p-study", "study_key": "study", "condition": condition,
        "rank": rank, "series_key": instance.rsplit("-", 1)[0], "slice_key": f"{instance}-0000", "route": "t2",
        "plane": "sagittal", "supervision": "supervised", "x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0,
        "centre_mm": [1.0, 2.0, 3.0], "level": "L4-L5", "level_uncertain": False, "side": "left",
        "confidence_if_present": 0.9, "models_version": "loc", "heads_version": "heads-a",
    } | more  # fmt: skip


def findings(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{n: row.get(n) for n in FINDINGS} for row in rows], schema=FINDINGS)


@dataclass
class StubGrading:
    """Grades every study alike."""

    said: dict[str, str]
    version: str = "grading-a"
    seen: list[pl.DataFrame] = field(default_factory=list)

    @property
    def grades(self) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(self.said, ("mild", "severe"))

    def grade(self, study_vectors: pl.DataFrame) -> dict[tuple[str, str], str]:
        self.seen.append(study_vectors)
        return {(s, c): g for s in study_vectors["study_key"].unique() for c, g in self.said.items()}


@pytest.mark.parametrize(
    ("probability", "decision", "threshold", "expected"),
    [
        (0.95, None, None, ("present", "definite", None)),
        (0.9, None, None, ("present", "definite", None)),
        (0.6, None, None, ("present", "probable", None)),
        # Present stays affirmed below its point; what is affirmed by the point alone is possible.
        (0.6, None, 0.7, ("present", "probable", None)),
        (0.5, None, None, ("indeterminate", None, None)),
        (0.5, None, 0.51, ("indeterminate", None, None)),
        (0.5, None, 0.5, ("indeterminate", "possible", None)),
        (0.2, None, 0.3, ("absent", None, None)),
        (0.2, None, 0.2, ("indeterminate", "possible", Reason.OPERATING_POINT)),
        (0.2, "absent", 0.1, ("indeterminate", "possible", Reason.OPERATING_POINT)),
        (0.95, "abstain", 0.3, ("indeterminate", "possible", "too near")),
        (0.95, "abstain", None, ("indeterminate", None, "too near")),
    ],
)
def test_certainty_follows_probability_guard_and_point(probability, decision, threshold, expected):
    reason = "too near" if decision == "abstain" else None
    said = verdict(Prediction("all", probability, decision, reason), threshold, SETTINGS)
    assert (str(said.status), said.certainty and str(said.certainty), said.reason) == expected
    assert said.affirmed == (expected[1] is not None)


def test_a_study_is_judged_by_the_point_of_its_own_sequences(lumbar, heads):
    stub = heads({"canal": 0.3, "edema": 0.3, "pars": 0.3})
    other = points(sequence_set="t2", edema=0.2)
    table = lumbar.diagnose(stub, points=pl.concat([points(canal=0.25, pars=0.35), other]))
    told = {row["condition"]: row for row in table.iter_rows(named=True)}
    assert (told["canal"]["affirmed"], told["canal"]["certainty"]) == (True, "possible")
    assert told["canal"]["reason"] == Reason.OPERATING_POINT
    for absent in ("edema", "pars"):
        assert (told[absent]["status"], told[absent]["affirmed"], told[absent]["certainty"]) == (
            "absent",
            False,
            None,
        )
    assert (told["cyst"]["status"], told["cyst"]["affirmed"]) == ("not_assessed", False)


def test_an_affirmed_claim_has_the_places_of_its_findings(lumbar, heads):
    found = findings(
        finding("synovial", 2, "study-s2-i1", level="L3-L4"),
        finding("synovial", 1, "study-s1-i2"),
        # As the first one, once more: nothing new.
        finding("synovial", 3, "study-s1-i3"),
    )
    claim = lumbar.diagnose(heads({"synovial": 0.8}), findings=found, evidence_slices=1).filter(
        condition="synovial"
    )
    claim = claim.row(0, named=True)
    assert [(p["level"], p["side"], p["instance_key"]) for p in claim["places"]] == [
        ("L4-L5", "left", "study-s1-i2"),
        ("L3-L4", "left", "study-s2-i1"),
    ]
    assert (claim["level"], claim["side"], claim["severity"]) == ("L4-L5", "left", None)
    first = claim["places"][0]
    assert (first["x"], first["y"], first["w"], first["h"], first["frame"]) == (1.0, 2.0, 3.0, 4.0, 0)
    assert (first["series_key"], first["slice_key"]) == ("study-s1", "study-s1-i2-0000")
    assert (first["centre_mm"], first["confidence"], first["supervision"]) == (
        [1.0, 2.0, 3.0],
        0.9,
        "supervised",
    )
    # The boxes' own instances are among the sources, each once.
    assert claim["source_instances"] == [*(f"study-s{i}-i2" for i in range(4)), "study-s2-i1"]


@pytest.mark.parametrize(
    ("more", "level", "side", "count"),
    [
        ({"level_uncertain": True}, None, "left", 1),
        ({"supervision": "weak", "confidence_if_present": None}, None, None, 1),
        ({"confidence_if_present": 0.49}, "L4-L5", "left", 1),
        ({"confidence_if_present": None}, "L4-L5", "left", 1),
        ({"side": None}, "L4-L5", None, 2),
    ],
)
def test_what_is_not_known_is_not_said(lumbar, heads, more, level, side, count):
    """A count that is unsettled names no level, a box that nobody taught neither level nor side, and only a confident
    box makes a further place."""
    rows = (
        finding("cyst", 1, "study-s1-i2", **more),
        finding("cyst", 2, "study-s1-i3", **{"level": "L1-L2"} | more),
    )
    claim = (
        lumbar.diagnose(heads({"cyst": 0.8}), findings=findings(*rows))
        .filter(condition="cyst")
        .row(0, named=True)
    )
    assert (claim["level"], claim["side"], len(claim["places"])) == (level, side, count)
    assert claim["places"][0]["level_uncertain"] == (level is None)


def test_what_has_no_sides_gets_none(lumbar, heads):
    claim = lumbar.diagnose(heads({"canal": 0.8}), findings=findings(finding("canal", 1, "study-s1-i2"))).row(
        0, named=True
    )
    assert (claim["condition"], claim["level"], claim["side"]) == ("canal", "L4-L5", None)


def test_only_what_is_affirmed_has_places_and_severity(lumbar, heads):
    found = findings(*(finding(c, 1, "study-s1-i2") for c in ("canal", "edema", "pars")))
    grading = StubGrading({"canal": "severe", "edema": "mild", "cyst": "mild"})
    table = lumbar.diagnose(heads({"canal": 0.8, "edema": 0.1, "cyst": 0.7}), findings=found, grading=grading)
    told = {row["condition"]: row for row in table.iter_rows(named=True)}
    assert (told["canal"]["severity"], told["canal"]["places"][0]["severity"]) == ("severe", "severe")
    # Nowhere found, but graded: the study's severity stands without a place.
    assert (told["cyst"]["severity"], told["cyst"]["places"], told["cyst"]["level"]) == ("mild", [], None)
    for other in ("edema", "pars"):
        assert (told[other]["severity"], told[other]["places"], told[other]["level"]) == (None, [], None)
    assert told["canal"]["agent_version"] == "3+heads-a+grading-a"
    assert told["edema"]["agent_version"] == "3+heads-a+grading-a"
    assert told["pars"]["agent_version"] == "3+no-head"


def test_a_grade_is_that_of_the_first_place_alone(lumbar, heads):
    found = findings(finding("cyst", 1, "study-s1-i2"), finding("cyst", 2, "study-s2-i2", level="L1-L2"))
    table = lumbar.diagnose(heads({"cyst": 0.9}), findings=found, grading=StubGrading({"cyst": "severe"}))
    places = table.filter(condition="cyst")["places"][0].to_list()
    assert [place["severity"] for place in places] == ["severe", None]


def test_the_key_changes_with_what_is_claimed_and_only_then(lumbar, heads):
    def key(**given) -> str:
        return lumbar.diagnose(heads({"canal": 0.8}), **given)["claim_key"][0]

    one, same, moved = (
        key(findings=findings(finding("canal", 1, "study-s1-i2", **more))) for more in ({}, {}, {"x": 9.0})
    )
    assert one == same
    keys = [key(), one, moved, key(points=points(canal=0.5)), key(grading=StubGrading({"canal": "mild"}))]
    assert len(set(keys)) == len(keys)


def test_agents_of_mixed_versions_are_refused(lumbar, heads):
    stub = heads({"canal": 0.8})
    with pytest.raises(AgentsError, match=r"probes/operating_points rests on heads heads-z.*materialise"):
        lumbar.diagnose(stub, points=points("heads-z", canal=0.5))
    with pytest.raises(AgentsError, match=r"localization/findings rests on heads heads-z.*materialise"):
        lumbar.diagnose(stub, findings=findings(finding("canal", 1, "study-s1-i2", heads_version="heads-z")))
    with pytest.raises(AgentsError, match="shards/slices lacks"):
        lumbar.diagnose(stub, findings=findings(finding("canal", 1, "study-s9-i2")))
