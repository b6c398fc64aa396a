"""Waiting for something, but not for ever."""

import asyncio
import contextlib


async def wait_until(event: asyncio.Event, seconds: float) -> None:
    """Until the event, but no longer than so.

    Not by ``asyncio.wait_for``: before Python 3.12 it loses a cancellation that comes together with the event, and a task
    that was told to end goes on for ever.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
