"""The sensor for new batches and the nightly schedules, evaluated as the daemon does."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipelines.intake import register
from pipelines.jobs import CORPUS, batch_keys
from pipelines.runtime.resources import Hospital
from pipelines.schedules import nightly_refresh, nightly_warehouse
from pipelines.sensors import (
    canceled_runs,
    changed_tables,
    failed_runs,
    new_adjudications,
    new_batches,
    new_readings,
)
from spine_models.corpus.deid import new_key_file
from tests.conftest import tiny_profile


@pytest.fixture
def hospital(tmp_path):
    return Hospital(
        profile=str(tiny_profile(tmp_path)), home=str(tmp_path / "home"), key_file=str(tmp_path / "key")
    )


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    return folder


def evaluate(sensor, hospital, instance):
    with dg.build_sensor_context(instance=instance, resources={"hospital": hospital}) as context:
        return sensor(context)


def tonight(hospital, instance):
    at_two = datetime(2026, 1, 2, 2, tzinfo=UTC)
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=at_two, resources={"hospital": hospital}
    ) as context:
        return list(nightly_refresh(context))


def test_the_sensor_waits_until_an_inbox_is_registered(hospital):
    with dg.DagsterInstance.ephemeral() as instance:
        result = evaluate(new_batches, hospital, instance)
    assert isinstance(result, dg.SkipReason)
    assert "spineagent run INBOX" in result.skip_message


def test_a_new_file_requests_its_batch_and_an_unchanged_inbox_nothing(hospital, inbox):
    first = register(hospital, inbox, cohort="site")
    assert (first.batches, first.touched, first.files) == (["site-0001"], ["site-0001"], 1)
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(evaluate(new_batches, hospital, instance), dg.SkipReason)
        (inbox / "b.txt").write_text("two")
        result = evaluate(new_batches, hospital, instance)
    assert [request.partition_key for request in result.run_requests] == ["site-0001"]
    assert [r.partition_keys for r in result.dynamic_partitions_requests] == [["site-0001"]]
    assert hospital.ledger().height == 2


def test_a_late_ehr_table_touches_its_own_batch(hospital, inbox):
    register(hospital, inbox, cohort="site")
    (inbox / "ehr").mkdir()
    (inbox / "ehr" / "patients.csv").write_text("mrn,sex\n1,F\n")
    assert register(hospital, inbox, cohort="site").touched == ["site-0001"]


COLUMNS = "study_instance_uid,series_instance_uid,sop_instance_uid,condition,x,y,w,h"
BOX = f"{COLUMNS}\n1.2.2,1.2.2.1,1.2.2.1.1,pars,1,1,2,2\n"


@pytest.mark.parametrize(
    ("name", "content"), [("ehr/day.csv", "mrn,sex\n2,F\n"), ("annotations/boxes.csv", BOX)]
)
def test_a_late_table_touches_the_batches_of_its_patients(hospital, inbox, name, content):
    register(hospital, inbox, cohort="site")
    one = hospital.ledger()
    # Three batches with a patient each, as if their images lay in an inbox that is away.
    images = [
        one.with_columns(
            pl.lit(f"{number}.dcm").alias("relative_path"),
            pl.lit("elsewhere").alias("inbox"),
            pl.lit("dicom").alias("kind"),
            pl.lit(f"1.2.{number}").alias("study_uid"),
            pl.lit(str(number)).alias("patient_id"),
            pl.lit(f"site-000{number}").alias("batch_key"),
        )
        for number in (1, 2, 3)
    ]
    hospital.write_ledger(pl.concat([one, *images]))
    (inbox / name).parent.mkdir()
    (inbox / name).write_text(content)
    assert register(hospital, inbox, cohort="site").touched == ["site-0002", "site-0003"]
    before = hospital.ledger()
    assert before.filter(relative_path=name)["table_rows"].null_count() == 0
    assert register(hospital, inbox, cohort="site").touched == []
    assert hospital.ledger().equals(before)


def test_the_night_requests_what_is_new_and_nothing_that_trains(hospital, inbox, tmp_path):
    new_key_file(Path(hospital.key_file))
    register(hospital, inbox, cohort="site")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        (first,) = tonight(hospital, instance)
        (again,) = tonight(hospital, instance)
        (inbox / "a.txt").write_text("another one")
        (changed,) = tonight(hospital, instance)
    assert first.partition_key == "site-0001"
    assert first.run_key == again.run_key, "the same night asks once for the same thing"
    assert first.run_key != changed.run_key
    assert first.run_key.startswith("refresh-2026-01-02-site-0001-")
    assert set(first.asset_selection) == set(batch_keys(CORPUS)), "what needs an encoder waits for one"
    noted = pl.concat([pl.read_parquet(file) for file in sorted(hospital.nights_root.glob("*.parquet"))])
    assert set(noted["outcome"]) == {"requested"}
    assert noted.filter(pl.col("stage") == "archive")["reasons"].to_list()[0] == ["new batch"]


def test_a_night_without_an_inbox_is_skipped_and_says_why(hospital, tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        (only,) = tonight(hospital, instance)
    assert isinstance(only, dg.SkipReason)
    assert "nothing new" in only.skip_message
    assert "no encoder has been trained" in only.skip_message


def test_the_schedules_run_at_night():
    assert nightly_refresh.cron_schedule == "0 2 * * *"
    assert nightly_warehouse.cron_schedule == "0 5 * * *"


def test_decisions_of_people_ask_for_every_consensus_once(hospital):
    from spine_models.corpus.labels.tables import CONSENSUS

    def look(cursor):
        with dg.build_sensor_context(
            instance=instance, resources={"hospital": hospital}, cursor=cursor
        ) as context:
            return new_adjudications(context)

    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(look(None), dg.SkipReason)
        for batch in ("site-0001", "site-0002"):
            hospital.lake.write_table(("labels", "consensus"), batch, pl.DataFrame(schema=CONSENSUS))
        hospital.adjudications_file.write_text("study_key,condition,status\ns1,canal,absent\n")
        result = look(None)
        assert [request.partition_key for request in result.run_requests] == ["site-0001", "site-0002"]
        assert isinstance(look(result.cursor), dg.SkipReason)
        hospital.adjudications_file.write_text("study_key,condition,status\ns1,gout,absent\n")
        with pytest.raises(ValueError, match="line 2"):
            look(result.cursor)


def test_readers_ask_for_their_tables_by_what_they_wrote_and_not_by_when(hospital):
    from pipelines.by_hand import READINGS
    from pipelines.freshness import BY_HAND
    from spine_models.reporting.scores.tables import READERS

    def look(cursor):
        with dg.build_sensor_context(
            instance=instance, resources={"hospital": hospital}, cursor=cursor
        ) as context:
            return new_readings(context)

    def made():
        noted = {BY_HAND: hospital.readings_version()}
        instance.report_runless_asset_event(dg.AssetMaterialization(READINGS.known_by, metadata=noted))

    file, header = hospital.readers_file, "reader,study_key,draft_key,score\n"
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(look(None), dg.SkipReason)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{header}r1,s1,d1,1\n")
        assert look(None).run_requests == [], "nothing was drafted yet, so there is nothing to make anew"
        hospital.lake.write_table(("scores", "readers"), None, pl.DataFrame(schema=READERS))
        first = look(None)
        assert [request.partition_key for request in first.run_requests] == [None]
        made()
        assert look(None).run_requests == [], "a command line was here before"
        os.utime(file, (1, 1))
        assert isinstance(look(first.cursor), dg.SkipReason)
        before = file.read_text()
        file.write_text(f"{before}r2,s1,d1,2a\n")
        second = look(first.cursor)
        made()
        file.write_text(before)
        back = look(second.cursor)
        assert (back.cursor, len(back.run_requests)) == (first.cursor, 1)
        assert back.run_requests[0].run_key != first.run_requests[0].run_key, "what is taken back is heard"
        file.unlink()
        assert (look(back.cursor).cursor, len(look(back.cursor).run_requests)) == ("none", 1)
        file.write_text(f"{header}r1,s1,d1,9\n")
        with pytest.raises(ValueError, match="line 2"):
            look(back.cursor)


RUN = "00000000-0000-4000-8000-000000000000"


def after(hospital, instance, job):
    """What the sensor for changed tables asks for when a run of this job is through."""
    run = dg.DagsterRun(job_name=job)
    through = dg.DagsterEvent(event_type_value=dg.DagsterEventType.PIPELINE_SUCCESS.value, job_name=job)
    context = dg.build_run_status_sensor_context(
        "changed_tables", through, instance, run, resources={"hospital": hospital}
    )
    return list(changed_tables(context))


def test_the_warehouse_follows_the_last_of_several_runs_and_the_rules_follow_it(hospital, tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_run(dg.DagsterRun(job_name="refresh", run_id=RUN, status=dg.DagsterRunStatus.STARTED))
        (waits,) = after(hospital, instance, "refresh")
        assert isinstance(waits, dg.SkipReason)
        assert "1 other runs" in waits.skip_message
        instance.delete_run(RUN)
        assert [r.job_name for r in after(hospital, instance, "refresh")] == ["rebuild_warehouse"]
        assert [r.job_name for r in after(hospital, instance, "rebuild_warehouse")] == ["lake_rules"]
        (end,) = after(hospital, instance, "lake_rules")
        assert isinstance(end, dg.SkipReason)


def test_an_empty_inbox_holds_back_itself_and_no_other(hospital, inbox, tmp_path):
    new_key_file(Path(hospital.key_file))
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("one")
    register(hospital, inbox, cohort="north")
    register(hospital, other, cohort="south")
    (inbox / "a.txt").unlink()
    (other / "b.txt").write_text("two")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        result = evaluate(new_batches, hospital, instance)
        requests = tonight(hospital, instance)
    assert [request.partition_key for request in result.run_requests] == ["south-0001"]
    assert {request.partition_key for request in requests} == {"north-0001", "south-0001"}, "both are new"
    noted = pl.concat([pl.read_parquet(file) for file in sorted(hospital.nights_root.glob("*.parquet"))])
    (waits,) = noted.filter(outcome="waits")["reasons"].to_list()
    assert "cohort north is held back" in waits[0]
    assert "holds no files" in waits[0]
    assert str(inbox) not in waits[0]


def test_an_inbox_that_lost_more_than_half_is_held_back_with_a_line(hospital, inbox, tmp_path):
    for name in ("b", "c"):
        (inbox / f"{name}.txt").write_text(name)
    register(hospital, inbox, cohort="site")
    before = hospital.ledger()
    (inbox / "a.txt").unlink()
    (inbox / "b.txt").unlink()
    with dg.DagsterInstance.ephemeral() as instance:
        result = evaluate(new_batches, hospital, instance)
    assert isinstance(result, dg.SkipReason)
    assert "more than half" in result.skip_message
    assert hospital.ledger().equals(before)
    (inbox / "b.txt").write_text("b")
    with dg.DagsterInstance.ephemeral() as instance:
        evaluate(new_batches, hospital, instance)
    assert hospital.ledger()["size_bytes"].null_count() == 1, "a third gone is news"


def test_an_older_configuration_is_given_monitoring_once_and_keeps_what_a_site_set(tmp_path):
    from pipelines.home import CONFIG, open_instance

    (tmp_path / "dagster.yaml").write_text(CONFIG.replace("default_limit: 1", "default_limit: 3"))
    with open_instance(tmp_path) as instance:
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_start_timeout_seconds == 600
    first = (tmp_path / "dagster.yaml").read_text()
    assert "default_limit: 3" in first
    with open_instance(tmp_path):
        assert (tmp_path / "dagster.yaml").read_text() == first


def test_the_ui_gives_a_tick_more_than_a_minute(tmp_path, monkeypatch):
    import subprocess

    from pipelines import home

    monkeypatch.setenv("SPINE_ROOT", str(tmp_path))
    for tick in ("SCHEDULE", "SENSOR"):
        monkeypatch.delenv(f"DAGSTER_{tick}_GRPC_TIMEOUT_SECONDS", raising=False)
    seen = {}
    monkeypatch.setattr(subprocess, "call", lambda *_: seen.update(home.os.environ) or 0)
    with pytest.raises(SystemExit):
        home.main()
    for tick in ("SCHEDULE", "SENSOR"):
        assert int(seen[f"DAGSTER_{tick}_GRPC_TIMEOUT_SECONDS"]) >= 600
        monkeypatch.delenv(f"DAGSTER_{tick}_GRPC_TIMEOUT_SECONDS")


@pytest.mark.parametrize(
    ("sensor", "event"),
    [
        (failed_runs, dg.DagsterEventType.PIPELINE_FAILURE),
        (canceled_runs, dg.DagsterEventType.PIPELINE_CANCELED),
    ],
)
def test_a_last_run_that_fails_does_not_starve_the_rest(hospital, tmp_path, sensor, event):
    def ended(job, tags=None):
        run = dg.DagsterRun(job_name=job, tags=tags)
        heard = dg.DagsterEvent(event_type_value=event.value, job_name=job)
        context = dg.build_run_status_sensor_context(
            sensor.name, heard, instance, run, resources={"hospital": hospital}
        )
        return list(sensor(context))

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert [r.job_name for r in ended("refresh")] == ["rebuild_warehouse"]
        for job, tags in (("rebuild_warehouse", None), ("refresh", {"spineagent/launcher": "command_line"})):
            (end,) = ended(job, tags)
            assert isinstance(end, dg.SkipReason)


def test_what_was_not_gathered_is_asked_for_after_the_warehouse_once(hospital, tmp_path, monkeypatch):
    from pipelines import sensors
    from pipelines.refreshing import Due, Plan
    from pipelines.steps import findings_steps

    index = next(step for step in findings_steps() if step.gathers and not step.per_batch)
    due = Plan([Due(None, index.stage, index.job, ("never made",), index.keys)])
    monkeypatch.setattr(sensors, "plan_refresh", lambda *_: due)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        first = after(hospital, instance, "rebuild_warehouse")
        again = after(hospital, instance, "rebuild_warehouse")
    assert [request.job_name for request in first] == ["lake_rules", index.job]
    assert first[1].run_key == again[1].run_key, "one that fails is not asked for by its own end"
