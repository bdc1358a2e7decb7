"""Messages of a training process, read from the file that it appends to, whole lines only.

Dagster's own reader takes whatever stands behind the last line as a line; on a busy machine it meets one that is half
written, and the training's closing message is lost. Belongs here: tailing that file. Does not belong here: what the
messages say (``training``).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import dagster as dg
from dagster_pipes import PipesDefaultMessageWriter

LOOK_EVERY_S: Final = 0.2


class WholeLinesReader(dg.PipesMessageReader):
    """Reads the messages of a process on this machine through a temporary file."""

    @contextmanager
    def read_messages(self, handler: Any) -> Iterator[dict[str, Any]]:
        """Hand every message to ``handler`` for as long as the context is open, and those that came last after it.

        Args:
            handler: Dagster's ``PipesMessageHandler``.

        Yields:
            What the process needs to know to write its messages.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "messages"
            path.touch()
            over = Event()
            thread = Thread(target=self._follow, args=(path, over, handler), daemon=True)
            thread.start()
            try:
                yield {PipesDefaultMessageWriter.FILE_PATH_KEY: str(path)}
            finally:
                over.set()
                thread.join()

    def _follow(self, path: Path, over: Event, handler: Any) -> None:
        try:
            for line in whole_lines(path, over):
                handler.handle_message(json.loads(line))
        except BaseException:
            handler.report_pipes_framework_exception(type(self).__name__, sys.exc_info())
            raise

    def no_messages_debug_text(self) -> str:
        """What Dagster says where no message came."""
        return "Attempted to read messages from a local temporary file."


def whole_lines(path: Path, over: Event) -> Iterator[bytes]:
    """Lines of a file as they are finished, until ``over`` is set and what stands in the file then has been read.

    A line that is never finished, as a process leaves it that was killed, is left out.
    """
    rest = b""
    with path.open("rb") as file:
        while True:
            ended = over.is_set()  # asked before reading: what was written before it was set is read
            *lines, rest = (rest + file.read()).split(b"\n")
            yield from (line for line in lines if line.strip())
            if ended:
                return
            over.wait(LOOK_EVERY_S)
