"""chat: questions to a language model server, answered once, logged, bound to a schema where they name one.

Belongs here: the names that instructions, reports and scores use. Does not belong here: code, or any word of a prompt.
"""

from spine_models.corpus.labels.llm.errors import (
    AnswerLogError,
    LlmError,
    ModelMissingError,
    ServerDownError,
)
from spine_models.reporting.chat.asking import ask_all, count_open
from spine_models.reporting.chat.questions import ANSWERED, Message, Question, Reply, model_version

__all__ = [
    "ANSWERED",
    "AnswerLogError",
    "LlmError",
    "Message",
    "ModelMissingError",
    "Question",
    "Reply",
    "ServerDownError",
    "ask_all",
    "count_open",
    "model_version",
]
