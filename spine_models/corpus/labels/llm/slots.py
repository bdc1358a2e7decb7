"""A bounded number of questions in flight, with a lane for those that others wait for.

Belongs here: who goes next. Does not belong here: what a question is.

The first question of a report brings its prefix into the server's cache, and sixteen others wait for it. In one
queue it would stand behind all followers of other reports; all reports would then reach their first question at the
same time and leave the server idle.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """Like a semaphore; of those that wait the urgent ones go first, otherwise in the order of their coming."""

    def __init__(self, count: int) -> None:
        """Have ``count`` slots, all free."""
        self._free = count
        self._waiting: tuple[deque[asyncio.Future[None]], deque[asyncio.Future[None]]] = (deque(), deque())

    @asynccontextmanager
    async def taken(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Hold one slot, as soon as there is one."""
        await self._take(urgent)
        try:
            yield
        finally:
            self._give()

    async def _take(self, urgent: bool) -> None:
        if self._free > 0:
            self._free -= 1
            return
        lane = self._waiting[0 if urgent else 1]
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.append(ticket)
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self._give()  # the slot came in the same moment as the end
            raise  # a cancelled ticket is passed over when its turn comes

    def _give(self) -> None:
        """Pass a slot on, or lay it down."""
        for lane in self._waiting:
            while lane:
                ticket = lane.popleft()
                if not ticket.done():
                    ticket.set_result(None)
                    return
        self._free += 1
