"""Numbers of the reporting layer, one module a stage."""

from spine_models.config.reporting.agents import AgentSettings
from spine_models.config.reporting.instructions import InstructionSettings
from spine_models.config.reporting.llava import LlavaSettings, LlavaStageSettings, TinyDecoderSettings
from spine_models.config.reporting.reports import ReportSettings
from spine_models.config.reporting.scores import ScoreSettings

__all__ = [
    "AgentSettings",
    "InstructionSettings",
    "LlavaSettings",
    "LlavaStageSettings",
    "ReportSettings",
    "ScoreSettings",
    "TinyDecoderSettings",
]
