"""What somebody may do in a group, live: every service says how it sees it, and ends the stream when it is nothing.

Whoever shows something of a group to a person keeps this open, and takes it off the screen when the stream ends.
"""

import json
from typing import Any
from uuid import UUID

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.access.checking import Actor
from covey_chassis.access.requiring import Again, requires
from covey_chassis.access.rights import StaffRight
from covey_chassis.http import refuses, service_router
from covey_chassis.streaming import EventStream, TooManyStreams, event, news

router = service_router(prefix="/v1/groups/{group_id}/access", tags=["access"])


@router.get(
    "/events",
    dependencies=[requires(or_staff=tuple(StaffRight))],
    response_class=EventStream,
    responses=refuses(TooManyStreams),
    summary="What you may do in a group, live",
)
async def watch_access(group_id: UUID, request: Request, again: Again) -> EventStream:
    """`access` says it at the beginning and whenever it changes; `ended` names the refusal, and is the last."""
    said: dict[str, Any] | None = None

    async def look(_session: AsyncSession, actor: Actor) -> str | None:
        nonlocal said
        before, said = said, _held(actor)
        return event("access", said) if said != before else None

    return news(request, again, look)


def _held(actor: Actor) -> dict[str, Any]:
    held = [
        {"rights": sorted(each.rights), "billing_units": each.billing_units and sorted(each.billing_units)}
        for each in actor.held
    ]
    held.sort(key=json.dumps)
    return {"group_id": str(actor.group_id), "held": held, "staff": sorted(actor.staff)}
