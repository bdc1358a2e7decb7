"""What exists: the whole pipeline in order, one thin module per stage.

Belongs here: the table of contents. Does not belong here: computation, SQL or tensors. Stage modules never
import each other; they meet by asset key.
"""

from __future__ import annotations

from types import ModuleType

import dagster as dg

from assets import warehouse
from assets.corpus import archive, deid, labels, sequences, shards
from assets.encoder import backbone, clip, synthesizer
from assets.findings import ablations, attribution, embeddings, localization, probes, retrieval
from assets.reporting import agents, instructions, llava, reports, scores

STAGES: dict[str, ModuleType] = {
    "archive": archive,
    "deid": deid,
    "sequences": sequences,
    "labels": labels,
    "shards": shards,
    "backbone": backbone,
    "clip": clip,
    "synthesizer": synthesizer,
    "embeddings": embeddings,
    "probes": probes,
    "attribution": attribution,
    "localization": localization,
    "retrieval": retrieval,
    "agents": agents,
    "instructions": instructions,
    "llava": llava,
    "reports": reports,
    "scores": scores,
    "ablations": ablations,
}
"""Stage word to module, in flow order; the order of ``spineagent run --through``."""


def assets_of(module: ModuleType) -> list[dg.AssetsDefinition]:
    """The assets of one stage module: those it names, and those of its tuples."""
    found: list[dg.AssetsDefinition] = []
    for value in vars(module).values():
        members = value if isinstance(value, tuple) else (value,)
        found += [member for member in members if isinstance(member, dg.AssetsDefinition)]
    return found


def all_assets() -> list[dg.AssetsDefinition]:
    """Every asset of the graph."""
    return [found for module in (*STAGES.values(), warehouse) for found in assets_of(module)]
