"""Claims of studies whose levels were judged: what is named, where, and how surely."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pytest

from spine_models.config import AgentSettings
from spine_models.domain import condition_keys
from spine_models.findings.levelwise.tables import FINDINGS, PREDICTIONS, SKILL
from spine_models.reporting.agents import (
    AgentsError,
    Published,
    Reason,
    out_of_fold,
    parse,
    registry,
    results,
    serialise,
)
from spine_models.reporting.agents.places import LEVEL, bare_place, judged_by, judged_places
from spine_models.reporting.agents.roster import localization_version
from spine_models.reporting.agents.status import Judged, Prediction, verdict
from spine_models.reporting.agents.tables import CLAIMS, PLACE
from tests.reporting.agents.test_out_of_fold import held, told
from tests.reporting.agents.test_places import finding, findings, points
from tests.reporting.agents.test_results import ALL, SETTINGS, T1_T2, answer
from tests.reporting.agents.test_roster import StubLocalizer, measured, row, scored, table


@dataclass
class StubLevels:
    """Heads of levels for a few conditions."""

    version: str = "levels-a"
    heads: dict[str, object] = field(default_factory=lambda: {"cyst": None, "canal": None})


def place(condition: str, level: str, side: str | None, chance: float, **more: Any) -> dict[str, Any]:
    return {
        "batch_key": "internal-0001", "patient_key": "p-study", "study_key": "study", "condition": condition,
        "rank": 1, "level": level, "side": side, "probability": chance, "flagged": True, "level_uncertain": False,
        "series_key": "study-s2", "slice_key": "study-s2-i3-0000", "x": 5.0, "y": 6.0, "w": 7.0, "h": 8.0,
        "centre_mm": [4.0, 5.0, 6.0], "models_version": "loc", "heads_version": "levels-a",
    } | more  # fmt: skip


def judged(*rows: dict[str, Any]) -> pl.DataFrame:
    return table(FINDINGS, *rows)


def unflagged(condition: str, **more: Any) -> dict[str, Any]:
    return place(condition, "L1-L2", None, 0.05, flagged=False, **more)


def said(tables, heads, condition: str, **given: Any) -> dict[str, Any]:
    return tables.diagnose(heads, **given).filter(condition=condition, study_key="study").row(0, named=True)


@pytest.mark.parametrize(
    ("probability", "best", "expected"),
    [
        # What is present stays, flagged or not, as sure as the study.
        (0.95, None, ("present", "definite", None)),
        (0.6, None, ("present", "probable", None)),
        (0.6, 0.99, ("present", "probable", None)),
        # What is not is named where a level is flagged, as sure as the most probable place.
        (0.1, 0.05, ("indeterminate", "possible", Reason.LEVEL_AFFECTED)),
        (0.4, 0.59, ("indeterminate", "possible", Reason.LEVEL_AFFECTED)),
        (0.1, 0.6, ("indeterminate", "probable", Reason.LEVEL_AFFECTED)),
        (0.1, 0.97, ("indeterminate", "probable", Reason.LEVEL_AFFECTED)),
        (0.5, 0.3, ("indeterminate", "possible", None)),
        (0.5, 0.7, ("indeterminate", "probable", None)),
        # Nothing flagged: the operating point of whole studies has no say.
        (0.5, None, ("indeterminate", None, None)),
        (0.3, None, ("absent", None, None)),
    ],
)
def test_levels_decide_what_the_study_does_not(probability, best, expected):
    for threshold in (None, 0.0, 0.2, 0.99):
        found = verdict(Prediction("all", probability), threshold, AgentSettings(), Judged(best))
        assert (str(found.status), found.certainty and str(found.certainty), found.reason) == expected
        assert found.affirmed == (expected[1] is not None)


@pytest.mark.parametrize(
    ("probability", "decision", "reason", "best", "expected"),
    [
        (0.95, "abstain", "too near", 0.7, ("indeterminate", "probable", "too near")),
        (0.95, "abstain", "too near", None, ("indeterminate", None, "too near")),
        (0.1, "absent", None, 0.7, ("indeterminate", "probable", Reason.LEVEL_AFFECTED)),
        (0.1, "present", None, 0.7, ("indeterminate", "probable", Reason.GUARD_DISAGREES)),
        (0.95, "present", None, None, ("present", "definite", None)),
    ],
)
def test_guards_keep_their_say(probability, decision, reason, best, expected):
    found = verdict(Prediction("all", probability, decision, reason), 0.0, AgentSettings(), Judged(best))
    assert (str(found.status), found.certainty and str(found.certainty), found.reason) == expected


def test_what_flagged_places_say_of_the_study():
    assert judged_by(None) is None
    assert judged_by([]) == Judged(None)
    assert judged_by([bare_place("L4-L5", None, 0.2), bare_place(None, "left", 0.7)]) == Judged(0.7)
    bare = bare_place(None, "left", 0.7)
    assert list(bare) == [one.name for one in PLACE.fields]
    assert (bare["level_uncertain"], bare["supervision"], bare["slice_key"]) == (True, LEVEL, None)


def test_flagged_levels_are_the_places_most_probable_first(lumbar, heads):
    levels = judged(
        place("cyst", "L4-L5", "right", 0.3, rank=2),
        place("cyst", "L3-L4", "left", 0.7, rank=1, slice_key="study-s1-i1-0000", series_key="study-s1"),
        place("cyst", "L1-L2", "left", 0.1, rank=3, flagged=False),
    )
    claim = said(lumbar, heads({"cyst": 0.1}), "cyst", levels=levels, evidence_slices=1)
    assert (claim["status"], claim["certainty"], claim["reason"]) == (
        "indeterminate", "probable", Reason.LEVEL_AFFECTED,
    )  # fmt: skip
    assert (claim["affirmed"], claim["probability"], claim["level"], claim["side"]) == (
        True,
        0.1,
        "L3-L4",
        "left",
    )
    known = (
        "level",
        "side",
        "confidence",
        "supervision",
        "instance_key",
        "frame",
        "level_uncertain",
        "severity",
    )
    assert [tuple(one[name] for name in known) for one in claim["places"]] == [
        ("L3-L4", "left", 0.7, LEVEL, "study-s1-i1", 0, False, None),
        ("L4-L5", "right", 0.3, LEVEL, "study-s2-i3", 0, False, None),
    ]
    first = claim["places"][0]
    assert (first["x"], first["y"], first["w"], first["h"], first["centre_mm"]) == (
        5.0,
        6.0,
        7.0,
        8.0,
        [4.0, 5.0, 6.0],
    )
    assert {"study-s1-i1", "study-s2-i3"} <= set(claim["source_instances"])
    line = serialise(lumbar.diagnose(heads({"cyst": 0.1}), levels=levels).iter_rows(named=True))
    entry = next(one for one in parse(line) if one.condition == "cyst")
    assert (entry.certainty, [str(one) for one in entry.places]) == (
        "probable",
        ["L3-L4 left", "L4-L5 right"],
    )


@pytest.mark.parametrize(
    ("box", "taken"),
    [
        ({}, True),
        ({"side": "right"}, False),
        ({"level": "L3-L4"}, False),
        ({"level_uncertain": True}, False),
        ({"supervision": "weak"}, False),
    ],
)
def test_a_box_of_the_localizer_shows_the_place_where_it_is_the_same(lumbar, heads, box, taken):
    found = findings(finding("cyst", 1, "study-s1-i2", **box))
    levels = judged(place("cyst", "L4-L5", "left", 0.4))
    (shown,) = said(lumbar, heads({"cyst": 0.8}), "cyst", findings=found, levels=levels)["places"]
    assert (shown["level"], shown["side"], shown["confidence"]) == ("L4-L5", "left", 0.4)
    assert (shown["x"], shown["instance_key"], shown["supervision"]) == (
        (1.0, "study-s1-i2", "supervised") if taken else (5.0, "study-s2-i3", LEVEL)
    )


def test_an_uncertain_count_gives_a_place_without_a_level(lumbar, heads):
    found = findings(finding("cyst", 1, "study-s1-i2", level_uncertain=True))
    levels = judged(place("cyst", "L4-L5", "left", 0.4, level_uncertain=True))
    claim = said(lumbar, heads({"cyst": 0.1}), "cyst", findings=found, levels=levels)
    assert (claim["level"], claim["side"], claim["affirmed"]) == (None, "left", True)
    (shown,) = claim["places"]
    assert (shown["level_uncertain"], shown["supervision"], shown["x"]) == (True, LEVEL, 5.0)


def test_where_no_level_is_flagged_the_operating_point_has_no_say(lumbar, heads):
    stub = heads({"cyst": 0.3, "canal": 0.3, "edema": 0.8})
    found = findings(finding("edema", 1, "study-s1-i2"), finding("cyst", 1, "study-s1-i2"))
    at = points(cyst=0.2, canal=0.2, edema=0.2)
    levels = judged(unflagged("cyst"), unflagged("edema"))
    spoken = lumbar.diagnose(stub, points=at, findings=found, levels=levels)
    cyst, canal, edema = (told(spoken, condition) for condition in ("cyst", "canal", "edema"))
    assert (cyst["status"], cyst["affirmed"], cyst["places"]) == ("absent", False, [])
    # Of canal no level was judged: the old rule.
    assert (canal["status"], canal["affirmed"], canal["reason"]) == (
        "indeterminate",
        True,
        Reason.OPERATING_POINT,
    )
    # What is present is shown by its first box, which names no level that the heads of levels did not flag.
    assert (edema["status"], edema["level"], edema["side"]) == ("present", None, None)
    assert [(one["supervision"], one["level_uncertain"]) for one in edema["places"]] == [("supervised", True)]


def test_a_study_whose_levels_were_not_judged_keeps_the_old_rule(archive, heads):
    tables = archive({"study": T1_T2, "thoracic": T1_T2})
    levels = judged(unflagged("cyst"))
    levels = levels.with_columns(slice_key=pl.lit("study-s1-i3-0000"))
    stub, at = heads({"cyst": 0.3}), points(cyst=0.2)
    both = tables.diagnose(stub, points=at, levels=levels)
    affirmed = dict(both.filter(condition="cyst").select("study_key", "affirmed").iter_rows())
    assert affirmed == {"study": False, "thoracic": True}
    old = tables.diagnose(stub, points=at)
    assert both.filter(study_key="thoracic").equals(old.filter(study_key="thoracic"))
    assert tables.diagnose(stub, points=at, levels=judged()).equals(old)


def test_who_is_not_assessed_is_not_named_by_a_level(archive, heads):
    tables = archive({"study": T1_T2}, region="other")
    levels = judged(place("cyst", "L4-L5", "left", 0.9, slice_key="study-s1-i3-0000"))
    assert set(tables.diagnose(heads(ALL), levels=levels)["status"]) == {"not_assessed"}


def test_a_claims_key_tells_whether_levels_were_judged(lumbar, heads):
    at = points(cyst=0.2)
    stub = heads({"cyst": 0.3})
    flagged = [judged(place("cyst", "L4-L5", "left", chance)) for chance in (0.4, 0.4, 0.5)]
    found = [
        said(lumbar, stub, "cyst", points=at, levels=one)
        for one in (None, judged(unflagged("cyst")), *flagged)
    ]
    keys = [claim["claim_key"] for claim in found]
    assert keys[2] == keys[3]
    assert len(set(keys)) == 4


def test_places_on_unknown_slices_are_refused(lumbar, heads):
    strange = judged(place("cyst", "L4-L5", "left", 0.4, slice_key="elsewhere-0000"))
    with pytest.raises(
        AgentsError, match=r"level_findings names slices that shards/slices lacks: materialise"
    ):
        lumbar.diagnose(heads({"cyst": 0.8}), levels=strange)


def test_the_best_rank_comes_first_and_none_flagged_is_no_place():
    slices = table(
        pl.Schema({"slice_key": pl.String, "instance_key": pl.String, "frame": pl.Int32}),
        {"slice_key": "study-s2-i3-0000", "instance_key": "i", "frame": 4},
    )
    rows = [
        place("cyst", level, None, chance, rank=rank, study_key=study, flagged=chance > 0.1)
        for study, level, chance, rank in (
            ("b", "L1-L2", 0.2, 2), ("b", "L2-L3", 0.3, 1), ("a", "L1-L2", 0.05, 1), ("c", "L5-S1", 0.9, 1)
        )
    ]  # fmt: skip
    found = judged_places(judged(*rows), slices, {})
    assert {key: [one["level"] for one in places] for key, places in found.items()} == {
        ("a", "cyst"): [], ("b", "cyst"): ["L2-L3", "L1-L2"], ("c", "cyst"): ["L5-S1"],
    }  # fmt: skip
    assert judged_places(judged(), slices, {}) == {}


# Out of fold


def folded(*rows: tuple[str, str, str | None, float, bool], **more: Any) -> pl.DataFrame:
    given = [
        {"study_key": "study", "patient_key": "p-study", "split": "train", "evaluation": "cv", "condition": condition,
         "level": level, "side": side, "label": 1, "probability": chance, "flagged": flagged, "level_uncertain": False}
        | more
        for condition, level, side, chance, flagged in rows
    ]  # fmt: skip
    return table(PREDICTIONS, *given)


@pytest.fixture
def claims(lumbar, heads):
    """Cyst and edema present with the localizer's boxes; pars named by a level alone; canal by none."""
    stub = heads({"cyst": 0.95, "edema": 0.95, "pars": 0.95, "canal": 0.1})
    found = findings(finding("cyst", 1, "study-s1-i2"), finding("edema", 1, "study-s1-i2"))
    levels = judged(
        place("pars", "L5", "left", 0.9),
        place("cyst", "L4-L5", "left", 0.9),
        unflagged("edema"),
        unflagged("canal"),
    )
    return lumbar.diagnose(stub, findings=found, levels=levels)


