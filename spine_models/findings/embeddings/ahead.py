"""The next items of an iterator, made in a thread while the present one is used.

Belongs here: that one thread, its bound and its end. Does not belong here: what is read or computed.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")
_END: Final = object()


def read_ahead(items: Iterable[T], depth: int) -> Iterator[T]:
    """The items in their order, up to ``depth`` of them made before they are asked for.

    An error of the iterable is raised where its item would have come. When the caller stops early the thread ends with
    the item that it is making.

    Args:
        items: iterated in another thread, and nowhere else.
        depth: items that may wait; at least 1.
    """
    waiting: queue.Queue[tuple[object, BaseException | None]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(item: object, error: BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                waiting.put((item, error), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(item, None):
                    return
        except BaseException as error:  # raised again in the caller's thread
            put(_END, error)
        else:
            put(_END, None)

    thread = threading.Thread(target=make, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
