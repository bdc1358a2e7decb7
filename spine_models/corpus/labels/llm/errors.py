"""What stops a run of a language model. A single question that fails is no error but a row with a reason.

Belongs here: the errors that callers tell apart. Does not belong here: reasons of rows (``contract.Reason``). No
message holds report text, a prompt, an answer or a key: they end up in logs.
"""


class LlmError(RuntimeError):
    """The labeller cannot go on; what was answered is kept, a later run goes on from there."""


class ServerDownError(LlmError):
    """Nothing answers at the endpoint, or it cannot be started."""


class ModelMissingError(LlmError):
    """The server is there and does not serve the model."""


class AnswerLogError(LlmError):
    """The log of answers cannot be used: another run holds it, or it is damaged."""


class PromptError(ValueError):
    """A prompt file does not fit the condition list or its own model."""


class AnswerError(ValueError):
    """An answer does not follow its schema; the message names fields, never their content."""
