"""Dagster's own storage of one installation.

Belongs here: ``dagster.yaml`` and opening the instance. Does not belong here: the lake.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import dagster as dg

CONFIG = """\
telemetry: {enabled: false}
nux: {enabled: false}
concurrency:
  pools: {default_limit: 1}
  runs:
    max_concurrent_runs: 2
    tag_concurrency_limits:
      - {key: dagster/partition, value: {applyLimitPerUniqueValue: true}, limit: 1}
"""

MONITORING = """\
run_monitoring:
  enabled: true
  start_timeout_seconds: 600
  max_runtime_seconds: 2592000
  free_slots_after_run_end_seconds: 300
"""
"""A run that never started, or that takes a month, is closed; one that ended gives its place in a pool back."""
TICK_TIMEOUT_S = 1800
"""A look into inboxes of millions of files takes longer than the minute that Dagster gives a tick."""


def prepare_home(folder: Path) -> Path:
    """Create Dagster's home with its configuration, give an older one monitoring, and point ``DAGSTER_HOME`` to it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    known = config.read_text(encoding="utf-8") if config.exists() else CONFIG
    if not re.search(r"^run_monitoring\s*:", known, re.MULTILINE):
        # Also where an earlier version wrote the file; what a site has set stays.
        aside = config.with_name(f".{config.name}.{os.getpid()}.partial")
        aside.write_text(f"{known.rstrip()}\n{MONITORING}", encoding="utf-8")
        os.replace(aside, config)
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def open_instance(folder: Path) -> dg.DagsterInstance:
    """The instance whose runs the UI shows."""
    return dg.DagsterInstance.from_config(str(prepare_home(folder)))


def main() -> None:
    """``make ui``: the Dagster UI on this installation's storage, until interrupted."""
    import subprocess
    import sys

    from pipelines.runtime.profiles import Settings

    prepare_home(Settings().dagster_home)
    for tick in ("SCHEDULE", "SENSOR"):
        os.environ.setdefault(f"DAGSTER_{tick}_GRPC_TIMEOUT_SECONDS", str(TICK_TIMEOUT_S))
    dagster = Path(sys.executable).with_name("dagster")
    raise SystemExit(subprocess.call([str(dagster), "dev", "-w", "workspace.yaml"]))


if __name__ == "__main__":
    main()