def test_places_are_those_that_are_flagged_out_of_fold(claims):
    levels = folded(
        ("cyst", "L3-L4", "right", 0.3, True),
        ("cyst", "L4-L5", "left", 0.7, True),
        ("cyst", "L1-L2", "left", 0.1, False),
        ("canal", "L2-L3", None, 0.65, True),
        ("canal", "L3-L4", None, 0.92, True),
    )
    spoken = out_of_fold(claims, held(("study", "cyst", 0.7), ("study", "canal", 0.2)), None, levels=levels)
    assert spoken.schema == CLAIMS
    cyst, canal = told(spoken, "cyst"), told(spoken, "canal")
    assert (cyst["status"], cyst["level"], cyst["side"]) == ("present", "L4-L5", "left")
    assert [(one["level"], one["confidence"], one["x"]) for one in cyst["places"]] == [
        ("L4-L5", 0.7, 1.0), ("L3-L4", 0.3, None),
    ]  # fmt: skip
    assert (canal["status"], canal["certainty"], canal["reason"]) == (
        "indeterminate", "probable", Reason.LEVEL_AFFECTED,
    )  # fmt: skip
    assert [one["level"] for one in canal["places"]] == ["L3-L4", "L2-L3"]
    assert (canal["affirmed"], canal["level"]) == (True, "L3-L4")
    # Neither predicted nor judged out of fold: as it was.
    assert told(spoken, "pars") == told(claims, "pars")
    assert told(spoken, "edema") == told(claims, "edema")


