"""Progress of long work as log lines, at most one every few seconds.

Belongs here: the callback that domain functions take. Does not belong here: how a terminal shows it (``cli``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

logger = logging.getLogger("spineagent")


def reporter(what: str, unit: str, every_s: float = 5.0) -> Callable[[int, int], None]:
    """A ``progress(done, total)`` callback that logs ``what: done of total unit``."""
    last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every_s and done < total:
            last = now
            logger.info("%s: %s of %s %s", what, f"{done:,}", f"{total:,}", unit)

    return progress
