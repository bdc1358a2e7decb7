"""The event log as it stands, read once: what is newest of every asset and partition, and why a job is due.

Two queries an asset, whatever the number of batches: an evening's look at the whole lake costs seconds.

Belongs here: reading the log, and comparing what a table was made of with what there is now. Does not belong here:
inboxes and decisions of people (``refreshing``), starting anything (``runner``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from copy import copy
from typing import Final

import dagster as dg

from assets import all_assets
from pipelines.freshness import Materialised, materialised, newest
from pipelines.jobs import PAGE_KEYS, PANEL_KEYS
from pipelines.runtime.generations import MODELS
from pipelines.runtime.partitions import study_batches
from pipelines.steps import ASIDE, findings_steps

MANY: Final = 100
"""From so many partitions on, Dagster notes of an input the data version of its last partition alone."""


class LakeLog:
    """Newest materialisations of all assets.

    Args:
        instance: whose event log is read.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.definitions = {key: definition for definition in all_assets() for key in definition.keys}
        self._made: dict[dg.AssetKey, dict[str | None, Materialised]] = {}
        self.reread(self.definitions)

    def reread(self, keys: Iterable[dg.AssetKey], partition: str | None = None) -> None:
        """Look again at some assets, after a job has made them: at one partition, or at all."""
        for key in keys:
            if partition is not None and key in self._made:
                if (made := newest(self.instance, key, partition)) is not None:
                    self._made[key][partition] = made
                continue
            if self.definitions[key].partitions_def is None:
                records = self.instance.fetch_materializations(key, limit=1).records
            else:
                latest = self.instance.event_log_storage.get_latest_storage_id_by_partition(
                    key, dg.DagsterEventType.ASSET_MATERIALIZATION
                )
                wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=list(latest.values()))
                records = (
                    self.instance.fetch_materializations(wanted, limit=len(latest)).records if latest else []
                )
            self._made[key] = {record.partition_key: materialised(record) for record in records}

    def made(self, key: dg.AssetKey, partition: str | None) -> Materialised | None:
        """The newest materialisation, None when there is none."""
        return self._made[key].get(partition)

    @property
    def newest_id(self) -> int:
        """Place of the newest materialisation of any table that the warehouse or its job reads."""
        tail = {dg.AssetKey(list(key)) for key in (*PAGE_KEYS, *PANEL_KEYS)} | {*ASIDE}
        made = [
            m.storage_id
            for key, rows in self._made.items()
            if key not in tail and key.path[0] != "warehouse"
            for m in rows.values()
        ]
        return max(made, default=0)

    def partitions_made(self, key: dg.AssetKey) -> list[tuple[str | None, Materialised]]:
        """The newest materialisations of an asset by partition."""
        return list(self._made[key].items())

    def beside(self, own: LakeLog, keys: Iterable[dg.AssetKey]) -> LakeLog:
        """This log, but of ``keys`` what another one knows: a generation that is not served, on the lake as it is."""
        both = copy(self)
        both._made = self._made | {key: own._made[key] for key in keys}
        return both

    def partitions(self, key: dg.AssetKey) -> list[str]:
        """Partitions that have been materialised, sorted."""
        return sorted(partition for partition in self._made[key] if partition is not None)

    def reasons(
        self,
        keys: Sequence[dg.AssetKey],
        partition: str | None,
        *,
        models: str,
        fitted: bool = False,
    ) -> list[str]:
        """Why a job has to run for a partition, one phrase a reason, in order; empty where it is fresh.

        Args:
            keys: assets of the job.
            partition: the batch, None for jobs of the whole lake.
            models: hash of the models that the generation pins.
            fitted: the job is fitted or scored on the frozen patients: it follows other such jobs alone, neither
                batches nor what gathers them nor a newer freeze.
        """
        found: dict[str, None] = {}
        for key in keys:
            made = self.made(key, partition)
            spec = self.definitions[key].specs_by_key[key]
            if made is None:
                found["never made"] = None
                continue
            if made.code_version != spec.code_version:
                found["other code"] = None
            if made.models not in (None, models):
                found["other models"] = None
            for name in self._changed(key, made, partition, fitted):
                found[f"{name} changed"] = None
        return list(found)

    def _changed(
        self, key: dg.AssetKey, made: Materialised, partition: str | None, fitted: bool
    ) -> list[str]:
        own = self.definitions[key]
        followed = {key for step in findings_steps() if step.fitted for key in step.keys} if fitted else None
        changed = []
        for above in sorted(
            {dep.asset_key for dep in own.specs_by_key[key].deps} - set(own.keys), key=lambda k: k.path
        ):
            # Models are pinned: `models` speaks of them.
            if tuple(above.path) in MODELS or not self._made.get(above):
                continue
            if followed is not None and above not in followed:
                continue
            batches = self.definitions[above].partitions_def == study_batches
            if batches and partition is None and len(self._made[above]) >= MANY:
                stale = max(m.storage_id for m in self._made[above].values()) > made.storage_id
            else:
                now = self._versions(above, [partition] if batches and partition else None)
                stale = bool(now) and made.inputs.get(above) not in now
            if stale:
                changed.append("/".join(above.path))
        return changed

    def _versions(self, key: dg.AssetKey, partitions: Collection[str | None] | None) -> set[str]:
        """What Dagster would note as data version of an input: of one partition, or a hash over several."""
        rows = self._made[key]
        own = [rows[p] for p in sorted(rows, key=str) if partitions is None or p in partitions]
        versions = [m.data_version or "" for m in own]
        if not versions:
            return set()
        together = hashlib.sha256("".join(versions).encode()).hexdigest()
        return {together, *(versions if len(versions) == 1 else [])}
