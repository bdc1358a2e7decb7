"""What a run finds due, told to an event log by hand: nothing is trained and nothing is computed."""

from __future__ import annotations

import errno
from pathlib import Path

import dagster as dg
import pytest

from pipelines import runner as runners
from pipelines.definitions import defs
from pipelines.execution import RunFailed
from pipelines.freshness import CODE_VERSION_TAG, DATA_VERSION_TAG, INPUT_TAG, MODELS
from pipelines.intake import Registration
from pipelines.jobs import ABLATIONS
from pipelines.lake_log import LakeLog
from pipelines.retelling import USER_TAG
from pipelines.runner import Runner
from pipelines.runtime import generations as places
from pipelines.runtime import resources
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.report_model import demand_named_decoder
from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import StorageError
from pipelines.steps import findings_steps
from spine_models.corpus.deid import new_key_file
from tests.conftest import tiny_profile

ROUTES = ("t1", "t2")
TRAININGS = {"freeze", "pretrain", "anchor", "align", "synthesize"}


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(name.split("/"))


@pytest.fixture
def hospital(tmp_path):
    new_key_file(tmp_path / "key")
    profile = str(tiny_profile(tmp_path))
    return Hospital(profile=profile, home=str(tmp_path / "home"), key_file=str(tmp_path / "key"))


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("study_batches", ["a-0001", "b-0001"])
        yield instance
        _logs.clear()


_logs: dict[int, LakeLog | None] = {}
"""One log per instance, kept up to date: reading it whole for every event would take minutes."""


def tell(instance, asset, partition=None, *, version="1", code=None, models=None) -> None:
    """A materialisation, with the inputs as they stand in the log, unless it is of the code it names."""
    log = _logs.setdefault(id(instance), None) or LakeLog(instance)
    _logs[id(instance)] = log
    spec = log.definitions[asset].specs_by_key[asset]
    tags = {DATA_VERSION_TAG: version, CODE_VERSION_TAG: code or spec.code_version, USER_TAG: "true"}
    for dep in spec.deps:
        batches = log.definitions[dep.asset_key].partitions_def == study_batches
        now = log._versions(dep.asset_key, [partition] if batches and partition else None)
        if now:
            tags[f"{INPUT_TAG}/{'/'.join(dep.asset_key.path)}"] = sorted(now)[0]
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset, partition=partition, tags=tags, metadata={MODELS: models} if models else {}
        )
    )
    log.reread([asset], partition)


class Told(Runner):
    """Runs nothing: every job is noted, and told to the log as made."""

    def execute(self, job, partition):
        self.executed.append((job, partition))
        jobs = self.definitions.resolve_job_def(job).asset_layer.executable_asset_keys
        for made in sorted(jobs):
            models = self.hospital.models_version if made.path[0] in places.GENERATION_STAGES else None
            tell(self.instance, made, partition, version=f"v{len(self.executed)}", models=models)

    def rebuild(self):
        self.say("rebuilt")


@pytest.fixture
def make(hospital, instance, monkeypatch):
    """A runner of an inbox that holds batch a-0001, b-0001 being of another one; and what it said."""
    monkeypatch.setattr(
        runners, "register", lambda *_, **__: Registration(["a-0001"], ["a-0001"], 1), raising=True
    )
    monkeypatch.setattr(Runner, "_corpus", lambda *_, **__: None)
    monkeypatch.setattr(Runner, "_agree", lambda *_, **__: None)
    said: list[str] = []

    def new() -> Told:
        said.clear()
        return Told(hospital, defs, instance, said.append)

    new.said = said
    return new


def everything_trained(instance, hospital, *, without=()) -> None:
    for stage in ("shards/manifest", "shards/patients"):
        tell(instance, key(stage))
    layer = {k for d in defs.assets for k in d.keys if k.path[0] in ("backbone", "clip", "synthesizer")}
    order = ("backbone", "clip", "synthesizer")
    for asset in sorted(layer, key=lambda k: (order.index(k.path[0]), k.path)):
        if asset.path[0] in without:
            continue
        for route in ROUTES if asset.path[0] == "backbone" else [None]:
            tell(instance, asset, route)
    places.write_pins(hospital.lake.root, "g1", {"backbone/anchored/t1": "1" * 16})


def trained(runner) -> list[str]:
    return [job for job, _ in runner.executed if job in TRAININGS]


def test_the_first_run_trains_everything_once(make, hospital, tmp_path):
    runner = make()
    assert runner._models(["backbone", "clip", "synthesizer"], False)
    assert trained(runner) == [
        "freeze", "pretrain", "anchor", "pretrain", "anchor", "align", "synthesize"
    ]  # fmt: skip
    again = make()
    assert not again._models(["backbone", "clip", "synthesizer"], False)


