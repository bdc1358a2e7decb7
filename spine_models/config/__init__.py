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
from spine_models.config.findings import (
    AttributionSettings,
    EmbeddingSettings,
    LevelwiseSettings,
    LocalizationSettings,
    ProbeSettings,
    RetrievalSettings,
    StratumSettings,
)
from spine_models.config.profile import PROFILES, Profile, load_profile
from spine_models.config.reporting import (
    AgentSettings,
    InstructionSettings,
    LlavaSettings,
    LlavaStageSettings,
    ReportSettings,
    ScoreSettings,
    TinyDecoderSettings,
)

__all__ = [
    "AgentSettings",
    "AlignSettings",
    "ArchiveSettings",
    "AttributionSettings",
    "BackboneSettings",
    "ClipSettings",
    "ClipVariant",
    "DeidSettings",
    "EmbeddingSettings",
    "FREE_ON_RESUME",
    "GramSettings",
    "InstructionSettings",
    "LabelSettings",
    "LlavaSettings",
    "LlavaStageSettings",
    "LlmSettings",
    "LevelwiseSettings",
    "LocalizationSettings",
    "PROFILES",
    "ProbeSettings",
    "Profile",
    "ReportSettings",
    "RetrievalSettings",
    "ScoreSettings",
    "SequenceSettings",
    "ShardSettings",
    "StratumSettings",
    "SynthesizerSettings",
    "TinyDecoderSettings",
    "load_profile",
]
