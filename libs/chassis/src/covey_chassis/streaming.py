"""Server-sent events (WHATWG HTML, 9.2): what is news to whoever listens, for as long as they may hear it."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse

from covey_chassis.access.requiring import token_of
from covey_chassis.errors import Refusal
from covey_chassis.transaction import context_of
from covey_chassis.waiting import wait_until

LOOK_S = 0.5
"""How often it is looked: well below a lease, so that no piece goes out without one."""
QUIET_S = 15.0
"""After so long without news a comment is sent, so that nobody on the way takes the connection for dead."""

STREAMS_MAX = 50
"""So many streams one account may listen to at once, in one process."""

Listener = TypeVar("Listener")


class TooManyStreams(Refusal):
    """You are listening to too many streams at once: close some of them."""

    status = 429
    headers = {"Retry-After": "10"}  # noqa: RUF012 - declared once, in Refusal


class EventStream(StreamingResponse):
    """An answer that goes on."""

    media_type = "text/event-stream"


def event(name: str, data: object, *, event_id: str | None = None) -> str:
    """One event, with its data as JSON. Whoever was cut off asks again with the last ``event_id`` that they heard."""
    numbered = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {name}\n{numbered}data: {json.dumps(data)}\n\n"


def news(
    request: Request,
    again: Callable[[AsyncSession], Awaitable[Listener]],
    look: Callable[[AsyncSession, Listener], Awaitable[str | None]],
) -> EventStream:
    """A stream of events, until the process stops or whoever listens may no longer hear it.

    Only some look at a time: many who listen get their news later, and keep nobody's request from the database.

    Args:
        request: whose stream it is.
        again: authorises the listener anew before each look (``access.Again``, ``access.SightAgain``). Its refusal is said
            by ``ended``, the last event.
        look: the event of what is news, if anything is. It gets the same transaction, and what ``again`` said.

    Raises:
        TooManyStreams: the account listens to very many already.
    """
    ctx, account_id = context_of(request), token_of(request).account_id
    if ctx.listeners[account_id] >= STREAMS_MAX:
        raise TooManyStreams

    async def pieces() -> AsyncIterator[str]:
        said_at = time.monotonic()
        ctx.listeners[account_id] += 1
        try:
            while not ctx.stopping.is_set():
                async with ctx.looks, ctx.requests.transaction() as session:
                    found = await look(session, await again(session))
                if found is None and time.monotonic() - said_at >= QUIET_S:
                    found = ":\n\n"
                if found is not None:
                    yield found
                    said_at = time.monotonic()
                await wait_until(ctx.stopping, LOOK_S)
        except Refusal as refusal:
            yield event("ended", {"code": refusal.code()})
        finally:
            ctx.listeners[account_id] -= 1
            if not ctx.listeners[account_id]:
                del ctx.listeners[account_id]

    return EventStream(pieces())
