import dagster as dg
import pytest

from assets import STAGES, all_assets
from pipelines.checks import sql_check_keys
from pipelines.definitions import defs
from pipelines.jobs import all_jobs
from pipelines.runtime.partitions import encoder_sequences, study_batches


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
        "probe_baselines",
        "attribution_scores",
        "clip_bi_modal_ablation",
        "clip_concat_ablation",
        "gates_scalar_ablation",
        "ablation_vectors",
    }


def test_training_is_started_by_no_schedule_and_no_sensor():
    repository = defs.get_repository_def()
    started = {s.job_name for s in repository.schedule_defs} | {s.job_name for s in repository.sensor_defs}
    for job in started:
        nodes = {node.name for node in defs.resolve_job_def(job).nodes}
        assert nodes.isdisjoint(
            {"backbone", "anchored", "clip", "synthesizer", "synthesizer_aligned", "probes"}
        )


def test_blocking_checks_guard_what_leaves():
    blocking = {
        (s.asset_key.to_user_string(), s.name) for d in all_assets() for s in d.check_specs if s.blocking
    }
    assert {("deid/dicom", "gate"), ("shards/manifest", "no_test_patient_trains")} <= blocking
