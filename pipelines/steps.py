"""The stages after the encoders as jobs in order: derived from the definitions, so that a new asset falls into place.

Within a stage, assets of the whole lake and those of a batch take turns as they depend on each other: a model that is
fitted first, then what it says of each batch, then scores over all batches.

Belongs here: which assets are one job, in which order, and what kind of job. Does not belong here: the jobs of corpus
and encoders (``jobs``), when a job runs (``runner``, ``refreshing``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

import dagster as dg

from assets import STAGES, assets_of
from pipelines.runtime.partitions import study_batches

FITTED_STAGES: Final = (
    "probes", "attribution", "localization", "instructions", "llava", "scores", "ablations",
)  # fmt: skip
"""Stages whose whole-lake assets are fitted or scored on the frozen patients: made once, and again with training."""
FITTED_KEYS: Final = frozenset(
    dg.AssetKey(list(key))
    for key in (
        ("retrieval", "scores"), ("retrieval", "gains"), ("retrieval", "precision"),
        ("agents", "grading"), ("agents", "gradings"), ("agents", "registry"),
    )
)  # fmt: skip
"""Fitted or scored on the frozen patients in a stage whose other assets follow every batch."""
FOLLOWING_KEYS: Final = frozenset(
    dg.AssetKey(list(key)) for key in (("scores", "readers"), ("scores", "radpeer"))
)
"""In a fitted stage, and yet following every batch: what readers said is of the drafts as they are."""
ASIDE: Final = (dg.AssetKey(["reports", "nights"]),)
"""Assets of these stages that belong to the warehouse's job."""


@dataclass(frozen=True)
class Step:
    """One job of a stage.

    Args:
        job: its name.
        stage: stage word.
        keys: its assets.
        per_batch: whether it runs batch by batch.
        fitted: whether it is made once and again only with training; nothing that a night may run.
        gathers: whether it is made anew whenever a batch changes: of the whole lake, or resting on such a one.
    """

    job: str
    stage: str
    keys: tuple[dg.AssetKey, ...]
    per_batch: bool
    fitted: bool
    gathers: bool


def findings_stages() -> list[str]:
    """Stages of the findings and reporting layers, in flow order."""
    layers = {stage: module.__name__.split(".")[1] for stage, module in STAGES.items()}
    return [stage for stage, layer in layers.items() if layer in ("findings", "reporting")]


@cache
def findings_steps() -> tuple[Step, ...]:
    """Every job of the findings and reporting layers, in the order in which they may run."""
    steps: list[Step] = []
    fitted: set[dg.AssetKey] = set()
    gathered: set[dg.AssetKey] = set()
    for stage in findings_stages():
        for turn in (part for whole in _turns(stage) for part in _apart(stage, whole)):
            keys = tuple(sorted(key for definition in turn for key in definition.keys))
            per_batch = turn[0].partitions_def is not None
            above = {up for definition in turn for up in _upstream(definition)} - set(keys)
            ours = {up for up in above if up.path[0] in findings_stages()}
            # What rests on fitted things alone is as old as they are: the registry of agents, for one.
            fits = not per_batch and (_scores(stage, keys) or ours <= fitted)
            gathers = not fits and (bool(ours & gathered) or not per_batch)
            same = [step for step in steps if step.stage == stage and step.per_batch == per_batch]
            name = f"{stage}_{'batch' if per_batch else 'lake'}" + (f"_{len(same) + 1}" if same else "")
            steps.append(Step(name, stage, keys, per_batch, fits, gathers))
            if fits:
                fitted |= set(keys)
            elif gathers:
                gathered |= set(keys)
    return tuple(steps)


def _scores(stage: str, keys: Iterable[dg.AssetKey]) -> bool:
    return FITTED_KEYS.issuperset(keys) or (stage in FITTED_STAGES and not FOLLOWING_KEYS.issuperset(keys))


def _apart(stage: str, turn: list[dg.AssetsDefinition]) -> list[list[dg.AssetsDefinition]]:
    """What follows every batch, then what is scored on the frozen patients: two jobs, where a turn has both."""
    groups = ([d for d in turn if _scores(stage, d.keys) is fitted] for fitted in (False, True))
    return [group for group in groups if group]


def _upstream(definition: dg.AssetsDefinition) -> set[dg.AssetKey]:
    return {dep.asset_key for spec in definition.specs for dep in spec.deps}


def _turns(stage: str) -> list[list[dg.AssetsDefinition]]:
    """Definitions of a stage by turn; whole-lake ones have the even turns, those of a batch the odd ones."""
    definitions = [d for d in assets_of(STAGES[stage]) if not set(d.keys) <= set(ASIDE)]
    odd = [d for d in definitions if d.partitions_def not in (None, study_batches)]
    if odd:
        raise ValueError(f"an asset of {stage} is neither of a batch nor of the whole lake: partition it so")
    maker = {key: definition for definition in definitions for key in definition.keys}
    turn: dict[int, int] = {}

    def turn_of(definition: dg.AssetsDefinition) -> int:
        if id(definition) not in turn:
            own = int(definition.partitions_def is not None)
            above = {id(maker[up]): maker[up] for up in _upstream(definition) if up in maker}
            above.pop(id(definition), None)
            least = max((turn_of(up) for up in above.values()), default=own)
            turn[id(definition)] = least + (least % 2 != own)
        return turn[id(definition)]

    for definition in definitions:
        turn_of(definition)
    return [[d for d in definitions if turn[id(d)] == n] for n in sorted(set(turn.values()))]
