"""Refreshes and generations on one tiny installation, whose encoders are drawn and not trained.

Every test leaves generation g1 served and nothing due.
"""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipelines import generations
from pipelines.execution import RunFailed
from pipelines.lake_log import LakeLog
from pipelines.refreshing import FOLLOWS, plan_refresh, registered
from pipelines.retelling import settle
from pipelines.runner import Runner
from pipelines.runtime import generations as places
from pipelines.runtime.generations import GenerationError
from pipelines.runtime.resources import Hospital
from pipelines.steps import findings_steps
from sql.warehouse import open_lake
from tests.conftest import install, tiny_profile
from tests.pipelines.drawn_encoders import publish_encoders

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dagster")
VECTORS = ("embeddings", "slices")


def models(runner: Runner, stages, retrain: bool) -> bool:
    """Instead of hours: freeze, and draw encoders where there are none."""
    if "backbone" not in stages:
        return False
    first = not runner.hospital.encoders()
    if first:
        runner.execute("freeze", None)
    if first or retrain:
        publish_encoders(runner.hospital, seed=1 if first else 5)
    return first or retrain


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    from spine_models.phantom import write_hospital

    folder = tmp_path_factory.mktemp("site")
    write_hospital(folder / "phantom", patients=2, seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runner, "_models", models)
        patch.setattr(Runner, "rebuild", lambda runner: runner.say("rebuilt"))
        installed = install(
            folder, folder / "phantom" / "inbox", folder / "phantom" / "truth",
            archive={"batch_studies": 4, "workers": 1},
        )  # fmt: skip
        installed.runner().run(installed.inbox, through="scores")
        yield installed


def refreshed(site) -> Runner:
    runner = site.runner()
    runner.refresh()
    return runner


def plan(site):
    return plan_refresh(site.hospital, LakeLog(site.instance), registered(site.hospital)).due


def vector_versions(site) -> set[str]:
    return set(site.table(*VECTORS)["model_version"])


def test_nothing_new_is_nothing_to_do(site):
    assert plan(site) == []
    runner = site.runner()
    assert runner.refresh() == []
    assert runner.executed == []


def test_a_new_report_goes_through_to_the_drafts_and_a_killed_refresh_goes_on(site, monkeypatch):
    report = sorted((site.inbox / "reports").iterdir())[0]
    report.write_bytes(report.read_bytes() + b"\nAddendum: nothing else.\n")
    execute = Runner.execute_alone

    def killed(runner, job, partition):
        execute(runner, job, partition)
        if job == "corpus_through_shards":
            raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "execute_alone", killed)
    with pytest.raises(KeyboardInterrupt):
        site.runner().refresh()
    monkeypatch.setattr(Runner, "execute_alone", execute)
    after = refreshed(site)
    touched = {batch for _, batch in after.executed}
    jobs = {job for job, _ in after.executed}
    fitted = {step.job for step in findings_steps() if step.fitted}
    assert jobs.isdisjoint(fitted | {"freeze", "pretrain", "anchor", "align", "synthesize"})
    assert len(touched) <= 1, "the batch that was through is not made again"
    assert plan(site) == []


READ = "readings of people changed"


def test_a_changed_readers_file_makes_its_own_tables_anew_and_nothing_else(site):
    draft = site.table("reports", "drafts").sort("study_key").row(0, named=True)
    line = f"r1,{draft['study_key']},{draft['draft_key']}"
    file, header = site.hospital.readers_file, "reader,study_key,draft_key,score\n"
    own = {dg.AssetKey(["scores", "readers"]), dg.AssetKey(["scores", "radpeer"])}
    for text, scores in ((f"{header}{line},2a\n", ["2a"]), (f"{header}{line},1\n", ["1"]), (None, [])):
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        (due,) = plan(site)
        assert (due.batch, due.stage, set(due.keys), due.reasons) == (None, "scores", own, (READ,))
        runner = refreshed(site)
        assert runner.executed == [(due.job, None)]
        assert "rebuilt" in site.said, "the warehouse follows"
        assert site.table("scores", "readers")["score"].to_list() == scores
        if text is not None:
            file.write_text(text)  # the same content, written again
        assert plan(site) == []
        assert refreshed(site).executed == []
        site.said.clear()


