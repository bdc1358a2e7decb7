"""Dagster's own storage of one installation.

Belongs here: ``dagster.yaml`` and opening the instance. Does not belong here: the lake.
"""

from __future__ import annotations

import os
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


def prepare_home(folder: Path) -> Path:
    """Create Dagster's home with its configuration where there is none, and point ``DAGSTER_HOME`` to it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    if not config.exists():
        config.write_text(CONFIG, encoding="utf-8")
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
    dagster = Path(sys.executable).with_name("dagster")
    raise SystemExit(subprocess.call([str(dagster), "dev", "-w", "workspace.yaml"]))


if __name__ == "__main__":
    main()
