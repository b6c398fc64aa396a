"""What changes while one looks: the services' own streams, passed on to the browser."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode
from uuid import UUID

from covey_chassis.waiting import wait_until
from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from covey_portal.calling import Answer, Away, Refused, To
from covey_portal.signed_on import SignOnNeeded, exchange, services_of, session_token_of

router = APIRouter()

AGAIN_S, SOON_S = 2.0, 0.2
"""So long after a service broke off it is asked again, and after a token ran out: browsers stay connected meanwhile."""
TOKEN_OVER, UNVERIFIED = "sign-on-needed", "access-unverified"
"""What a service's stream may end with while the session goes on."""
POSITION = re.compile(r"[0-9a-f:,]{1,40000}")


@dataclass(frozen=True)
class Event:
    """One of a service's events; a comment is one without a name (WHATWG HTML, 9.2)."""

    name: str = ""
    data: str = ""
    event_id: str | None = None

    def __str__(self) -> str:
        if not self.name:
            return ":\n\n"
        numbered = "" if self.event_id is None else f"id: {self.event_id}\n"
        return f"event: {self.name}\n{numbered}data: {self.data or '{}'}\n\n"


@router.get("/groups/{group_id}/live")
async def watch_group(request: Request, group_id: UUID) -> StreamingResponse:
    """``ended``, and the end, once the person may no longer see the group; ``signed-off``, once their session is over.

    To watch does not count as using the session.
    """
    return _passed_on(request, To.IDENTITY, f"/v1/groups/{group_id}/access/events")


@router.get("/transactions/live")
async def watch_transactions(request: Request, after: str = "") -> StreamingResponse:
    """``changed``, with an ID to go on from, once what is shown of transactions may be out of date; else likewise."""
    heard = request.headers.get("last-event-id") or after
    last = heard if POSITION.fullmatch(heard) else None
    return _passed_on(request, To.TRANSACTIONS, "/v1/transactions/events", last)


def changes_after(answer: Answer) -> str:
    """Where a page hears of what changes after the first that transactions has answered for it; empty where it says not."""
    position = answer.headers.get("last-event-id")
    return f"/transactions/live?{urlencode({'after': position})}" if position else ""


def _passed_on(request: Request, to: To, path: str, last_event_id: str | None = None) -> StreamingResponse:
    pieces = _pieces(request, to, path, last_event_id)
    return StreamingResponse(pieces, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _pieces(request: Request, to: To, path: str, last_event_id: str | None) -> AsyncIterator[str]:
    """An access token lasts five minutes, and the service's stream no longer: then another one goes on from there.

    Once the session's token is not good any more, the browser asks again with the one that it has by then: it may have been
    given another. Whether the session is over the first answer to that says.
    """
    stopping: asyncio.Event = request.app.state.stopping
    yield "retry: 3000\n\n"
    is_first = True
    try:
        while not stopping.is_set():
            try:
                async with aclosing(_heard(request, to, path, last_event_id)) as events:
                    async for event in events:
                        if stopping.is_set():
                            return
                        last_event_id = event.event_id or last_event_id
                        yield str(event)
                pause = SOON_S
            except Away:
                yield str(Event())
                pause = AGAIN_S
            is_first = False
            await wait_until(stopping, pause)
    except SignOnNeeded:
        yield str(Event("signed-off")) if is_first else "retry: 100\n\n"
    except Refused:
        yield str(Event("ended"))


async def _heard(request: Request, to: To, path: str, last_event_id: str | None) -> AsyncGenerator[Event]:
    """The service's stream, until the token runs out. What has no ID only says that it is there.

    Raises:
        SignOnNeeded: the session is over.
        Refused: they may no longer hear it.
        Away: the service does not answer, cannot verify anybody's rights just now, or has too many streams of theirs.
    """
    services = services_of(request)
    issued = await exchange(services, session_token_of(request), in_background=True)
    try:
        async with services.listen(to, path, bearer=issued["access_token"], last_event_id=last_event_id) as lines:
            async for event in _events(lines):
                if event.name == "ended":
                    raise Refused(403, json.loads(event.data)["code"], "The stream has ended.")
                yield event if event.event_id else Event()
    except Refused as refused:
        if refused.code == UNVERIFIED or refused.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise Away from refused
        if refused.code != TOKEN_OVER:
            raise


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    said: dict[str, str] = {}
    async for line in lines:
        field, _, value = line.partition(":")
        if line:
            said[field] = value.strip()
        else:
            yield Event(said.get("event", ""), said.get("data", ""), said.get("id"))
            said = {}
