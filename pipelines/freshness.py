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
REGISTRATION = "registration"
"""Metadata of ``archive/files``: fingerprint of what the index rests on."""
ADJUDICATIONS = "adjudications"
"""Metadata of ``labels/consensus``: fingerprint of people's decisions that it knows."""


@dataclass(frozen=True)
class Materialised:
    """The newest materialisation of one asset or asset partition.

    Args:
        storage_id: its place in the event log.
        code_version: of the code that made it.
        data_version: of what was made.
        consumed: storage id of the materialisation that was read, by upstream asset.
        registration: what it rests on, of ``archive/files`` only.
        adjudications: the decisions that it knows, of ``labels/consensus`` only.
    """

    storage_id: int
    code_version: str | None
    data_version: str | None = None
    consumed: dict[dg.AssetKey, int] = field(default_factory=dict)
    registration: str | None = None
    adjudications: str | None = None


def newest(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None) -> Materialised | None:
    """The newest materialisation, None when there is none."""
    records = _records(instance, key, partition, 1)
    if not records or (event := records[0].asset_materialization) is None:
        return None
    tags = event.tags or {}
    consumed = {
        dg.AssetKey(tag.removeprefix(f"{POINTER_TAG}/").split("/")): int(value)
        for tag, value in tags.items()
        if tag.startswith(f"{POINTER_TAG}/") and value.isdecimal()
    }

    def noted(name: str) -> str | None:
        value = event.metadata.get(name)
        return str(value.value) if value is not None else None

    return Materialised(
        records[0].storage_id,
        tags.get(CODE_VERSION_TAG),
        tags.get(DATA_VERSION_TAG),
        consumed,
        noted(REGISTRATION),
        noted(ADJUDICATIONS),
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


def corpus_due(
    instance: dg.DagsterInstance,
    assets: Sequence[dg.AssetsDefinition],
    keys: Sequence[dg.AssetKey],
    batch: str,
    registration: str | None,
) -> bool:
    """Whether a batch's tables are missing, of other code, rest on other files, or on tables remade with other content.

    Args:
        instance: whose event log is read.
        assets: all definitions of the graph.
        keys: assets of the batch, archive first.
        batch: the partition.
        registration: what the index would rest on now.
    """
    if due(instance, assets, keys, batch):
        return True
    for key in keys:
        made = newest(instance, key, batch)
        if made is None or (made.registration is not None and made.registration != registration):
            return True
        for above, pointer in made.consumed.items():
            latest = newest(instance, above, batch) if above in keys else None
            if latest is None or latest.storage_id == pointer:
                continue
            if latest.data_version != _data_version(instance, above, batch, pointer):
                return True
    return False


def _records(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None, limit: int
) -> Sequence[dg.EventLogRecord]:
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    return instance.fetch_materializations(wanted, limit=limit).records


def _data_version(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str, storage_id: int
) -> str | None:
    for record in _records(instance, key, partition, 20):
        if record.storage_id == storage_id and record.asset_materialization is not None:
            return (record.asset_materialization.tags or {}).get(DATA_VERSION_TAG)
    return None
