"""Language models as labellers: prompts of our own, answers bound to a schema, a log that outlives a kill.

Belongs here: the names that assets use. Does not belong here: code.
"""

from spine_models.corpus.labels.llm.errors import (
    AnswerLogError,
    LlmError,
    ModelMissingError,
    PromptError,
    ServerDownError,
)
from spine_models.corpus.labels.llm.labeller import LlmTables, count_open, label_with_llm, labeller_version
from spine_models.corpus.labels.llm.server import serving

__all__ = [
    "AnswerLogError",
    "LlmError",
    "LlmTables",
    "ModelMissingError",
    "PromptError",
    "ServerDownError",
    "count_open",
    "label_with_llm",
    "labeller_version",
    "serving",
]