def test_an_unsettled_count_is_named_by_no_level_out_of_fold_either(claims):
    levels = folded(("canal", "L2-L3", None, 0.65, True), level_uncertain=True)
    canal = told(out_of_fold(claims, held(), None, levels=levels), "canal")
    assert (canal["affirmed"], canal["level"], canal["places"][0]["level_uncertain"]) == (True, None, True)


def test_what_no_level_shows_out_of_fold_is_not_named(claims):
    """Neither by the operating point, nor at a place that only heads know that saw the study's report."""
    levels = folded(
        ("canal", "L2-L3", None, 0.1, False),
        ("pars", "L5", "left", 0.1, False),
        ("cyst", "L1-L2", "left", 0.1, False),
    )
    spoken = out_of_fold(
        claims, held(("study", "canal", 0.35), ("study", "cyst", 0.7)), points(canal=0.3), levels=levels
    )
    canal, pars, cyst = (told(spoken, condition) for condition in ("canal", "pars", "cyst"))
    assert (canal["status"], canal["affirmed"], canal["places"]) == ("absent", False, [])
    assert (told(claims, "pars")["level"], told(claims, "pars")["places"][0]["supervision"]) == ("L5", LEVEL)
    assert (pars["status"], pars["affirmed"], pars["level"], pars["places"]) == ("present", True, None, [])
    # The localizer's box is no word of these heads.
    assert cyst["places"] == told(claims, "cyst")["places"]


