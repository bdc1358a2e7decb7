"""The value that the readers of a sentence return.

Belongs here: one found phrase with its places. Does not belong here: how it was found or what it means.
"""

from __future__ import annotations

from dataclasses import dataclass

from spine_models.domain import Status


@dataclass(frozen=True)
class Finding:
    """Words of a sentence that name a condition or its absence.

    Attributes:
        condition: its key.
        start: of the words, for side, severity and level.
        end: of the words.
        judge_start: where cues of denial and doubt must stand before.
        judge_end: where they may follow.
        reading: what the words mean when nothing denies or doubts them.
        chain: findings that share one head carry the same number; a later one inherits an earlier severity.
    """

    condition: str
    start: int
    end: int
    judge_start: int
    judge_end: int
    reading: Status
    chain: int | None = None
