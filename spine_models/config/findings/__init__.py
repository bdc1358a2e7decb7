"""Numbers of the findings layer, one module a stage."""

from spine_models.config.findings.attribution import AttributionSettings
from spine_models.config.findings.embeddings import EmbeddingSettings
from spine_models.config.findings.localization import LevelwiseSettings, LocalizationSettings
from spine_models.config.findings.probes import ProbeSettings
from spine_models.config.findings.retrieval import RetrievalSettings
from spine_models.config.findings.strata import StratumSettings

__all__ = [
    "AttributionSettings",
    "EmbeddingSettings",
    "LevelwiseSettings",
    "LocalizationSettings",
    "ProbeSettings",
    "RetrievalSettings",
    "StratumSettings",
]
