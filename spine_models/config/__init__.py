"""The numbers of a profile: one frozen model per stage, read from ``profiles/<name>.yaml``.

Belongs here: every size, threshold and schedule that differs between phantom, workstation and paper, one module a
layer. Does not belong here: paths, endpoints, keys or anything read from the environment.
"""

from spine_models.config.corpus import (
    ArchiveSettings,
    DeidSettings,
    LabelSettings,
    LlmSettings,
    SequenceSettings,
    ShardSettings,
)
from spine_models.config.encoder import (
    FREE_ON_RESUME,
    AlignSettings,
    BackboneSettings,
    ClipSettings,
    ClipVariant,
    GramSettings,
    SynthesizerSettings,
)
from spine_models.config.findings import AgentSettings, EmbeddingSettings, ProbeSettings
from spine_models.config.profile import PROFILES, Profile, load_profile

__all__ = [
    "FREE_ON_RESUME",
    "AgentSettings",
    "AlignSettings",
    "ArchiveSettings",
    "BackboneSettings",
    "ClipSettings",
    "ClipVariant",
    "DeidSettings",
    "EmbeddingSettings",
    "GramSettings",
    "LabelSettings",
    "LlmSettings",
    "PROFILES",
    "ProbeSettings",
    "Profile",
    "SequenceSettings",
    "ShardSettings",
    "SynthesizerSettings",
    "load_profile",
]