def test_predictions_of_other_patients_are_no_folds(claims):
    for other in ({"evaluation": "test"}, {"evaluation": "val"}, {"study_key": "another"}):
        levels = folded(("cyst", "L3-L4", "right", 0.3, True), **other)
        assert out_of_fold(claims, held(), None, levels=levels).equals(claims)


def test_guards_decide_where_levels_alone_were_judged_out_of_fold(claims):
    class Abstaining:
        def decide(self, predictions: pl.DataFrame) -> pl.DataFrame:
            return predictions.with_columns(decision=pl.lit("abstain"), reason=pl.lit("too near"))

    levels = folded(("cyst", "L3-L4", "right", 0.3, True))
    spoken = out_of_fold(claims, held(), None, guards=Abstaining(), levels=levels)
    cyst = told(spoken, "cyst")
    assert (cyst["status"], cyst["certainty"], cyst["reason"]) == ("indeterminate", "possible", "too near")
    assert told(spoken, "edema") == told(claims, "edema")


def test_what_was_not_assessed_stays_so_whatever_its_levels(archive, heads):
    claims = archive({"study": [("PD", "sagittal", "other")]}).diagnose(heads({"cyst": 0.9}))
    levels = folded(("cyst", "L3-L4", "right", 0.9, True))
    assert out_of_fold(claims, held(("study", "cyst", 0.9)), None, levels=levels).equals(claims)


