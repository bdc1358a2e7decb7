"""Whether a job has anything to do: missing, older code, or something upstream is newer.

Belongs here: reading the event log. Does not belong here: starting anything (``runner``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dagster as dg

CODE_VERSION_TAG = "dagster/code_version"


@dataclass(frozen=True)
class Materialised:
    """The newest materialisation of one asset or asset partition."""

    storage_id: int
    code_version: str | None


def newest(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None) -> Materialised | None:
    """The newest materialisation, None when there is none."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None), limit=1
    ).records
    if not records:
        return None
    event = records[0].asset_materialization
    return Materialised(records[0].storage_id, (event.tags or {}).get(CODE_VERSION_TAG) if event else None)


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
