"""Trainings in their order: where there is none yet, and anew only for whom asks.

Belongs here: which training rests on which, and when one is due. Does not belong here: executing it (``execution``), a
training itself (``assets.encoder``).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from assets import all_assets
from pipelines.execution import Executor
from pipelines.freshness import due, newest
from pipelines.jobs import ANCHOR_KEYS, ENCODER_KEYS, MODEL_KEYS, asset_keys, keys_of_stage
from pipelines.runtime.partitions import encoder_sequences
from pipelines.runtime.resources import ENCODER


def train_where_due(executor: Executor, stages: Sequence[str], *, retrain: bool) -> bool:
    """Trainings in order: where there is none yet, and what rests on one that is the first of its kind just now.

    Everything else that is out of date is named, and left to ``retrain``.

    Returns:
        Whether anything was trained.

    Raises:
        RunFailed: a training failed.
    """
    if "backbone" not in stages:
        return False
    before = len(executor.executed)
    first: set[str] = set()
    stale: list[str] = []

    def train(
        job: str,
        keys: Sequence[dg.AssetKey],
        route: str | None,
        above: Sequence[tuple[dg.AssetKey, str | None]],
        *rests_on: str,
    ) -> None:
        name = f"{job} {route}" if route else job
        new = any(newest(executor.instance, key, route) is None for key in keys)
        if new:
            first.add(job)
        if retrain or new or first.intersection(rests_on):
            executor.execute(job, route)
        elif due(executor.instance, all_assets(), keys, route, upstream=above):
            stale.append(name)

    routes = encoder_sequences.get_partition_keys()
    train("freeze", asset_keys(MODEL_KEYS), None, ())
    frozen: list[tuple[dg.AssetKey, str | None]] = [(key, None) for key in asset_keys(MODEL_KEYS)]
    for route in routes:
        own = asset_keys(ENCODER_KEYS)
        train("pretrain", own, route, frozen, "freeze")
        # The other route's first encoder is no reason to anchor this one's anew.
        begun = f"pretrain {route}"
        if ("pretrain", route) in executor.executed[before:]:
            first.add(begun)
        train("anchor", asset_keys(ANCHOR_KEYS), route, [*frozen, (own[0], route)], "freeze", begun)
    above = [*frozen, *((dg.AssetKey(list(ENCODER)), route) for route in routes)]
    if "clip" in stages:
        train("align", keys_of_stage("clip"), None, above, "freeze", "anchor")
    above.append((dg.AssetKey(["clip", "aligned"]), None))
    if "synthesizer" in stages:
        train("synthesize", keys_of_stage("synthesizer"), None, above, "freeze", "anchor", "align")
    if stale:
        executor.say(f"newer manifest or code than {', '.join(stale)}: run with --retrain to train on it")
    return len(executor.executed) > before
