"""The registry of the 37: names, versions, who is trained, whose figure stands there and why none does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from spine_models.domain import condition_keys
from spine_models.findings.localization.tables import SCORES as LOCALIZATION
from spine_models.findings.probes.tables import METRICS
from spine_models.findings.retrieval.tables import SCORES as RETRIEVAL
from spine_models.reporting.agents import Measured, Published, agent_names, registry
from spine_models.reporting.agents.tables import GRADINGS, REGISTRY
from tests.reporting.agents.test_places import StubGrading


@dataclass
class StubLocalizer:
    """Annotations taught it cyst in T2; of pars it says why not."""

    version: str = "loc-a"
    slice_heads: dict[tuple[str, str], object] = field(default_factory=lambda: {("cyst", "t2"): None})
    card: dict[str, Any] = field(
        default_factory=lambda: {
            "missing": [{"condition": "pars", "route": "t1", "reason": "3 train patients"}]
        }
    )


@dataclass
class StubSpace:
    clip: str = "clip-a"
    synthesizer: str | None = "synth-a"


def table(schema: pl.Schema, *rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def scored(condition: str, evaluation: str, auroc: float | None, **more: Any) -> dict[str, Any]:
    row = {"condition": condition, "evaluation": evaluation, "encoder": "spinefm", "head": "linear"}
    row |= {
        "sequence_set": "all",
        "auroc": auroc,
        "auroc_low": 0.1,
        "auroc_high": 0.9,
        "ece": 0.05,
        "n_patients": 40,
    }
    return row | {"status": "evaluated" if auroc is not None else "not_evaluable", "reason": None} | more


def measured(metrics=(), localization=(), retrieval=(), gradings=()) -> Measured:
    return Measured(
        table(METRICS, *metrics),
        table(LOCALIZATION, *localization),
        table(RETRIEVAL, *retrieval),
        table(GRADINGS, *gradings),
    )


def row(frame: pl.DataFrame, agent: str) -> dict[str, Any]:
    return frame.row(by_predicate=pl.col("agent") == agent, named=True)


def test_thirty_seven_agents_even_before_anything_was_trained(heads) -> None:
    before = registry(Published(), measured())
    assert before.schema == REGISTRY
    assert before["agent"].to_list() == list(agent_names())
    assert before["agent"].n_unique() == before.height == 37
    assert dict(before["kind"].value_counts().iter_rows()) == {
        "diagnosis": 17, "localization": 17, "retrieval": 2, "report": 1,
    }  # fmt: skip
    untrained = before.filter(~pl.col("trained"))
    assert untrained.height == 36
    assert untrained["reason"].null_count() == 0
    assert before["value"].null_count() == 37
    assert before["unmeasured"].null_count() == 0
    after = registry(Published(heads=heads({"canal": 0.5})), measured())
    assert after.filter(kind="diagnosis", trained=True)["condition"].to_list() == ["canal"]
    assert row(after, "diagnosis/canal")["version"] == "3+heads-a"
    assert row(after, "diagnosis/pars")["version"] == "3+no-head"


def test_a_diagnosis_agents_figure_is_that_of_test_patients_else_out_of_fold(heads) -> None:
    frame = registry(
        Published(heads=heads(dict.fromkeys(condition_keys(), 0.5))),
        measured(
            [
                scored("canal", "cv", 0.8),
                scored("canal", "test", 0.7),
                scored("canal", "test", 0.2, encoder="pixel_pca"),
                scored("canal", "test", 0.3, sequence_set="t1"),
                scored("canal", "test", 0.4, head="mil"),
                scored("edema", "cv", 0.6),
                scored("edema", "test", None, reason="4 positive patients in test"),
                scored("pars", "test", None, reason="2 positive patients in test"),
            ]
        ),
    )
    canal = row(frame, "diagnosis/canal")
    assert (canal["metric"], canal["evaluation"], canal["value"], canal["ece"]) == (
        "auroc",
        "test",
        0.7,
        0.05,
    )
    assert (canal["low"], canal["high"], canal["n_patients"], canal["unmeasured"]) == (0.1, 0.9, 40, None)
    assert (row(frame, "diagnosis/edema")["evaluation"], row(frame, "diagnosis/edema")["value"]) == (
        "cv",
        0.6,
    )
    pars = row(frame, "diagnosis/pars")
    assert (pars["value"], pars["unmeasured"]) == (None, "2 positive patients in test")


def test_a_localizer_that_nobody_taught_says_so_and_shows_the_weak_figure(heads) -> None:
    models = Published(heads=heads({"pars": 0.5, "cyst": 0.5}), localizer=StubLocalizer())
    score = {
        "method": "model",
        "status": "evaluated",
        "slice_auroc_low": 0.4,
        "slice_auroc_high": 1.0,
        "n_patients": 7,
    }
    rows = [
        score | {"condition": condition, "supervision": supervision, "slice_auroc": value}
        for condition, supervision, value in (
            ("cyst", "supervised", 0.9),
            ("cyst", "weak", 0.5),
            ("pars", "weak", 0.6),
        )
    ]
    rows.append(rows[0] | {"method": "position_prior", "slice_auroc": 0.1})
    frame = registry(models, measured(localization=rows))
    cyst, pars, edema = (row(frame, f"localization/{c}") for c in ("cyst", "pars", "edema"))
    assert (cyst["trained"], cyst["reason"], cyst["metric"], cyst["value"]) == (
        True,
        None,
        "slice_auroc",
        0.9,
    )
    assert (pars["trained"], pars["value"]) == (False, 0.6)
    assert pars["reason"] == "t1: 3 train patients; boxes are found with the diagnosis head alone (weak)"
    assert (edema["reason"], edema["value"]) == ("no route has heads for it", None)
    assert set(frame.filter(kind="localization")["version"]) == {"3+loc-a+heads-a"}


def test_retrieval_shows_the_query_that_neighbours_are_asked_with() -> None:
    found = {
        "status": "evaluated",
        "recall_5_low": 0.1,
        "recall_5_high": 0.5,
        "n_patients": 40,
        "sequence_set": "all",
    }
    rows = [
        found | {"task": task, "encoder": encoder, "query": query, "recall_5": value}
        for task, encoder, query, value in (
            ("image_to_report", "clip-tri_modal", "t1+t2", 0.3),
            ("image_to_report", "synthesizer-gate", "study", 0.2),
            ("image_to_report", "pixel_pca+linear", "study", 0.9),
            ("condition_to_slice", "clip-tri_modal", "sentence", 0.4),
        )
    ]
    frame = registry(Published(space=StubSpace()), measured(retrieval=rows))
    assert [row(frame, f"retrieval/{name}")["value"] for name in ("image_to_report", "text_to_image")] == [
        0.2,
        0.4,
    ]
    assert set(frame.filter(kind="retrieval")["version"]) == {"3+clip-a+synth-a"}
    assert frame.filter(kind="retrieval")["trained"].all()
    alone = registry(Published(space=StubSpace(synthesizer=None)), measured())
    assert set(alone.filter(kind="retrieval")["version"]) == {"3+clip-a"}


def test_who_does_not_grade_severity_says_why(heads) -> None:
    graded = StubGrading({"canal": "severe"}, version="g")
    models = Published(heads=heads({"canal": 0.5, "pars": 0.5}), grading=graded)
    frame = registry(
        models, measured(gradings=[{"condition": "pars", "status": "not_used", "reason": "too few"}])
    )
    canal, pars = row(frame, "diagnosis/canal"), row(frame, "diagnosis/pars")
    assert (canal["grades_severity"], canal["severity_reason"], canal["version"]) == (
        True,
        None,
        "3+heads-a+g",
    )
    assert (pars["grades_severity"], pars["severity_reason"], pars["version"]) == (
        False,
        "too few",
        "3+heads-a",
    )
    assert frame.filter(pl.col("kind") != "diagnosis")["grades_severity"].null_count() == 20


def test_versions_are_those_of_the_claims(lumbar, heads) -> None:
    stub = heads({"canal": 0.5, "edema": 0.5})
    claims = lumbar.diagnose(stub)
    own = registry(Published(heads=stub), measured()).filter(kind="diagnosis")
    assert own["version"].to_list() == claims["agent_version"].to_list()


def test_a_diagnosis_agent_rests_on_the_heads_of_levels_that_it_has(heads) -> None:
    class Levels:
        version = "levels-a"
        heads = ("canal",)

    published = Published(heads=heads(dict.fromkeys(condition_keys(), 0.5)), levels=Levels())
    frame = registry(published, measured())
    versions = dict(frame.select("agent", "version").iter_rows())
    assert versions["diagnosis/canal"] == "3+heads-a+levels-a"
    assert versions["diagnosis/cyst"] == "3+heads-a"
