from __future__ import annotations

import asyncio

from spine_models.corpus.labels.llm.slots import Slots


def test_urgent_ones_go_first_and_others_in_their_order():
    order = []

    async def work(slots, name, urgent):
        async with slots.taken(urgent=urgent):
            order.append(name)
            await asyncio.sleep(0.001)

    async def scene():
        slots = Slots(1)
        names = [("a", False), ("b", False), ("c", False), ("d", True), ("e", True)]
        await asyncio.gather(*(work(slots, name, urgent) for name, urgent in names))

    asyncio.run(scene())
    assert order == ["a", "d", "e", "b", "c"]


def test_no_more_at_once_than_slots_and_none_lost_when_those_who_wait_give_up():
    async def scene():
        slots, at_once, most = Slots(3), 0, 0

        async def work():
            nonlocal at_once, most
            async with slots.taken():
                at_once += 1
                most = max(most, at_once)
                await asyncio.sleep(0.001)
                at_once -= 1

        for _ in range(5):
            tasks = [asyncio.create_task(work()) for _ in range(30)]
            await asyncio.sleep(0.0015)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # A slot that comes in the same step as the cancellation must not be lost either.
            holder = [asyncio.create_task(work()) for _ in range(3)]
            waiter = asyncio.create_task(work())
            await asyncio.wait(holder, return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()
            await asyncio.gather(*holder, waiter, return_exceptions=True)
        most = at_once = 0
        await asyncio.wait_for(asyncio.gather(*(work() for _ in range(30))), 5)
        return most

    assert asyncio.run(scene()) == 3