# Results and registry


def test_localization_agents_answer_with_the_flagged_places(lumbar, heads):
    stub = heads(ALL)
    levels = judged(place("cyst", "L4-L5", "left", 0.7))
    models = Published(heads=stub, localizer=StubLocalizer(), levels=StubLevels())
    claims = lumbar.diagnose(stub, levels=levels)
    frame = results(claims, lumbar.slices, models, settings=SETTINGS, levels=levels)
    cyst = answer(frame, "localization/cyst")
    assert (cyst["status"], cyst["level"], cyst["side"], cyst["confidence"]) == (
        "answered",
        "L4-L5",
        "left",
        0.7,
    )
    assert (cyst["boxes"][0]["supervision"], cyst["source_instances"]) == (LEVEL, ["study-s2-i3"])
    assert cyst["tokens"] == "L4-L5 left"
    assert cyst["agent_version"] == localization_version(models) == "3+loc-a+heads-a+levels-a"
    assert answer(frame, "diagnosis/cyst")["reason"] == Reason.LEVEL_AFFECTED
    older = levels.with_columns(heads_version=pl.lit("older"))
    with pytest.raises(
        AgentsError, match=r"level_findings are of heads older, published is levels-a: materialise"
    ):
        results(claims, lumbar.slices, models, settings=SETTINGS, levels=older)
    results(claims, lumbar.slices, models, settings=SETTINGS, levels=older.clear())


