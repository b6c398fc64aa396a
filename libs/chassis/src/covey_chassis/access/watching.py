"""What somebody may do in a group, live: every service says how it sees it, and ends the stream when it is nothing.

Whoever shows something of a group to a person keeps this open, and takes it off the screen when the stream ends.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from uuid import UUID

from fastapi import Request
from starlette.responses import StreamingResponse

from covey_chassis.access.checking import Actor
from covey_chassis.access.requiring import Again, actor_of, requires
from covey_chassis.access.rights import StaffRight
from covey_chassis.errors import Refusal
from covey_chassis.http import Ctx, service_router

LOOK_S = 0.5
"""How often it is looked: well below a lease, so that no piece goes out without one."""
QUIET_S = 15.0
"""After so long without news a comment is sent, so that nobody on the way takes the connection for dead."""

router = service_router(prefix="/v1/groups/{group_id}/access", tags=["access"])


class EventStream(StreamingResponse):
    """Server-sent events (WHATWG HTML, 9.2)."""

    media_type = "text/event-stream"


@router.get(
    "/events",
    dependencies=[requires(or_staff=tuple(StaffRight))],
    response_class=EventStream,
    summary="What you may do in a group, live",
)
async def watch_access(group_id: UUID, request: Request, ctx: Ctx, again: Again) -> EventStream:
    """`access` says it at the beginning and whenever it changes; `ended` names the refusal, and is the last."""

    async def pieces() -> AsyncIterator[str]:
        said, said_at = "", time.monotonic()
        while not ctx.stopping.is_set():
            try:
                async with ctx.requests.transaction() as session:
                    await again(session)
            except Refusal as refusal:
                yield _event("ended", json.dumps({"code": refusal.code()}))
                return
            now = _held(actor_of(request))
            if now != said:
                yield _event("access", now)
                said, said_at = now, time.monotonic()
            elif time.monotonic() - said_at >= QUIET_S:
                yield ":\n\n"
                said_at = time.monotonic()
            await asyncio.sleep(LOOK_S)

    return EventStream(pieces())


def _held(actor: Actor) -> str:
    held = [
        {"rights": sorted(each.rights), "billing_units": each.billing_units and sorted(each.billing_units)}
        for each in actor.held
    ]
    held.sort(key=json.dumps)
    return json.dumps({"group_id": str(actor.group_id), "held": held, "staff": sorted(actor.staff)})


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"
