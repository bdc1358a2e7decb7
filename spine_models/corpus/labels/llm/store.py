"""The log of answers: what was asked and answered once is never asked again, whatever ends a run.

Belongs here: one line per finished question, appended at once, found by its key. Does not belong here: what a key
is made of (``questions``), what an answer means (``answers``).

The log is append-only JSON lines. A line is written whole with one call as soon as its answer is there, so a killed
run loses only what was in flight; a line that a kill tore is dropped when the log is next opened. One run at a time:
the file is locked. It holds what models wrote about de-identified reports, and is readable by its owner only.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from spine_models.corpus.labels.llm.errors import AnswerLogError

_START: Final = b'{"key":"'
_KEY: Final = slice(len(_START), len(_START) + 64)
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Stored:
    """One finished question.

    Attributes:
        key: of the question, 64 hexadecimal digits.
        text: the answer; None where there is none.
        outcome: "answered", or the ``contract.Reason`` why not.
        limit: context length that the model had, of which "context_too_long" depends.
        log_probabilities: condition to that of its status value.
    """

    key: str
    text: str | None = field(repr=False)
    outcome: str
    finish_reason: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    seconds: float
    attempts: int
    limit: int
    log_probabilities: dict[str, float]


class AnswerLog:
    """The log in one file. Use as ``with``; opening takes the lock and reads the keys."""

    def __init__(self, path: Path) -> None:
        """Open or create the log.

        Args:
            path: of the file; its folder is made where it is not there.

        Raises:
            AnswerLogError: another run holds it, or a line in its middle is damaged.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._places: dict[bytes, int] = {}
        try:
            self._lock()
            self._end = self._index()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file)
        os.close(self._file)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._places

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str) -> Stored | None:
        """What was answered, or None.

        Raises:
            AnswerLogError: the line is damaged.
        """
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        line = b""
        while b"\n" not in line:
            more = os.pread(self._file, 4096, place + len(line))
            if not more:
                raise self._damaged(place)
            line += more
        try:
            return Stored(**json.loads(line[: line.index(b"\n")]))
        except (ValueError, TypeError):
            raise self._damaged(place) from None

    def add(self, stored: Stored) -> None:
        """Write one line now. A later line of the same key counts.

        Raises:
            AnswerLogError: the disk takes it not or not whole; the log stays sound.
        """
        line = json.dumps(vars(stored), separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        try:
            written = os.write(self._file, line)
        except OSError as error:
            raise AnswerLogError(f"cannot write {self._path}: {error.strerror}") from error
        if written < len(line):
            os.ftruncate(self._file, self._end)
            raise AnswerLogError(f"cannot write {self._path}: the disk is full")
        self._places[bytes.fromhex(stored.key)] = self._end
        self._end += written

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AnswerLogError(
                f"another run writes {self._path}: wait for its end, or stop it, and start again"
            ) from None

    def _index(self) -> int:
        """Note where every line begins; cut a torn last line off. Returns the length of what is whole."""
        end = 0
        for place, line in self._lines():
            if not line.endswith(b"\n"):
                os.ftruncate(self._file, place)
                break
            if not (line.startswith(_START) and line.endswith(b"}\n")):
                raise self._damaged(place)
            try:
                self._places[bytes.fromhex(line[_KEY].decode())] = place
            except ValueError:
                raise self._damaged(place) from None
            end = place + len(line)
        return end

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with open(os.dup(self._file), "rb", buffering=_CHUNK) as file:
            file.seek(0)
            place = 0
            for line in file:
                yield place, line
                place += len(line)

    def _damaged(self, place: int) -> AnswerLogError:
        return AnswerLogError(
            f"{self._path} is damaged at byte {place}: restore it, or move it away to ask everything again"
        )
