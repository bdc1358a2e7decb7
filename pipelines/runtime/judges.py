"""The published heads and their guards, as claims and drafts use them.

Belongs here: opening both together. Does not belong here: what they say (``spine_models.findings.probes``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.runtime.resources import Hospital

if TYPE_CHECKING:
    from spine_models.findings.probes.heads import Heads
    from spine_models.findings.probes.strata.guards import Guards

HEADS = ("probes", "heads")
GUARDS = ("probes", "guards")


def judges(hospital: Hospital) -> tuple[Heads | None, Guards | None]:
    """Heads, and the guards that were fitted for them; None for what has not been published yet.

    Raises:
        HeadsError, GuardsError: files that do not belong together.
    """
    from spine_models.findings.probes.heads import load_heads
    from spine_models.findings.probes.strata.guards import load_guards

    if not hospital.lake.has_artifact(HEADS):
        return None, None
    heads = load_heads(hospital.current(HEADS))
    guarded = hospital.lake.has_artifact(GUARDS)
    return heads, load_guards(hospital.current(GUARDS), heads) if guarded else None
