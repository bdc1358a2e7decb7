"""What each agent answers about a study, what it could not be asked, and the scorecard over it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from spine_models.config import AgentSettings
from spine_models.domain import condition_keys
from spine_models.findings.embeddings.aligned_tables import ALIGNED_SLICES
from spine_models.findings.retrieval.tables import NEIGHBOURS
from spine_models.reporting.agents import (
    AgentsError,
    Published,
    agent_names,
    parse,
    refuse_mixed,
    registry,
    results,
    scorecard,
    serialise,
)
from spine_models.reporting.agents.tables import RESULTS, SCORECARD
from tests.reporting.agents.test_places import finding, findings
from tests.reporting.agents.test_roster import StubLocalizer, StubSpace, measured

T1_T2 = [("T1", "sagittal", "t1"), ("T2", "sagittal", "t2")]
SETTINGS = AgentSettings(text_slices=2)
ALL = dict.fromkeys(condition_keys(), 0.1)


def near(study: str = "study", query: str = "study", clip: str = "clip-a") -> pl.DataFrame:
    rows = [
        {"study_key": study, "query": query, "rank": rank, "neighbour_study_key": f"other-{rank}", "score": 1 / rank,
         "clip_version": clip, "index_version": "i"}
        for rank in (2, 1)
    ]  # fmt: skip
    return pl.DataFrame([{n: row.get(n) for n in NEIGHBOURS} for row in rows], schema=NEIGHBOURS)


def aligned(tables, vectors: dict[str, list[float]], version: str = "clip-a") -> pl.DataFrame:
    rows = [
        {n: row.get(n) for n in ALIGNED_SLICES} | {"model_version": version, "vector": vectors[row["slice_key"]]}
        for row in tables.slices.iter_rows(named=True)
        if row["slice_key"] in vectors
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=ALIGNED_SLICES)


def sentences(**vectors: list[float]) -> dict[str, np.ndarray]:
    return {c: np.array(vectors.get(c, [0.0, 1.0])) for c in condition_keys()}


def answer(frame: pl.DataFrame, agent: str, study: str = "study") -> dict[str, Any]:
    return frame.row(by_predicate=(pl.col("agent") == agent) & (pl.col("study_key") == study), named=True)


@pytest.fixture
def spoken(lumbar, heads):
    """One study with everything: cyst present and found, synovial possible and nowhere found."""
    stub = heads(ALL | {"cyst": 0.95, "synovial": 0.5})
    found = findings(finding("cyst", 1, "study-s1-i2", models_version="loc-a"))
    claims = lumbar.diagnose(stub, findings=found, points=None)
    models = Published(heads=stub, localizer=StubLocalizer(), space=StubSpace())
    vectors = {f"study-s0-i{n}-0000": [1 - n / 10, n / 10] for n in range(3)}
    given = {
        "findings": found,
        "neighbours": near(),
        "aligned_slices": aligned(lumbar, vectors),
        "sentences": sentences(cyst=[1.0, 0.0]),
    }
    return lumbar, claims, models, given


def test_thirty_six_rows_a_study_in_the_order_of_the_registry(spoken):
    tables, claims, models, given = spoken
    frame = results(claims, tables.slices, models, settings=SETTINGS, **given)
    assert frame.schema == RESULTS
    assert frame["agent"].to_list() == list(agent_names()[:-1])
    assert frame["result_key"].n_unique() == 36
    assert frame.equals(results(claims, tables.slices, models, settings=SETTINGS, **given))


def test_each_agent_says_its_part(spoken):
    tables, claims, models, given = spoken
    frame = results(claims, tables.slices, models, settings=SETTINGS, **given)
    cyst = answer(frame, "diagnosis/cyst")
    assert (cyst["status"], cyst["decision"], cyst["probability"], cyst["asked"]) == (
        "answered",
        "present",
        0.95,
        True,
    )
    assert cyst["tokens"] == "cyst<|present|>"
    assert cyst["source_instances"]
    assert answer(frame, "diagnosis/synovial")["decision"] == "abstain"
    assert answer(frame, "diagnosis/canal")["decision"] == "absent"
    box = answer(frame, "localization/cyst")
    assert (box["status"], box["level"], box["side"], box["confidence"]) == ("answered", "L4-L5", "left", 0.9)
    assert (box["boxes"][0]["centre_mm"], box["tokens"]) == ([1.0, 2.0, 3.0], "L4-L5 left")
    assert (box["source_series"], box["source_instances"]) == (["study-s1"], ["study-s1-i2"])
    assert box["agent_version"] == "3+loc-a+heads-a"
    reports = answer(frame, "retrieval/image_to_report")
    assert [(n["kind"], n["study_key"], n["rank"]) for n in reports["neighbours"]] == [
        ("report", "other-1", 1),
        ("report", "other-2", 2),
    ]
    assert reports["source_series"] == [f"study-s{n}" for n in range(4)]
    text = answer(frame, "retrieval/text_to_image")
    assert [(n["condition"], n["slice_key"], n["rank"]) for n in text["neighbours"]] == [
        ("cyst", "study-s0-i0-0000", 1),
        ("cyst", "study-s0-i1-0000", 2),
    ]
    assert [n["score"] for n in text["neighbours"]] == pytest.approx([1.0, 0.9])
    assert text["source_instances"] == ["study-s0-i0", "study-s0-i1"]


def test_the_parts_of_diagnosis_and_localization_make_the_serialised_line(spoken):
    tables, claims, models, given = spoken
    frame = results(claims, tables.slices, models, settings=SETTINGS, **given)
    parts = [
        " ".join(
            filter(None, (answer(frame, f"{kind}/{c}")["tokens"] for kind in ("diagnosis", "localization")))
        )
        for c in condition_keys()
    ]
    line = serialise(claims.iter_rows(named=True))
    assert line == f"<|findings|> {'; '.join(parts)} <|/findings|>"
    assert len(parse(line)) == 17


@pytest.mark.parametrize(
    ("change", "agent", "asked", "reason"),
    [
        ({"findings": None}, "localization/pars", False, "not affirmed"),
        ({"neighbours": None}, "retrieval/image_to_report", True, "no alignment"),
        (
            {"neighbours": near("elsewhere")},
            "retrieval/image_to_report",
            True,
            "no report of another patient",
        ),
        ({"sentences": {}}, "retrieval/text_to_image", True, "no alignment"),
        ({"sentences": None}, "retrieval/text_to_image", True, "no alignment"),
        ({"aligned_slices": None}, "retrieval/text_to_image", True, "no alignment"),
        (
            {"aligned_slices": pl.DataFrame(schema=ALIGNED_SLICES)},
            "retrieval/text_to_image",
            True,
            "no image",
        ),
    ],
)
def test_what_is_missing_is_not_assessed_and_says_why(spoken, change, agent, asked, reason):
    tables, claims, models, given = spoken
    row = answer(results(claims, tables.slices, models, settings=SETTINGS, **(given | change)), agent)
    assert (row["status"], row["asked"]) == ("not_assessed", asked)
    assert reason in row["reason"]
    assert (row["boxes"], row["neighbours"], row["decision"], row["tokens"]) == ([], [], None, None)
    assert (row["source_instances"], row["model_versions"], row["confidence"]) == ([], [], None)


def test_an_affirmed_condition_that_was_found_nowhere_says_so(lumbar, heads):
    stub = heads({"pars": 0.9})
    for given, reason in ((findings(), "no box"), (None, "not searched")):
        claims = lumbar.diagnose(stub, findings=given)
        frame = results(claims, lumbar.slices, Published(heads=stub), settings=SETTINGS, findings=given)
        row = answer(frame, "localization/pars")
        assert (row["status"], row["asked"]) == ("not_assessed", True)
        assert reason in row["reason"]


def test_without_anything_affirmed_nothing_is_looked_for(lumbar, heads):
    claims = lumbar.diagnose(heads(ALL))
    vectors = {"study-s0-i0-0000": [1.0, 0.0]}
    frame = results(
        claims, lumbar.slices, Published(space=StubSpace()), settings=SETTINGS,
        aligned_slices=aligned(lumbar, vectors), sentences=sentences(),
    )  # fmt: skip
    row = answer(frame, "retrieval/text_to_image")
    assert (row["asked"], row["status"]) == (False, "not_assessed")
    assert frame.filter(kind="localization")["asked"].sum() == 0


def test_a_study_with_nothing_usable_is_answered_by_nobody(archive, heads):
    tables = archive({"a": [("PD", "sagittal", "other")]})
    frame = results(tables.diagnose(heads(ALL)), tables.slices, Published(), settings=SETTINGS)
    assert frame.height == 36
    assert set(frame["status"]) == {"not_assessed"}
    assert frame["reason"].null_count() == 0
    assert frame["source_instances"].list.len().sum() == 0


def test_what_is_no_spine_has_no_similar_report(archive, heads, guards):
    """A knee's nearest spine report would only mislead whoever reads it, or a model that is given it."""
    knee, strange = archive({"study": T1_T2}, region="other"), archive({"study": T1_T2})
    out = guards(dict.fromkeys(condition_keys(), ("present", None)), out=["study"])
    models = Published(space=StubSpace())
    for tables, given, reason in ((knee, {}, "not a spine"), (strange, {"guards": out}, "unlike those")):
        claims = tables.diagnose(heads(ALL), **given)
        row = answer(
            results(claims, tables.slices, models, settings=SETTINGS, neighbours=near()),
            "retrieval/image_to_report",
        )
        assert (row["status"], row["neighbours"]) == ("not_assessed", [])
        assert reason in row["reason"]


