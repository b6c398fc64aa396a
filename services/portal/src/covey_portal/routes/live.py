"""What changes while one looks: the services' own streams, passed on to the browser."""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID

from covey_chassis.waiting import wait_until
from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from covey_portal.calling import Away, Refused, Services, To
from covey_portal.signed_on import COOKIE, SignOnNeeded, exchange, services_of

router = APIRouter()

AGAIN_S = 2.0
"""So long after a service broke off it is asked again: browsers keep their own connection meanwhile."""


@router.get("/groups/{group_id}/live")
async def watch_group(request: Request, group_id: UUID) -> StreamingResponse:
    """``ended``, and the end, once the person may no longer see the group; ``signed-off``, once their session is over.

    To watch does not count as using the session.
    """
    stopping: asyncio.Event = request.app.state.stopping
    token = request.cookies.get(COOKIE, "")
    pieces = _pieces(services_of(request), token, f"/v1/groups/{group_id}/access/events", stopping)
    return StreamingResponse(pieces, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _pieces(services: Services, session_token: str, path: str, stopping: asyncio.Event) -> AsyncIterator[str]:
    """An access token lasts five minutes, and the service's stream no longer: then another one goes on."""
    yield "retry: 3000\n\n"
    if not session_token:
        yield _event("signed-off")
        return
    while not stopping.is_set():
        try:
            issued = await exchange(services, session_token, in_background=True)
            async with services.listen(To.IDENTITY, path, bearer=issued["access_token"]) as lines:
                async for event, data in _events(lines):
                    if stopping.is_set():
                        return
                    if event == "ended":
                        if json.loads(data)["code"] == "sign-on-needed":
                            break  # the token ran out; whether the session did says the next exchange
                        yield _event("ended")
                        return
                    yield ": there\n\n"
        except SignOnNeeded:
            yield _event("signed-off")
            return
        except Refused as refused:
            yield _event("signed-off" if refused.status == 401 else "ended")
            return
        except Away:
            yield ": away\n\n"
        await wait_until(stopping, AGAIN_S)


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str]]:
    """Events by name, each with its data; a comment is an event without a name (WHATWG HTML, 9.2)."""
    name = data = ""
    async for line in lines:
        field, _, value = line.partition(":")
        if field == "event":
            name = value.strip()
        elif field == "data":
            data = value.strip()
        elif not line:
            yield name, data
            name = data = ""


def _event(name: str) -> str:
    return f"event: {name}\ndata: {{}}\n\n"
