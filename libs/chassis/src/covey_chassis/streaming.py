"""Server-sent events (WHATWG HTML, 9.2): what is news to whoever listens, for as long as they may hear it."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse

from covey_chassis.errors import Refusal
from covey_chassis.service import Context
from covey_chassis.waiting import wait_until

LOOK_S = 0.5
"""How often it is looked: well below a lease, so that no piece goes out without one."""
QUIET_S = 15.0
"""After so long without news a comment is sent, so that nobody on the way takes the connection for dead."""

Listener = TypeVar("Listener")


class EventStream(StreamingResponse):
    """An answer that goes on."""

    media_type = "text/event-stream"


def event(name: str, data: object, *, event_id: str | None = None) -> str:
    """One event, with its data as JSON. Whoever was cut off asks again with the last ``event_id`` that they heard."""
    numbered = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {name}\n{numbered}data: {json.dumps(data)}\n\n"


def news(
    ctx: Context,
    again: Callable[[AsyncSession], Awaitable[Listener]],
    look: Callable[[AsyncSession, Listener], Awaitable[str | None]],
) -> EventStream:
    """A stream of events, until the process stops or whoever listens may no longer hear it.

    Args:
        ctx: the service's.
        again: authorises the listener anew before each look (``access.Again``, ``access.SightAgain``). Its refusal is said
            by ``ended``, the last event.
        look: the event of what is news, if anything is. It gets the same transaction, and what ``again`` said.
    """

    async def pieces() -> AsyncIterator[str]:
        said_at = time.monotonic()
        while not ctx.stopping.is_set():
            try:
                async with ctx.requests.transaction() as session:
                    found = await look(session, await again(session))
            except Refusal as refusal:
                yield event("ended", {"code": refusal.code()})
                return
            if found is None and time.monotonic() - said_at >= QUIET_S:
                found = ":\n\n"
            if found is not None:
                yield found
                said_at = time.monotonic()
            await wait_until(ctx.stopping, LOOK_S)

    return EventStream(pieces())
