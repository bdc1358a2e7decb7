"""Names of baselines as settings give them and as tables hold them.

``random_init``, ``pixel_pca`` and ``efficientnet_lite0`` are built in. ``timm:<model>`` and
``transformers:<folder>`` name any model whose weights are on disk; ``?random`` behind either asks for its
architecture as initialised.

Belongs here: reading names, without importing a model. Does not belong here: building models (``networks``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

BUILT_IN: Final = ("random_init", "pixel_pca", "efficientnet_lite0")
LIBRARIES: Final = ("timm", "transformers")
RANDOM: Final = "?random"


@dataclass(frozen=True)
class Source:
    """A model of a library: its model name (timm) or folder (transformers), and whether it stays untrained."""

    library: str
    model: str
    random: bool


def source_of(entry: str) -> Source | None:
    """The library model that an entry of ``probes.baselines`` names, or None for a built-in baseline.

    Raises:
        ValueError: neither.
    """
    if entry in BUILT_IN:
        return None
    library, _, model = entry.partition(":")
    random = model.endswith(RANDOM)
    model = model.removesuffix(RANDOM)
    if library not in LIBRARIES or not model:
        raise ValueError(
            f"no baseline {source_name(entry)!r} (setting probes.baselines): choose from {', '.join(BUILT_IN)}, "
            "timm:<model> or transformers:<folder>"
        )
    return Source(library, model, random)


def source_name(entry: str) -> str:
    """What tables call a baseline: a folder is called by its own name, without where it lies."""
    library, colon, model = entry.partition(":")
    return f"{library}:{PurePath(model).name}" if colon and library == "transformers" else entry
