"""A profile: all sections, read from a YAML file.

Belongs here: the file, and profiles that extend others. Does not belong here: the sections' numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from spine_models.config.corpus import (
    ArchiveSettings,
    DeidSettings,
    LabelSettings,
    SequenceSettings,
    ShardSettings,
)
from spine_models.config.encoder import BackboneSettings, ClipSettings, GramSettings, SynthesizerSettings
from spine_models.config.findings import (
    AttributionSettings,
    EmbeddingSettings,
    LocalizationSettings,
    ProbeSettings,
    RetrievalSettings,
    StratumSettings,
)
from spine_models.config.reporting import (
    AgentSettings,
    InstructionSettings,
    LlavaSettings,
    ReportSettings,
    ScoreSettings,
)
from spine_models.config.section import Section

PROFILES: Final[Path] = Path(__file__).parents[1] / "profiles"


class Profile(Section):
    """All numbers of one size of the system."""

    name: str
    archive: ArchiveSettings = ArchiveSettings()
    deid: DeidSettings = DeidSettings()
    sequences: SequenceSettings = SequenceSettings()
    labels: LabelSettings = LabelSettings()
    shards: ShardSettings = ShardSettings()
    backbone: BackboneSettings = BackboneSettings()
    gram: GramSettings = GramSettings()
    synthesizer: SynthesizerSettings = SynthesizerSettings()
    clip: ClipSettings = ClipSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    probes: ProbeSettings = ProbeSettings()
    strata: StratumSettings = StratumSettings()
    attribution: AttributionSettings = AttributionSettings()
    localization: LocalizationSettings = LocalizationSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    agents: AgentSettings = AgentSettings()
    instructions: InstructionSettings = InstructionSettings()
    llava: LlavaSettings = LlavaSettings()
    reports: ReportSettings = ReportSettings()
    scores: ScoreSettings = ScoreSettings()


def load_profile(name: str) -> Profile:
    """Read ``profiles/<name>.yaml``, or the YAML file that ``name`` points to.

    A profile may start from another one, ``extends: phantom``: the numbers that it names then replace that one's.

    Raises:
        ValueError: no such profile (lists the known ones), profiles that extend each other, or a number that the
            model refuses.
    """
    return Profile.model_validate(_document(name, ()))


def _document(name: str, below: tuple[str, ...]) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yaml")))
        raise ValueError(f"no profile {name!r}: choose one of {known}, or give the path of a YAML file")
    if name in below:
        raise ValueError(f"profiles extend each other: {' -> '.join((*below, name))}")
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    parent = document.pop("extends", None)
    return document if parent is None else _joined(_document(str(parent), (*below, name)), document)


def _joined(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """``below`` with what ``above`` names; sections are joined name by name, anything else is replaced."""
    joined = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(name), dict)
        joined[name] = _joined(below[name], value) if both else value
    return joined
