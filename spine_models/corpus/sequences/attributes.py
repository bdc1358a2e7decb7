"""What else a header tells of a series: contrast agent, part of a Dixon, diffusion weightings.

Belongs here: attributes that hold whatever the weighting is. Does not belong here: the contrast family itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from spine_models.corpus.sequences.text import agent_given, dixon_part
from spine_models.corpus.sequences.verdict import Facts
from spine_models.domain import Contrast

_PART_OF: dict[Contrast, str] = {
    Contrast.DIXON_IN: "in",
    Contrast.DIXON_OPPOSED: "opposed",
    Contrast.DIXON_WATER: "water",
    Contrast.DIXON_FAT: "fat",
}


def contrast_agent(kinds: Iterable[Facts], contrast: Contrast | None) -> bool | None:
    """Whether agent was given before the images: by names and header, or by the family; null when neither speaks.

    The header of a series without the attribute speaks as little as an empty name does.
    """
    if contrast is Contrast.T1_CONTRAST:
        return True
    kinds = list(kinds)
    if any(agent_given(facts)[0] for facts in kinds):
        return True
    spoken = any(
        facts.series_description or facts.protocol_name or facts.has_contrast_agent for facts in kinds
    )
    return False if spoken else None


def part_of_dixon(kinds: Iterable[Facts], contrast: Contrast | None) -> str | None:
    """``in``, ``opposed``, ``water`` or ``fat``, also of a T1-weighted Dixon; null for others and for mixed parts."""
    if contrast in _PART_OF:
        return _PART_OF[contrast]
    parts = {dixon_part(facts) for facts in kinds}
    return parts.pop() if len(parts) == 1 else None


def diffusion_weightings(kinds: Iterable[Facts]) -> list[float] | None:
    """The b-values of the instances in s/mm2, rising, each once; null where no instance names one."""
    found = sorted({facts.b_value for facts in kinds if facts.b_value is not None})
    return found or None