def test_agents_of_mixed_versions_are_refused(spoken, heads):
    tables, claims, models, given = spoken

    def ask(which=claims, **change):
        return results(which, tables.slices, models, settings=SETTINGS, **(given | change))

    older = claims.with_columns(study_key=pl.lit("b"), agent_version=pl.lit("1+older"))
    with pytest.raises(
        AgentsError, match=r"17 agents of mixed versions, diagnosis/.* in 2: .*materialise agents/claims"
    ):
        ask(pl.concat([claims, older]))
    with pytest.raises(AgentsError, match=r"localization/findings are of models older.*materialise"):
        ask(findings=given["findings"].with_columns(models_version=pl.lit("older")))
    with pytest.raises(AgentsError, match=r"retrieval/neighbours are of alignment older"):
        ask(neighbours=near(clip="older"))
    with pytest.raises(AgentsError, match=r"aligned_slices are of version older"):
        ask(aligned_slices=given["aligned_slices"].with_columns(model_version=pl.lit("older")))
    with pytest.raises(AgentsError, match="not one claim for each condition"):
        ask(claims.slice(1))
    refuse_mixed(claims)


def test_the_scorecard_counts_who_was_asked_answered_and_decided(archive, heads):
    tables = archive({"a": T1_T2, "b": T1_T2, "c": [("PD", "sagittal", "other")]})
    stub = heads(ALL | {"cyst": 0.9, "edema": 0.5})
    models = Published(heads=stub)
    given = findings(finding("cyst", 1, "a-s0-i0", study_key="a"))
    claims = tables.diagnose(stub, findings=given)
    frame = results(claims, tables.slices, models, settings=SETTINGS, findings=given)
    table = scorecard(
        registry(models, measured()), [frame.filter(study_key="a"), frame.filter(pl.col("study_key") != "a")]
    )
    assert table.schema == SCORECARD
    assert table["agent"].to_list() == list(agent_names())
    counts = ["n_studies", "n_asked", "n_answered", "answered", "n_decided", "decided"]
    told = {row["agent"]: tuple(row[name] for name in counts) for row in table.iter_rows(named=True)}
    assert told["diagnosis/cyst"] == (3, 3, 2, pytest.approx(2 / 3), 2, 1.0)
    assert told["diagnosis/edema"] == (3, 3, 2, pytest.approx(2 / 3), 0, 0.0)
    assert told["localization/cyst"] == (3, 2, 1, 0.5, 1, 1.0)
    assert told["localization/pars"] == (3, 0, 0, None, 0, None)
    assert told["retrieval/image_to_report"] == (3, 3, 0, 0.0, 0, None)
    assert told["report"] == (None, None, None, None, None, None)


def test_the_scorecard_refuses_agents_that_are_not_registered_so(archive, heads):
    tables = archive({"a": T1_T2})
    stub = heads(ALL)
    frame = results(tables.diagnose(stub), tables.slices, Published(heads=stub), settings=SETTINGS)
    newer = registry(Published(heads=replace(stub, version="heads-b")), measured())
    with pytest.raises(AgentsError, match=re.escape("spoke in version 3+heads-a, registered is 3+heads-b")):
        scorecard(newer, [frame])
    assert scorecard(newer, [])["n_studies"].sum() == 0