def test_levels_that_found_nothing_are_a_search_all_the_same(lumbar, heads):
    stub = heads({"pars": 0.9})
    for levels, reason in ((judged(), "no box"), (None, "not searched")):
        claims = lumbar.diagnose(stub, levels=levels)
        frame = results(claims, lumbar.slices, Published(heads=stub), settings=SETTINGS, levels=levels)
        assert reason in answer(frame, "localization/pars")["reason"]


def test_the_registry_shows_how_well_levels_are_judged(heads):
    skill = table(
        SKILL,
        {
            "condition": "cyst",
            "auroc": 0.8,
            "auroc_low": 0.7,
            "auroc_high": 0.9,
            "ece": 0.02,
            "test_patients": 30,
        },
        {"condition": "canal", "unmeasured": "1 test patients"},
        {"condition": "pars", "status": "not_fitted", "reason": "3 train places"},
    )
    slices = {
        "method": "model",
        "status": "evaluated",
        "slice_auroc_low": 0.4,
        "slice_auroc_high": 1.0,
        "n_patients": 7,
    }
    scores = [
        slices | {"condition": condition, "supervision": supervision, "slice_auroc": 0.6}
        for condition, supervision in (("cyst", "supervised"), ("canal", "weak"), ("pars", "weak"))
    ]
    known = measured(metrics=[scored("cyst", "test", 0.7)], localization=scores)
    known = type(known)(known.metrics, known.localization, known.retrieval, known.gradings, skill)
    stub = heads(dict.fromkeys(condition_keys(), 0.5))
    models = Published(heads=stub, localizer=StubLocalizer(), levels=StubLevels())
    frame = registry(models, known)
    cyst, canal, pars = (row(frame, f"localization/{c}") for c in ("cyst", "canal", "pars"))
    names = ("metric", "evaluation", "value", "low", "high", "ece", "n_patients", "unmeasured")
    assert tuple(cyst[name] for name in names) == ("level_auroc", "test", 0.8, 0.7, 0.9, 0.02, 30, None)
    # A head that nobody measured is trained all the same; its figure is that of slices.
    assert (canal["trained"], canal["reason"], canal["metric"], canal["value"]) == (
        True,
        None,
        "slice_auroc",
        0.6,
    )
    assert (pars["trained"], pars["metric"], pars["value"]) == (False, "slice_auroc", 0.6)
    assert set(frame.filter(kind="localization")["version"]) == {"3+loc-a+heads-a+levels-a"}
    assert row(frame, "diagnosis/cyst")["value"] == 0.7
    # Without the heads themselves their figures are nobody's.
    without = registry(Published(heads=stub, localizer=StubLocalizer()), known)
    assert row(without, "localization/cyst")["metric"] == "slice_auroc"
    assert set(without.filter(kind="localization")["version"]) == {"3+loc-a+heads-a"}


def test_a_judged_study_that_no_head_of_levels_was_fitted_on_keeps_its_places(claims):
    """Train studies beyond those that heads are fitted on have no prediction out of fold; their places are honest."""
    other = folded(
        ("cyst", "L4-L5", "left", 0.7, True), ("pars", "L5", "left", 0.7, True), study_key="elsewhere"
    )
    at = points(cyst=0.1, pars=0.1, canal=0.1)
    given = held(("study", "cyst", 0.2), ("study", "pars", 0.2), ("study", "canal", 0.2))
    spoken = out_of_fold(claims, given, at, levels=other)
    pars, cyst, canal = (told(spoken, condition) for condition in ("pars", "cyst", "canal"))
    assert (pars["affirmed"], pars["level"], pars["status"]) == (True, "L5", "indeterminate")
    assert (cyst["affirmed"], cyst["level"]) == (True, "L4-L5")
    # Heads of levels do not know canal: the operating point of whole studies decides.
    assert (canal["affirmed"], canal["reason"]) == (True, Reason.OPERATING_POINT)
    # A study without any flagged level was perhaps never judged: the old rule for all of it.
    bare = claims.with_columns(places=pl.lit([], dtype=CLAIMS["places"]))
    assert told(out_of_fold(bare, given, at, levels=other), "pars")["reason"] == Reason.OPERATING_POINT
