import dagster as dg
import pytest

from assets import STAGES, all_assets, assets_of
from pipelines.checks import sql_check_keys
from pipelines.definitions import defs
from pipelines.jobs import all_jobs
from pipelines.runtime.partitions import encoder_sequences, study_batches
from pipelines.steps import ASIDE, findings_stages, findings_steps


def test_definitions_are_loadable_and_hold_every_stage():
    dg.Definitions.validate_loadable(defs)
    assert {spec.key.path[0] for spec in defs.resolve_all_asset_specs()} == {*STAGES, "warehouse"}


@pytest.mark.parametrize("job", [job.name for job in all_jobs()])
def test_every_job_resolves_to_steps(job):
    assert defs.resolve_job_def(job).nodes


def test_every_sql_rule_is_a_check_on_an_existing_asset():
    keys = {key for d in all_assets() for key in d.keys}
    assert sql_check_keys()
    assert {key.asset_key for key in sql_check_keys()} <= keys


def test_partitions_are_batches_routes_or_none():
    for definition in all_assets():
        assert definition.partitions_def in (None, study_batches, encoder_sequences)


def test_gpu_work_waits_in_the_pool():
    pooled = {d.op.name for d in all_assets() if d.op.pool == "gpu"}
    assert pooled == {
        "backbone",
        "anchored",
        "clip",
        "synthesizer",
        "synthesizer_aligned",
        "aligned_embeddings",
        "embeddings",
        "localization",
        "localization_models",
        "level_views",
        "probe_baselines",
        "attribution_scores",
        "clip_bi_modal_ablation",
        "clip_concat_ablation",
        "gates_scalar_ablation",
        "ablation_vectors",
        "llava_decoder",
        "llava_warmed",
        "llava_tuned",
        "llava_written",
        "llava_answers",
        "llava_benchmark",
    }


TRAINED = {"backbone", "clip", "synthesizer"}


def test_training_is_started_by_no_schedule_and_no_sensor():
    repository = defs.get_repository_def()
    started = {s.job_name for s in repository.schedule_defs}
    started |= {target.job_name for s in repository.sensor_defs for target in s.targets}
    assert "refresh" in started
    for job in started:
        keys = defs.resolve_job_def(job).asset_layer.executable_asset_keys
        frozen = {dg.AssetKey(["shards", thing]) for thing in ("manifest", "patients")}
        fitted = {key for step in findings_steps() if step.fitted for key in step.keys}
        trained = {key for key in keys if key.path[0] in TRAINED}
        assert keys.isdisjoint(frozen | fitted), job
        assert not trained, job


def test_every_asset_of_the_findings_is_in_one_step_after_what_it_rests_on():
    steps = findings_steps()
    made = [key for step in steps for key in step.keys]
    assert len(made) == len(set(made))
    all_keys = {key for stage in findings_stages() for d in assets_of(STAGES[stage]) for key in d.keys}
    assert set(made) == all_keys - set(ASIDE)
    definitions = {key: d for d in all_assets() for key in d.keys}
    for place, step in enumerate(steps):
        later = {key for other in steps[place + 1 :] for key in other.keys}
        for key in step.keys:
            assert (definitions[key].partitions_def is not None) == step.per_batch
            assert later.isdisjoint(dep.asset_key for dep in definitions[key].specs_by_key[key].deps)


def test_heads_are_fitted_and_what_they_say_of_a_batch_is_not():
    of = {key: step for step in findings_steps() for key in step.keys}
    assert of[dg.AssetKey(["probes", "heads"])].fitted
    assert of[dg.AssetKey(["agents", "registry"])].fitted, "as old as the heads"
    readers = of[dg.AssetKey(["scores", "readers"])]
    assert not readers.fitted
    assert readers.gathers, "of the drafts as they are"
    assert set(readers.keys) == {dg.AssetKey(["scores", name]) for name in ("readers", "radpeer")}
    assert of[dg.AssetKey(["scores", "methods"])].fitted
    claims = of[dg.AssetKey(["agents", "claims"])]
    assert claims.per_batch
    assert not claims.fitted


def test_blocking_checks_guard_what_leaves():
    blocking = {
        (s.asset_key.to_user_string(), s.name) for d in all_assets() for s in d.check_specs if s.blocking
    }
    assert {("deid/dicom", "gate"), ("shards/manifest", "no_test_patient_trains")} <= blocking
