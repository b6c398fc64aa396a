"""Waiting ends in time, with the event, and when it is told to."""

import asyncio

from covey_chassis.waiting import wait_until


async def test_it_ends_with_the_event_and_after_its_time():
    event = asyncio.Event()
    await wait_until(event, 0.01)
    event.set()
    await wait_until(event, 60)


async def test_a_cancellation_that_comes_together_with_the_event_is_not_lost():
    event = asyncio.Event()

    async def work() -> None:
        while True:
            await wait_until(event, 60)
            event.clear()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    event.set()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=5)

    assert task.cancelled()
