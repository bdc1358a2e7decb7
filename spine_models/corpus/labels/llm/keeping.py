"""Answers on their way into the log, and the one cause behind many failures.

Belongs here: which rejections may be kept. Does not belong here: the log (``store``), what is asked in which order
(``asking``, and ``reporting.chat``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spine_models.corpus.labels.contract import Reason
from spine_models.corpus.labels.llm.store import AnswerLog, Stored

if TYPE_CHECKING:
    from spine_models.corpus.labels.llm.client import Client

REJECTED_AT_FIRST: Final = 17
"""So many rejections without one answer are the server's fault."""


class Keeper:
    """Writes each answer down as it comes; a rejection waits while nothing was answered yet."""

    def __init__(self, client: Client, log: AnswerLog) -> None:
        self._client, self._log = client, log
        self._rejected: list[Stored] = []

    def add(self, stored: Stored) -> None:
        """Keep one answer.

        Raises:
            LlmError: the server rejects everything.
        """
        if stored.outcome == Reason.REJECTED and not self._client.answered:
            # It may be the server that is set up wrongly, not the question: that must not be kept.
            self._rejected.append(stored)
            if len(self._rejected) >= REJECTED_AT_FIRST:
                raise self._client.rejects_everything()
        else:
            self._log.add(stored)

    def close(self) -> None:
        """Keep what waits; called when every question was asked."""
        for stored in self._rejected:
            self._log.add(stored)


def first_failure(failures: BaseExceptionGroup) -> BaseException:
    """The first failure itself: many questions fail for one cause when a server goes down."""
    first = failures.exceptions[0]
    return first_failure(first) if isinstance(first, BaseExceptionGroup) else first