def test_a_newer_freeze_or_other_code_trains_only_where_it_is_asked_for(make, instance, hospital):
    everything_trained(instance, hospital)
    tell(instance, key("shards/manifest"), version="2")
    tell(instance, key("clip/aligned"), code="older")
    runner = make()
    runner.run(Path("inbox"), through="synthesizer")
    assert trained(runner) == []
    assert any("pretrain t1" in line and "align" in line and "--retrain" in line for line in make.said)
    asked = make()
    asked.run(Path("inbox"), through="synthesizer", retrain=True)
    assert set(trained(asked)) == TRAININGS


def test_what_never_was_is_trained_and_nothing_before_it(make, instance, hospital):
    everything_trained(instance, hospital, without=("synthesizer",))
    tell(instance, key("shards/manifest"), version="2")
    runner = make()
    runner.run(Path("inbox"), through="synthesizer")
    assert trained(runner) == ["synthesize"]


def test_the_served_generation_moves_only_with_retrain(make, hospital, monkeypatch):
    places.write_pins(hospital.lake.root, "g1", {"backbone/anchored/t1": "1" * 16})
    newer = {"backbone/anchored/t1": "2" * 16, "clip/aligned": "3" * 16}
    monkeypatch.setattr(Hospital, "newest_models", lambda _: newer)
    monkeypatch.setattr(Runner, "_models", lambda *_: True)
    make().run(Path("inbox"), through="embeddings")
    assert places.pins(hospital.lake.root, "g1")["backbone/anchored/t1"] == "1" * 16
    make().run(Path("inbox"), through="embeddings", retrain=True)
    assert places.pins(hospital.lake.root, "g1") == newer


def test_models_are_not_moved_under_a_run(make, instance, hospital, monkeypatch):
    before = {"backbone/anchored/t1": "1" * 16}
    places.write_pins(hospital.lake.root, "g1", before)
    monkeypatch.setattr(Hospital, "newest_models", lambda _: {"backbone/anchored/t1": "2" * 16})
    monkeypatch.setattr(Runner, "_models", lambda *_: True)
    instance.add_run(dg.DagsterRun(job_name="refresh", status=dg.DagsterRunStatus.NOT_STARTED))
    with pytest.raises(RunFailed, match=r"1 runs are under way.*--retrain"):
        make().run(Path("inbox"), through="embeddings", retrain=True)
    assert places.pins(hospital.lake.root, "g1") == before


def test_a_retraining_that_may_not_move_the_models_is_refused_before_hours_of_it(
    make, instance, hospital, monkeypatch
):
    began: list[str] = []
    monkeypatch.setattr(Runner, "_models", lambda *_: began.append("training"))
    monkeypatch.setattr(runners, "register", lambda *_, **__: began.append("corpus"))
    instance.add_run(dg.DagsterRun(job_name="refresh", status=dg.DagsterRunStatus.NOT_STARTED))
    with pytest.raises(RunFailed, match=r"1 runs are under way.*--retrain"):
        make().run(Path("inbox"), through="embeddings", retrain=True)
    assert began == []


def test_a_run_that_begins_while_the_corpus_is_made_is_seen_before_training(
    make, instance, hospital, monkeypatch
):
    began: list[str] = []
    monkeypatch.setattr(Runner, "_models", lambda *_: began.append("training"))

    def corpus(*_: object, **__: object) -> None:
        instance.add_run(dg.DagsterRun(job_name="refresh", status=dg.DagsterRunStatus.NOT_STARTED))

    monkeypatch.setattr(Runner, "_corpus", corpus)
    with pytest.raises(RunFailed, match="1 runs are under way"):
        make().run(Path("inbox"), through="embeddings", retrain=True)
    assert began == []


def test_trainings_that_move_nothing_that_is_served_wait_for_nobody(make, instance, hospital):
    everything_trained(instance, hospital)
    instance.add_run(dg.DagsterRun(job_name="refresh", status=dg.DagsterRunStatus.NOT_STARTED))
    runner = make()
    runner.run(Path("inbox"), through="synthesizer", retrain=True)
    assert set(trained(runner)) == TRAININGS


