"""The stage's assets over a small lake: two batches, a model that wrote, readers who read, nobody to ask."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets import assets_of
from assets.reporting import scores
from pipelines.runtime.io_managers import parquet_io_manager
from pipelines.runtime.models import LanguageModels
from pipelines.runtime.resources import Hospital
from spine_models.corpus.deid.tables import STUDIES
from spine_models.corpus.labels import consensus, label_reports
from spine_models.corpus.shards.tables import SPLITS
from spine_models.findings.retrieval.tables import NEIGHBOURS
from spine_models.reporting.agents.tables import CLAIMS
from spine_models.reporting.llava.tables import ANSWERS
from spine_models.reporting.reports.tables import DRAFTS
from sql.catalogue import checks
from sql.warehouse import broken_rows, open_lake
from tests.reporting.scores.conftest import key

BATCHES = ("internal-0001", "internal-0002")
REPORTS = {
    BATCHES[0]: {"a": "FINDINGS: Severe canal stenosis at L4-L5.", "b": "FINDINGS: No fracture."},
    BATCHES[1]: {"c": "FINDINGS: Left disc herniation at L5-S1.", "d": "FINDINGS: Fracture of L2."},
}
"""Studies ``a``, ``b`` and ``c`` are of test patients, ``d`` of a train patient."""


def rows_of(schema: pl.Schema, rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame([dict.fromkeys(schema) | row for row in rows], schema=schema)


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    made = Hospital(profile="phantom", home=str(tmp_path), key_file="")
    lake = made.lake
    for batch, texts in REPORTS.items():
        ids = [{"batch_key": batch, "patient_key": key(f"p{name}"), "study_key": key(name)} for name in texts]
        reports = pl.DataFrame(
            [
                one | {"report_key": one["study_key"], "report_text": texts[one["study_key"].lstrip("0")]}
                for one in ids
            ]
        )
        tables = label_reports(reports)
        drafts = [
            one | {"draft_key": f"draft-{one['study_key'].lstrip('0')}", "report_text": text}
            for one, text in zip(ids, texts.values(), strict=True)
        ]
        claims = [one | {"condition": "canal", "probability": 0.5} for one in ids]
        neighbours = [one | {"rank": 1, "neighbour_study_key": key("d")} for one in ids]
        splits = [
            {name: one[name] for name in ("batch_key", "patient_key")}
            | {"split": "train" if one["study_key"] == key("d") else "test"}
            for one in ids
        ]
        for thing, frame in {
            ("deid", "studies"): rows_of(STUDIES, ids),
            ("deid", "reports"): reports,
            ("labels", "mentions"): tables.mentions,
            ("labels", "consensus"): consensus([tables.rules]),
            ("shards", "splits"): rows_of(SPLITS, splits),
            ("reports", "drafts"): rows_of(DRAFTS, drafts),
            ("agents", "claims"): rows_of(CLAIMS, claims),
            ("retrieval", "neighbours"): rows_of(NEIGHBOURS, neighbours),
        }.items():
            lake.write_table(thing, batch, frame)
    answers = [
        {
            "study_key": key(name),
            "conditioning": conditioning,
            "text": text,
            "model_version": "v",
            "reason": None,
        }
        for name, text in (("a", "FINDINGS: Fracture of L1."), ("b", "FINDINGS: Fracture of L1."), ("c", ""))
        for conditioning in ("image_only", "agents")
    ]
    lake.write_table(("llava", "answers"), None, rows_of(ANSWERS, answers))
    file = tmp_path / "readers.csv"
    file.write_text(
        f"reader,study_key,draft_key,score,corrected_text\nr1,{key('a')},draft-a,2a,FINDINGS: Normal.\n"
        f"r2,{key('a')},draft-a,1,\nr1,{key('a')},draft-old,1,\n"
    )
    return made


def test_the_stage_scores_the_whole_lake(hospital):
    done = dg.materialize(
        assets_of(scores),
        resources={
            "hospital": hospital,
            "language_models": LanguageModels(),
            "io_manager": parquet_io_manager,
        },
    )
    assert done.success
    found_by_name = {found.check_name: found for found in done.get_asset_check_evaluations()}
    assert {name: found.passed for name, found in found_by_name.items()} == {
        "errors_lower_the_score": True,
        "no_study_is_dropped": True,
        "agents_help": True,
        "drafts_are_known": False,
    }
    # Drafts are the reports themselves here; the other texts find nothing: better, but by no ratio.
    told = found_by_name["agents_help"].metadata
    assert (told["f1"].value, told["f1_image_only"].value, "f1_ratio" in told) == (1.0, 0.0, False)
    assert told["reason"].value == "the other's value is zero"
    with open_lake(hospital.lake.root) as lake:
        table = lake.sql("FROM queries.report_scores").pl()
        readers = lake.sql("FROM queries.radpeer_summary").pl()
        rules = [check for check in checks().values() if check.name.startswith("scores__")]
        assert rules
        assert [check.name for check in rules if broken_rows(lake, check)[0]] == []
    rows = {row["method"]: row for row in table.to_dicts()}
    assert (rows["agents"]["n_studies"], rows["agents"]["f1"]) == (3, 1.0)
    assert rows["image_only"]["n_unreadable"] == 1
    assert rows["image_only"]["f1"] == rows["retrieved"]["f1"] == 0.0
    assert rows["agents"]["judge_supported"] is None
    counted = readers.filter(measure="readings").select("score", "n").rows()
    assert counted == [("read", 2), ("unknown_draft", 1), ("other_study", 0)]
    judged = pl.read_parquet(hospital.lake.table_path(("scores", "judgements")))
    assert set(judged["reason"]) == {"no language model is configured (scores.llm)"}


def test_a_lake_without_model_index_and_readers_says_so(hospital):
    lake = hospital.lake
    lake.table_path(("llava", "answers")).unlink()
    for batch in BATCHES:
        lake.table_path(("retrieval", "neighbours"), batch).unlink()
    (Path(hospital.home) / "readers.csv").unlink()
    done = dg.materialize(
        assets_of(scores),
        resources={
            "hospital": hospital,
            "language_models": LanguageModels(),
            "io_manager": parquet_io_manager,
        },
    )
    assert done.success
    frame = pl.read_parquet(lake.table_path(("scores", "studies")))
    by_method = {
        method: set(rows["status"]) for (method,), rows in frame.partition_by("method", as_dict=True).items()
    }
    assert by_method == {
        "agents": {"scored"}, "agents_llm": {"missing"}, "image_only": {"missing"}, "retrieved": {"missing"},
    }  # fmt: skip
    assert pl.read_parquet(lake.table_path(("scores", "readers"))).is_empty()


def test_without_a_test_patient_nothing_is_scored_and_nothing_breaks(hospital):
    lake = hospital.lake
    for batch in BATCHES:
        splits = lake.read_table(("shards", "splits"), [batch]).with_columns(split=pl.lit("train"))
        lake.write_table(("shards", "splits"), batch, splits)
    done = dg.materialize(
        assets_of(scores),
        resources={
            "hospital": hospital,
            "language_models": LanguageModels(),
            "io_manager": parquet_io_manager,
        },
    )
    failed = [found for found in done.get_asset_check_evaluations() if not found.passed]
    assert {found.check_name for found in failed} == {
        "errors_lower_the_score",
        "agents_help",
        "drafts_are_known",
    }
    assert {found.severity for found in failed} == {dg.AssetCheckSeverity.WARN}
    tables = {
        name: pl.read_parquet(lake.table_path(("scores", name)))
        for name in ("studies", "methods", "comparisons", "conditions", "perturbations", "judgements")
    }
    assert tables.pop("studies").is_empty()
    for name, frame in tables.items():
        assert frame.height > 0, name
        assert set(frame["status"]) == {"not_evaluable"} or name == "perturbations"
        assert frame.filter(pl.col("status") == "not_evaluable")["reason"].null_count() == 0
    with open_lake(lake.root) as opened:
        for check in checks().values():
            if check.name.startswith("scores__"):
                assert broken_rows(opened, check)[0] == 0, check.name


JUDGED_BY = "name: judged\nextends: phantom\nscores:\n  bootstrap: 20\n  llm: {name: judge, model: tiny, attempts: 1}\n"


def test_a_configured_model_is_asked_once_and_its_verdicts_stay(hospital, tmp_path):
    from tests.corpus.labels.llm.fake_server import FakeServer
    from tests.reporting.scores.test_judge import honest

    profile = tmp_path / "judged.yaml"
    profile.write_text(JUDGED_BY)
    hospital = Hospital(profile=str(profile), home=hospital.home, key_file="")

    def judge(url: str):
        resources = {
            "hospital": hospital,
            "language_models": LanguageModels(url=url),
            "io_manager": parquet_io_manager,
        }
        return dg.materialize([scores.report_judge], resources=resources, raise_on_error=False)

    with FakeServer(honest) as server:
        assert judge(server.url).success
        asked, address = len(server.asked), server.url
    # Not about the normal draft of a normal study; both texts of the report model are the same and asked about once.
    assert asked == 2 + 3 + 3
    frame = pl.read_parquet(hospital.lake.table_path(("scores", "judgements")))
    rows = {row["method"]: row for row in frame.to_dicts()}
    assert rows["agents"]["supported"] == 1.0
    assert rows["agents"]["omissions"] == 0.0
    assert rows["retrieved"]["supported"] == 0.0
    verdicts = pl.read_parquet(hospital.lake.table_path(("scores", "judged")))
    # The server is gone: what it answered is in the log, and nothing is asked again.
    assert judge(address).success
    assert pl.read_parquet(hospital.lake.table_path(("scores", "judged"))).equals(verdicts)
    for file in (hospital.answers_root / "scores").iterdir():
        file.unlink()
    failed = judge(address)
    assert not failed.success
    (step,) = (event for event in failed.all_events if event.is_step_failure)
    assert "ServerDownError" in str(step.step_failure_data.error)
