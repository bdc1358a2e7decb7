"""Generations of models: built beside the served one, switched to in one step, and back.

Belongs here: building, judging whole or not, switching, dropping. Does not belong here: places and pins as files
(``runtime.generations``), what a step computes (``steps``), copying between event logs (``retelling``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from pipelines.definitions import build_defs
from pipelines.intake import alone
from pipelines.jobs import ABLATIONS
from pipelines.lake_log import LakeLog
from pipelines.retelling import (
    GENERATION,
    generation_keys,
    own_instance,
    own_storage,
    read_keys,
    retell,
    settle,
)
from pipelines.runner import Runner
from pipelines.runtime import generations
from pipelines.runtime.generations import FIRST, GenerationError
from pipelines.runtime.resources import Hospital
from pipelines.steps import findings_steps
from pipelines.under_way import running

_SLICES = dg.AssetKey(["shards", "slices"])
_PINS = "models.json"


@dataclass(frozen=True)
class Generation:
    """One line of ``spineagent models list``.

    Args:
        name: of the generation.
        served: whether everybody reads it.
        pins: model to version.
        missing: what a switch to it would wait for, one phrase each; empty where it is whole.
    """

    name: str
    served: bool
    pins: dict[str, str]
    missing: list[str]


def of_generation(hospital: Hospital, name: str) -> Hospital:
    """The same installation, with the findings of another generation."""
    return Hospital(profile=hospital.profile, home=hospital.home, key_file=hospital.key_file, generation=name)


def list_generations(hospital: Hospital, instance: dg.DagsterInstance) -> list[Generation]:
    """Every generation with its pins and what it lacks."""
    lake = hospital.lake.root
    served, log = generations.served(lake), LakeLog(instance)
    return [
        Generation(name, name == served, generations.pins(lake, name), missing(hospital, log, name))
        for name in generations.names(lake)
    ]


def build(
    hospital: Hospital, instance: dg.DagsterInstance, name: str, say: Callable[[str], None]
) -> list[tuple[str, str | None]]:
    """Make or finish a generation on its models; the first time these are the newest published. It is not served.

    Returns:
        Jobs that ran, with their partitions.

    Raises:
        GenerationError: it is the served one, or no encoder has been trained.
        RunFailed: a job failed; what is done stays, and the same call goes on.
    """
    generations.checked(name)
    settle(hospital, instance)
    if name == generations.served(hospital.lake.root):
        raise GenerationError(
            f"generation {name} is the one that is served: `spineagent run INBOX` keeps it whole; name another to "
            "build beside it"
        )
    newest = hospital.newest_models()
    if not newest:
        raise GenerationError(
            "no encoder has been trained yet: run `spineagent run INBOX --through synthesizer`"
        )
    candidate = of_generation(hospital, name)
    with alone(hospital, f"generation-{name}"), own_instance(hospital, name) as own:
        pins = generations.pins(hospital.lake.root, name)
        if not pins:
            pins = candidate.pin()
        elif pins != newest:
            say(f"generation {name} goes on with the models that it pinned; newer ones need a new generation")
        served = LakeLog(instance)
        log = LakeLog(own)
        batches = served.partitions(_SLICES)
        own.add_dynamic_partitions("study_batches", batches)
        # What a build reads must stand in its own log, or Dagster could not note what the build was made of.
        retell(served, log, read_keys(log))
        runner = Runner(candidate, build_defs(candidate), own, say)
        runner.build(batches)
        say(f"generation {name} is whole: `spineagent models switch {name}` serves it")
        return runner.executed


def missing(hospital: Hospital, log: LakeLog, name: str) -> list[str]:
    """What a generation lacks to be served, one phrase a stage; empty where it is whole.

    Args:
        hospital: the installation.
        log: of the served generation.
        name: of the generation in question.
    """
    lake = hospital.lake.root
    pins = generations.pins(lake, name)
    if not pins:
        return ["models: none pinned"]
    candidate = of_generation(hospital, name)
    if name != generations.served(lake):
        if not own_storage(hospital, name).is_dir():
            return ["everything: it was never built"]
        with own_instance(hospital, name) as own:
            log = log.beside(LakeLog(own), generation_keys(log))
    lacks = []
    batches = log.partitions(_SLICES)
    for step in (step for step in findings_steps() if step.stage != ABLATIONS):
        due: dict[str, list[str | None]] = {}
        for batch in batches if step.per_batch else [None]:
            for reason in log.reasons(step.keys, batch, models=candidate.models_version, fitted=step.fitted)[
                :1
            ]:
                due.setdefault(reason, []).append(batch)
        for reason, where in due.items():
            lacks.append(f"{step.stage}: {f'{len(where)} batches ' if step.per_batch else ''}{reason}")
    gone = [model for model, version in pins.items() if not _published(lake, model, version).is_dir()]
    return [*(f"{model}: its version is gone" for model in gone), *lacks]


def switch(hospital: Hospital, instance: dg.DagsterInstance, name: str, say: Callable[[str], None]) -> None:
    """Serve another generation: one rename; then the event log is told and the warehouse rebuilt.

    Raises:
        GenerationError: no such generation, it is not whole, or runs are under way.
    """
    lake = hospital.lake.root
    known(hospital, name)
    settle(hospital, instance)
    before = generations.served(lake)
    if name == before:
        say(f"generation {name} is served already")
        return
    with alone(hospital, "switch"):
        _refuse_while_running(hospital, instance)
        log = LakeLog(instance)
        if lacks := missing(hospital, log, name):
            raise GenerationError(
                f"generation {name} is not whole ({'; '.join(lacks)}): run `spineagent models build {name}` first"
            )
        # What is served now must know its state when somebody switches back.
        with own_instance(hospital, before) as own:
            target = LakeLog(own)
            told = {GENERATION: before, "models": hospital.models_version}
            retell(log, target, generation_keys(log), **told)
        # What was copied above took its time: a run may have begun since.
        _refuse_while_running(hospital, instance)
        generations.serve(lake, name)
        settle(hospital, instance)
    say(f"generation {name} is served; `spineagent models switch {before}` goes back")
    runner = Runner(hospital, build_defs(hospital), instance, say)
    runner.rebuild()


def drop(hospital: Hospital, name: str) -> None:
    """Forget a generation: its tables, artifacts, pins and event log; its models stay where another one needs them.

    Raises:
        GenerationError: no such generation, or it is the served one.
    """
    lake = hospital.lake.root
    known(hospital, name)
    if name == generations.served(lake):
        raise GenerationError(f"generation {name} is served: switch to another one first")
    with alone(hospital, f"generation-{name}"):
        room = generations.room(lake, name)
        if name == FIRST:
            for stage in generations.GENERATION_STAGES:
                _remove(lake / stage)
        _remove(own_storage(hospital, name).parent)
        # The pins last: cut off before that, it still is a generation, which `list` names and `drop` drops.
        for place in (p for p in room.glob("*") if p.name != _PINS):
            _remove(place)
        (room / _PINS).unlink(missing_ok=True)
        _remove(room)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def known(hospital: Hospital, name: str) -> None:
    """Raises:
    GenerationError: there is no such generation; lists those that there are.
    """
    there = generations.names(hospital.lake.root)
    if name not in there:
        raise GenerationError(
            f"no generation {name!r}: there are {', '.join(there)}; `spineagent models build NAME` makes one"
        )


def _published(lake: Path, model: str, version: str) -> Path:
    stage, thing, *partition = model.split("/")
    return lake / stage / thing / (partition[0] if partition else "all") / version


def _refuse_while_running(hospital: Hospital, instance: dg.DagsterInstance) -> None:
    if others := running(hospital, instance):
        raise GenerationError(f"{others} runs are under way: switch when they are through")
