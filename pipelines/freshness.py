"""Whether a job has anything to do: missing, older code, other registered files, or something upstream is newer.

Belongs here: reading the event log. Does not belong here: starting anything (``runner``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import dagster as dg

CODE_VERSION_TAG = "dagster/code_version"
DATA_VERSION_TAG = "dagster/data_version"
POINTER_TAG = "dagster/input_event_pointer"
INPUT_TAG = "dagster/input_data_version"
REGISTRATION = "registration"
"""Metadata of ``archive/files``: fingerprint of what the index rests on."""
BY_HAND = "by_hand"
"""Metadata of what rests on a table that people keep by hand: version of that table (``by_hand``)."""
MODELS = "models"
"""Metadata of findings tables: hash of the models that their generation pinned when they were made."""


@dataclass(frozen=True)
class Materialised:
    """The newest materialisation of one asset or asset partition.

    Args:
        storage_id: its place in the event log.
        code_version: of the code that made it.
        data_version: of what was made.
        consumed: storage id of the materialisation that was read, by upstream asset.
        registration: what it rests on, of ``archive/files`` only.
        by_hand: the version of the table kept by hand that it knows, of what rests on one only.
        inputs: data version of what was read, by upstream asset; of several partitions, a hash over them.
        models: hash of the pinned models that it rests on, of findings tables only.
    """

    storage_id: int
    code_version: str | None
    data_version: str | None = None
    consumed: dict[dg.AssetKey, int] = field(default_factory=dict)
    registration: str | None = None
    by_hand: str | None = None
    inputs: dict[dg.AssetKey, str] = field(default_factory=dict)
    models: str | None = None


def newest(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None) -> Materialised | None:
    """The newest materialisation, None when there is none."""
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    records = instance.fetch_materializations(wanted, limit=1).records
    return materialised(records[0]) if records else None


def materialised(record: dg.EventLogRecord) -> Materialised:
    """What a record of the event log says of a materialisation."""
    event = record.asset_materialization
    if event is None:
        raise ValueError("this record is of no materialisation")
    tags = event.tags or {}

    def above(prefix: str) -> dict[dg.AssetKey, str]:
        start = f"{prefix}/"
        found = {tag.removeprefix(start): value for tag, value in tags.items() if tag.startswith(start)}
        return {dg.AssetKey(name.split("/")): value for name, value in found.items()}

    def noted(name: str) -> str | None:
        value = event.metadata.get(name)
        return str(value.value) if value is not None else None

    return Materialised(
        record.storage_id,
        tags.get(CODE_VERSION_TAG),
        tags.get(DATA_VERSION_TAG),
        {key: int(value) for key, value in above(POINTER_TAG).items() if value.isdecimal()},
        noted(REGISTRATION),
        noted(BY_HAND),
        above(INPUT_TAG),
        noted(MODELS),
    )


def due(
    instance: dg.DagsterInstance,
    assets: Iterable[dg.AssetsDefinition],
    keys: Sequence[dg.AssetKey],
    partition: str | None,
    *,
    upstream: Sequence[tuple[dg.AssetKey, str | None]] = (),
) -> bool:
    """Whether any of ``keys`` is missing, was made by other code, or is older than one of ``upstream``."""
    versions = {key: spec.code_version for a in assets for key, spec in a.specs_by_key.items()}
    own = [newest(instance, key, partition) for key in keys]
    if any(m is None or m.code_version != versions[key] for key, m in zip(keys, own, strict=True)):
        return True
    oldest = min(m.storage_id for m in own if m is not None)
    above = [newest(instance, key, part) for key, part in upstream]
    return any(m is not None and m.storage_id > oldest for m in above)