def test_a_run_hears_readers_too_and_a_file_that_cannot_be_read_is_named(site):
    file = site.hospital.readers_file
    file.write_text("reader,study_key,draft_key,score\nr1,s,d,9\n")
    with pytest.raises(RunFailed, match=r"readers\.csv, line 2, column score"):
        site.runner().run(site.inbox, through="scores")
    file.unlink()
    runner = site.runner()
    runner.run(site.inbox, through="scores")
    assert runner.executed == [], "the readings are those that are known again"


def test_other_code_is_a_reason_and_what_rests_on_it_follows(site, monkeypatch):
    from assets.findings.embeddings.vectors import embeddings

    spec = embeddings.specs_by_key[dg.AssetKey(["embeddings", "slices"])]
    log = LakeLog(site.instance)
    definitions = type(log.definitions[spec.key])

    def changed(d):
        return {s.key: s.replace_attributes(code_version="x") if s.key == spec.key else s for s in d.specs}

    monkeypatch.setattr(definitions, "specs_by_key", property(changed))
    due = plan_refresh(site.hospital, log, registered(site.hospital)).due
    first = [d for d in due if d.batch == due[0].batch]
    assert (first[0].stage, first[0].reasons) == ("embeddings", ("other code",))
    assert {d.reasons for d in first[1:]} == {(FOLLOWS,)}
    followers = ["probes", "attribution", "localization", "retrieval", "agents", "llava", "reports"]
    # A stage of several steps follows as a whole before the next.
    stages = [d.stage for d in first[1:]]
    assert [b for a, b in zip([None, *stages], stages, strict=False) if a != b] == [
        stage for stage in followers if stage in stages
    ]
    assert {"probes", "attribution", "agents", "reports"} <= {d.stage for d in first}


def test_newer_models_change_nothing_until_a_generation_of_them_is_served(site):
    lake, before = site.hospital.lake.root, vector_versions(site)
    publish_encoders(site.hospital, seed=2)
    assert plan(site) == [], "the night embeds with no model that has no heads"
    said: list[str] = []
    ran = generations.build(site.hospital, site.instance, "g2", said.append)
    assert ("probes_lake", None) in ran
    assert generations.build(site.hospital, site.instance, "g2", said.append) == [], "whole"
    assert places.served(lake) == "g1"
    assert vector_versions(site) == before
    assert plan(site) == []
    generations.switch(site.hospital, site.instance, "g2", said.append)
    after = vector_versions(site)
    assert after.isdisjoint(before)
    with open_lake(lake) as database:
        rows = database.execute("SELECT DISTINCT model_version FROM embeddings.slices").fetchall()
    assert {version for (version,) in rows} == after
    assert plan(site) == []
    publish_encoders(site.hospital, seed=3)
    publish_encoders(site.hospital, seed=4)
    generations.switch(site.hospital, site.instance, "g1", said.append)
    assert vector_versions(site) == before
    assert plan(site) == []
    assert refreshed(site).executed == []
    assert site.hospital.encoders()["t1"].is_dir(), "a pinned version is never discarded"
    both = generations.list_generations(site.hospital, site.instance)
    assert [(g.name, g.served, g.missing) for g in both] == [("g1", True, []), ("g2", False, [])]


def test_a_generation_that_is_not_whole_is_not_served(site):
    lake = site.hospital.lake.root
    places.write_pins(lake, "half", site.hospital.newest_models())
    with pytest.raises(GenerationError, match=r"never built.*models build half"):
        generations.switch(site.hospital, site.instance, "half", print)
    with pytest.raises(GenerationError, match="no generation 'nobody': there are g1"):
        generations.switch(site.hospital, site.instance, "nobody", print)
    with pytest.raises(GenerationError, match="the one that is served"):
        generations.build(site.hospital, site.instance, "g1", print)
    with pytest.raises(GenerationError, match="switch to another one first"):
        generations.drop(site.hospital, "g1")
    with pytest.raises(GenerationError, match="lower-case"):
        generations.build(site.hospital, site.instance, "../g", print)
    generations.drop(site.hospital, "half")
    assert "half" not in places.names(lake)
    assert places.served(lake) == "g1"


