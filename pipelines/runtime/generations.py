"""Generations: which versions of the models the findings rest on, where their tables lie, and which one is served.

A generation is a set of pinned model versions with everything that was made with them. Where it lies, and which one is
served, is read by ``sql.generations``; this module moves the pointer and keeps the pins.

Belongs here: names, places, pins and the pointer, as files. Does not belong here: building or switching
(``pipelines.generations``), reading tables (``storage``).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from sql.generations import FIRST, GENERATION_STAGES, POINTER, room, served, stage_root

__all__ = [
    "FIRST",
    "GENERATION_STAGES",
    "MODELS",
    "GenerationError",
    "checked",
    "fingerprint",
    "names",
    "pin_of",
    "pinned_versions",
    "pins",
    "room",
    "serve",
    "served",
    "stage_root",
    "told",
    "write_pins",
    "write_told",
]

MODELS: Final = (("backbone", "anchored"), ("clip", "aligned"), ("synthesizer", "aligned"))
"""What a generation pins."""
TOLD: Final = "told.json"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class GenerationError(ValueError):
    """No such generation, a name that cannot be one, or one that may not be touched; says the remedy."""


def checked(name: str) -> str:
    """The name, when it can be one.

    Raises:
        GenerationError: it is not a short plain lower-case word.
    """
    if not _NAME.fullmatch(name):
        raise GenerationError(
            "a generation is named by at most 40 lower-case letters, digits, - and _, as g2: choose another name"
        )
    return name


def names(lake: Path) -> list[str]:
    """Every generation, the first one always, sorted."""
    found = {p.parent.name for p in (lake / "generations").glob("*/models.json")}
    return sorted(found | ({FIRST} if served(lake) == FIRST else set()))


def serve(lake: Path, name: str) -> None:
    """Point everybody to a generation; before the rename the old one is served, after it the new one."""
    _replace(lake / "generations" / POINTER, {"generation": checked(name)})


def pins(lake: Path, name: str) -> dict[str, str]:
    """Model versions of a generation by ``stage/thing`` or ``stage/thing/partition``; empty before its first use."""
    return {str(model): str(version) for model, version in _read(room(lake, name) / "models.json").items()}


def write_pins(lake: Path, name: str, versions: Mapping[str, str]) -> None:
    """Replace a generation's pins."""
    _replace(room(lake, checked(name)) / "models.json", dict(sorted(versions.items())))


def told(lake: Path) -> str:
    """The generation that the event log was last told of."""
    return str(_read(lake / "generations" / TOLD).get("generation", FIRST))


def write_told(lake: Path, name: str) -> None:
    """Note that the event log knows of the generation that is served."""
    _replace(lake / "generations" / TOLD, {"generation": name})


def pin_of(key: Sequence[str], partition: str | None) -> str:
    """Name of a model among the pins."""
    return "/".join([*key, *([partition] if partition else [])])


def pinned_versions(lake: Path, key: Sequence[str], partition: str | None) -> set[str]:
    """Versions of a model that any generation rests on: they are never discarded."""
    if tuple(key) not in MODELS:
        return set()
    name = pin_of(key, partition)
    files = (lake / "generations").glob("*/models.json")
    return {str(pinned[name]) for file in files if name in (pinned := _read(file))}


def fingerprint(versions: Mapping[str, str]) -> str:
    """Short hash of pins, 16 hex digits; ``none`` without any."""
    if not versions:
        return "none"
    return hashlib.sha256(json.dumps(dict(versions), sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, object]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _replace(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(json.dumps(dict(content), indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