@pytest.mark.parametrize("retrain", [False, True])
def test_pins_that_cannot_be_written_are_seen_before_training(make, hospital, monkeypatch, retrain):
    began: list[str] = []
    monkeypatch.setattr(Runner, "_models", lambda *_: began.append("training"))

    def closed(**_: object) -> str:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(resources, "mkdtemp", closed)
    with pytest.raises(
        StorageError, match="pins of generation g1 could not be written: the file system is read"
    ):
        make().run(Path("inbox"), through="embeddings", retrain=retrain)
    assert began == []


def everything_found(instance, hospital) -> None:
    """All findings of both batches, of the models that are pinned."""
    for batch in ("a-0001", "b-0001"):
        tell(instance, key("shards/slices"), batch)
    everything_trained(instance, hospital)
    for step in findings_steps():
        for batch in ("a-0001", "b-0001") if step.per_batch else [None]:
            # Twice, as assets of a step rest on each other in an order of their own.
            for asset in (*step.keys, *step.keys):
                found = asset.path[0] in places.GENERATION_STAGES
                tell(instance, asset, batch, models=hospital.models_version if found else None)


def test_neighbours_of_every_inbox_follow_the_index(make, instance, hospital):
    everything_found(instance, hospital)
    (index,) = [step for step in findings_steps() if step.gathers and not step.per_batch][:1]
    follow = [step for step in findings_steps() if step.gathers and step.per_batch]
    assert follow
    tell(instance, key("embeddings/slices"), "a-0001", version="2", models=hospital.models_version)
    runner = make()
    runner.run(Path("inbox"), through="scores")
    assert (index.job, None) in runner.executed
    resting = [
        step
        for step in follow
        if {d.asset_key for k in step.keys for d in _deps(instance, k)} & set(index.keys)
    ]
    assert resting
    for step in resting:
        assert {batch for job, batch in runner.executed if job == step.job} == {"a-0001", "b-0001"}, step.job


def _deps(instance, asset):
    return LakeLog(instance).definitions[asset].specs_by_key[asset].deps


def test_what_is_fitted_follows_neither_the_index_nor_a_freeze(instance, hospital):
    everything_found(instance, hospital)
    for moved in ("retrieval/index", "shards/patients", "shards/manifest"):
        tell(instance, key(moved), version="2", models=hospital.models_version)
    tell(instance, key("embeddings/slices"), "a-0001", version="2", models=hospital.models_version)
    log, models = LakeLog(instance), hospital.models_version
    steps = [step for step in findings_steps() if step.fitted and step.stage != ABLATIONS]
    assert {step.job: log.reasons(step.keys, None, models=models, fitted=True) for step in steps} == {
        step.job: [] for step in steps
    }
    assert log.reasons(steps[0].keys, None, models="others", fitted=True) == ["other models"]
    tell(instance, steps[0].keys[0], code="older", models=models)
    log = LakeLog(instance)
    assert "other code" in log.reasons(steps[0].keys, None, models=models, fitted=True)


def test_a_retraining_that_was_cut_off_is_finished_for_every_inbox(make, instance, hospital):
    everything_found(instance, hospital)
    places.write_pins(hospital.lake.root, "g1", {"backbone/anchored/t1": "2" * 16})
    runner = make()
    runner.run(Path("inbox"), through="scores")
    assert trained(runner) == []
    (embeds, *_) = [step for step in findings_steps() if key("embeddings/slices") in step.keys]
    assert {batch for job, batch in runner.executed if job == embeds.job} == {"a-0001", "b-0001"}
    log = LakeLog(instance)
    for step in findings_steps():
        for asset in step.keys:
            hashes = {m.models for _, m in log.partitions_made(asset)} - {None}
            assert hashes <= {hospital.models_version}, asset


def test_a_decoder_that_cannot_be_used_is_told_before_anything_runs(make, instance, tmp_path, monkeypatch):
    new_key_file(tmp_path / "other-key")
    profile = str(tiny_profile(tmp_path, llava={"decoder": "Llama-3.1-8B-Instruct"}))
    runner = make()
    runner.hospital = Hospital(
        profile=profile, home=str(tmp_path / "hospital"), key_file=str(tmp_path / "other-key")
    )
    with pytest.raises(
        ValueError, match=r"there is no decoder 'Llama-3\.1-8B-Instruct': .*llava.decoder to null"
    ):
        runner.run(Path("inbox"), through="reports")
    assert not runner.executed
    runner.run(Path("inbox"), through="clip")
    assert runner.executed

    # One that is published is asked about again only where it would be published anew.
    monkeypatch.setattr(type(runner.hospital.lake), "has_artifact", lambda *_: True)
    demand_named_decoder(runner.hospital)
    with pytest.raises(ValueError, match="there is no decoder"):
        demand_named_decoder(runner.hospital, again=True)
