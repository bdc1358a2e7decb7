"""Telling one event log what another knows: so that the served log is true after a switch of generations.

Each generation that is not served has a Dagster storage of its own, where it is built. What was made there is told to
the served log as materialisations without a run: same data versions, code versions and inputs, and whose generation
they are of.

Belongs here: copying newest materialisations between logs. Does not belong here: when (``generations``, ``runner``).
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import dagster as dg

from pipelines.freshness import (
    BY_HAND,
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    INPUT_TAG,
    MODELS,
    Materialised,
)
from pipelines.home import CONFIG
from pipelines.lake_log import LakeLog
from pipelines.runtime import generations
from pipelines.runtime.resources import Hospital
from pipelines.steps import findings_stages

USER_TAG = "dagster/data_version_is_user_provided"
GENERATION = "generation"


def own_instance(hospital: Hospital, name: str) -> dg.DagsterInstance:
    """Dagster storage of a generation while it is not served."""
    folder = own_storage(hospital, name)
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    if not config.exists():
        config.write_text(CONFIG, encoding="utf-8")
    return dg.DagsterInstance.from_config(str(folder))


def own_storage(hospital: Hospital, name: str) -> Path:
    """Folder of that storage."""
    return Path(hospital.home) / "generations" / name / "dagster"


def generation_keys(log: LakeLog) -> set[dg.AssetKey]:
    """Assets of which every generation has its own."""
    return {key for key in log.definitions if key.path[0] in generations.GENERATION_STAGES}


def read_keys(log: LakeLog) -> set[dg.AssetKey]:
    """Assets that findings read and that are of no generation."""
    stages = findings_stages()
    of_findings = [key for key in log.definitions if key.path[0] in stages]
    above = {dep.asset_key for key in of_findings for dep in log.definitions[key].specs_by_key[key].deps}
    return {key for key in above if key.path[0] not in stages and key in log.definitions}


def retell(source: LakeLog, target: LakeLog, keys: Collection[dg.AssetKey], **metadata: str | None) -> int:
    """Tell the target's instance the newest materialisations of the source where they differ, oldest first.

    Args:
        source: the log that knows.
        target: the log that is told; read again afterwards.
        keys: of which assets.
        metadata: put on every event.

    Returns:
        How many were told.
    """
    told = [
        (made.storage_id, key, partition, made)
        for key in keys
        for partition, made in source.partitions_made(key)
        if _said(made) != _said(target.made(key, partition))
    ]
    for _, key, partition, made in sorted(told, key=lambda row: row[0]):
        tags = {DATA_VERSION_TAG: made.data_version, CODE_VERSION_TAG: made.code_version, USER_TAG: "true"}
        tags |= {f"{INPUT_TAG}/{'/'.join(above.path)}": version for above, version in made.inputs.items()}
        noted = {MODELS: made.models, BY_HAND: made.by_hand, **metadata}
        target.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                key,
                description="made in another Dagster storage, told to this one",
                partition=partition,
                tags={tag: value for tag, value in tags.items() if value is not None},
                metadata={name: value for name, value in noted.items() if value is not None},
            )
        )
    target.reread({key for _, key, _, _ in told})
    return len(told)


def settle(hospital: Hospital, instance: dg.DagsterInstance) -> bool:
    """Finish what a switch that was cut off left undone: tell the served log what is served.

    Returns:
        Whether there was anything to tell.
    """
    if hospital.generation or _told_of(hospital) == hospital.lake.generation:
        return False
    name = str(hospital.lake.generation)
    with own_instance(hospital, name) as own:
        target = LakeLog(instance)
        retell(
            LakeLog(own),
            target,
            generation_keys(target),
            **{GENERATION: name, MODELS: hospital.models_version},
        )
    generations.write_told(hospital.lake.root, name)
    return True


def _told_of(hospital: Hospital) -> str:
    return generations.told(hospital.lake.root)


def _said(made: Materialised | None) -> str | None:
    if made is None:
        return None
    inputs = {"/".join(key.path): version for key, version in made.inputs.items()}
    said = [made.data_version, made.code_version, inputs, made.models, made.by_hand]
    return json.dumps(said, sort_keys=True)
