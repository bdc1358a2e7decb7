"""Runs that wait, run, or are only said to."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import dagster as dg
import pytest

from pipelines import generations
from pipelines.runtime import generations as places
from pipelines.runtime.resources import HOST_TAG, Hospital
from pipelines.under_way import bury_dead, running

RUN = "00000000-0000-4000-8000-000000000000"


def add(instance, status, **tags):
    run = dg.DagsterRun(job_name="refresh", run_id=RUN, status=status, tags=tags)
    return instance.add_run(run)


def test_a_switch_waits_for_runs_that_have_not_begun(tmp_path):
    hospital = Hospital(profile="phantom", home=str(tmp_path), key_file="none")
    places.write_pins(hospital.lake.root, "g2", {"clip/aligned": "1"})
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        add(instance, dg.DagsterRunStatus.NOT_STARTED)
        assert running(hospital, instance) == 1
        with pytest.raises(places.GenerationError, match="1 runs are under way"):
            generations.switch(hospital, instance, "g2", print)


@pytest.mark.parametrize(("alive", "here"), [(False, True), (True, True), (False, False)])
def test_a_run_whose_process_on_this_host_is_gone_is_closed(tmp_path, alive, here):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        host = socket.gethostname() if here else "elsewhere"
        run = add(instance, dg.DagsterRunStatus.STARTED, **{HOST_TAG: host})
        pid = os.getpid() if alive else child.pid
        instance.report_engine_event(f"Started process for run (pid: {pid}).", run)
        dead = bury_dead(instance)
        status = instance.get_run_by_id(RUN).status
    assert dead == ([] if alive or not here else [RUN])
    assert (status == dg.DagsterRunStatus.FAILURE) == bool(dead)
