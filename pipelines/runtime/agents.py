"""The published models behind the agents, opened together.

Belongs here: from the store to open models. Does not belong here: what they say (``spine_models.reporting.agents``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.runtime.aligned import space_versions
from pipelines.runtime.judges import judges
from pipelines.runtime.resources import Hospital

if TYPE_CHECKING:
    from spine_models.findings.levelwise.heads import LevelHeads
    from spine_models.reporting.agents import Grading, Published

GRADING = ("agents", "grading")
LOCALIZER = ("localization", "models")
LEVEL_HEADS = ("localization", "level_heads")


def published_grading(hospital: Hospital) -> Grading | None:
    """The severity grading; None where none has been fitted yet.

    Raises:
        AgentsError: files that do not belong together.
    """
    from spine_models.reporting.agents import load_grading

    return load_grading(hospital.current(GRADING)) if hospital.lake.has_artifact(GRADING) else None


def published_level_heads(hospital: Hospital) -> LevelHeads | None:
    """Heads of levels; None where none have been fitted yet.

    Raises:
        LocalizationError: files that do not belong together.
    """
    from spine_models.findings.levelwise.heads import load_level_heads

    return (
        load_level_heads(hospital.current(LEVEL_HEADS)) if hospital.lake.has_artifact(LEVEL_HEADS) else None
    )


def published_agents(hospital: Hospital) -> Published:
    """All models behind the agents, with the versions of the space; None for what has not been published yet.

    Raises:
        HeadsError, GuardsError, AgentsError, LocalizationError: files that do not belong together.
    """
    from spine_models.findings.localization.models import load_models
    from spine_models.reporting.agents import Published

    heads, guards = judges(hospital)
    found = hospital.lake.has_artifact(LOCALIZER)
    return Published(
        heads=heads,
        guards=guards,
        grading=published_grading(hospital),
        localizer=load_models(hospital.current(LOCALIZER)) if found else None,
        levels=published_level_heads(hospital),
        space=space_versions(hospital),
    )