def test_a_drop_that_was_cut_off_is_finished_by_the_same_words(tmp_path, monkeypatch):
    hospital = Hospital(profile=str(tiny_profile(tmp_path)), home=str(tmp_path), key_file="")
    lake = hospital.lake.root
    places.write_pins(lake, "cut", {"backbone/anchored/t1": "0" * 16})
    table = places.room(lake, "cut") / "embeddings" / "slices" / "b.parquet"
    table.parent.mkdir(parents=True)
    table.write_bytes(b"")
    with monkeypatch.context() as patch:
        patch.setattr(generations.shutil, "rmtree", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            generations.drop(hospital, "cut")
    assert table.exists()
    assert "cut" in places.names(lake), "a generation while any of its tables is there"
    generations.drop(hospital, "cut")
    assert not places.room(lake, "cut").exists()


def test_a_switch_that_was_cut_off_is_told_by_whoever_comes_next(site, monkeypatch):
    said: list[str] = []
    generations.build(site.hospital, site.instance, "g3", said.append)
    with monkeypatch.context() as patch:
        serve = places.serve
        patch.setattr(places, "serve", lambda *a: (serve(*a), (_ for _ in ()).throw(KeyboardInterrupt)))
        with pytest.raises(KeyboardInterrupt):
            generations.switch(site.hospital, site.instance, "g3", said.append)
    assert places.served(site.hospital.lake.root) == "g3"
    assert settle(site.hospital, site.instance)
    assert not settle(site.hospital, site.instance)
    assert plan(site) == []
    generations.switch(site.hospital, site.instance, "g1", said.append)
    generations.drop(site.hospital, "g3")
    assert plan(site) == []


def test_retraining_moves_the_served_generation_where_it_lies(site):
    before = places.pins(site.hospital.lake.root, "g1")
    runner = site.runner()
    runner.run(site.inbox, through="scores", retrain=True)
    assert places.pins(site.hospital.lake.root, "g1") == site.hospital.newest_models() != before
    assert ("probes_lake", None) in runner.executed
    assert len(vector_versions(site)) == 2, "one model a route: nothing of the old one is left"
    assert plan(site) == []


def test_vectors_of_two_generations_are_never_one_table(site):
    """A generation is re-pinned, but the run is cut off before its heads: the night waits."""
    lake = site.hospital.lake.root
    before = places.pins(lake, "g1")
    places.write_pins(lake, "g1", before | {"backbone/anchored/t1": "0" * 16})
    found = plan_refresh(site.hospital, LakeLog(site.instance), registered(site.hospital))
    assert found.due == []
    assert "--retrain" in found.waits["embeddings"]
    places.write_pins(lake, "g1", before)


def test_lines_of_a_refresh_say_why(site):
    lines = pl.concat([pl.read_parquet(file) for file in sorted(site.hospital.nights_root.glob("*.parquet"))])
    assert lines.filter(pl.col("reasons").list.len() == 0).is_empty()
    assert "new or changed files" in lines.explode("reasons")["reasons"].to_list()
    assert set(lines["trigger"]) == {"command"}


@pytest.mark.parametrize("content", [{"generation": "g2"}, None])
def test_the_pointer_is_the_only_thing_that_a_reader_asks(tmp_path, content):
    lake = Path(tmp_path)
    if content:
        (lake / "generations").mkdir()
        (lake / "generations" / "serving.json").write_text(json.dumps(content))
    name = places.served(lake)
    assert name == ("g2" if content else "g1")
    root = places.stage_root(lake, name, "embeddings")
    assert root == (lake / "generations" / "g2" if content else lake)
    assert places.stage_root(lake, name, "shards") == lake
