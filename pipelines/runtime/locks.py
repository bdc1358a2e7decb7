"""One writer at a time, between processes, also after one of them was killed.

Belongs here: a file lock that the operating system frees with its owner. Does not belong here: what is written
under it (``storage``), or which work excludes which (``runner``).
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

logger = logging.getLogger("spineagent")

POLL_S: Final = 0.05
_REMIND_S: Final = 300.0
_held: dict[tuple[str, int], int] = {}


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs; wait, and say so, while another process or thread has it.

    A thread may enter a lock that it holds. The file goes when the lock is freed; one that a killed process left
    behind locks nothing.

    Args:
        path: lock file; its folder must exist.
        what: named in the line that says what is being waited for.

    Raises:
        OSError: the file cannot be made (read-only or full file system).
    """
    me = (str(path), threading.get_ident())
    if me in _held:
        _held[me] += 1
        try:
            yield
        finally:
            _held[me] -= 1
        return
    descriptor = _acquire(path, what)
    _held[me] = 1
    try:
        yield
    finally:
        del _held[me]
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


@contextmanager
def if_free(path: Path) -> Iterator[bool]:
    """Hold the lock while the block runs if nobody has it; yields whether it was free. Never waits."""
    descriptor = _try(path)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)


def _acquire(path: Path, what: str) -> int:
    said = -_REMIND_S
    while (descriptor := _try(path)) is None:
        if time.monotonic() - said >= _REMIND_S:
            said = time.monotonic()
            logger.info("%s is being written by another run: waiting for it", what)
        time.sleep(POLL_S)
    return descriptor


def _try(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The owner before unlinks its file: a lock on what is no longer there excludes nobody.
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
