"""Where the tables of a stage lie: findings are of one generation of models, and one generation is served.

The first generation, ``g1``, lies in the lake as it is; any other has its own room
``<lake>/generations/<name>/<stage>/...``. One file, ``<lake>/generations/serving.json``, names the one that everybody
reads.

Belongs here: reading the pointer, and the place of a stage. Does not belong here: moving the pointer or what a
generation rests on (``pipelines.runtime.generations``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

GENERATION_STAGES: Final = (
    "embeddings",
    "probes",
    "attribution",
    "localization",
    "retrieval",
    "agents",
    "instructions",
    "llava",
    "reports",
    "scores",
)
"""Stages whose tables and artifacts are of one generation."""
FIRST: Final = "g1"
POINTER: Final = "serving.json"


def served(lake: Path) -> str:
    """The generation that readers without a wish get; the first one before any switch."""
    pointer = lake / "generations" / POINTER
    return str(json.loads(pointer.read_text(encoding="utf-8"))["generation"]) if pointer.is_file() else FIRST


def room(lake: Path, name: str) -> Path:
    """Folder of a generation's own files, and of its tables where it is not the first."""
    return lake / "generations" / name


def stage_root(lake: Path, name: str, stage: str) -> Path:
    """Folder above a stage's folder for readers of a generation."""
    return room(lake, name) if stage in GENERATION_STAGES and name != FIRST else lake
