"""For the other services, and for operators: the feed of access facts, and who listens to it."""

import hmac
from datetime import datetime
from uuid import UUID

from covey_chassis.access.facts import News, Poll
from covey_chassis.http import Ctx, Session, refuses, service_router
from covey_chassis.operations import Operator, only_operators
from covey_chassis.transaction import context_of
from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from sqlalchemy import text

from covey_identity.audit import Author, Entry, audit
from covey_identity.feed import ListenerNotFound, ListenerRetired, ServerLeft, answer, retire
from covey_identity.settings import Settings

NAME = "covey.listener"
"""Key in the ASGI scope."""


async def only_listeners(request: Request) -> None:
    """Let only services pass that have a credential, and note which one it is."""
    settings = context_of(request).settings
    assert isinstance(settings, Settings)
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    names = [
        name
        for name, credential in settings.listener_credentials.items()
        if hmac.compare_digest(presented.strip().encode(), credential.get_secret_value().encode())
    ]
    if scheme.lower() != "bearer" or not names:
        raise HTTPException(401, "This is for services.", headers={"WWW-Authenticate": 'Bearer realm="services"'})
    request.scope[NAME] = names[0]


feed = service_router(
    prefix="/internal/access",
    tags=["access feed"],
    role="workers",
    guard=only_listeners,
    dependencies=[Depends(HTTPBearer(auto_error=False, description="A service's credential."))],
)
listeners = service_router(
    prefix="/internal/access",
    tags=["access feed"],
    role="workers",
    guard=only_operators,
    dependencies=[Depends(HTTPBearer(auto_error=False, description="The operator's token."))],
)


class ListenerView(BaseModel):
    """A service that listens, and how far it is."""

    name: str
    seen_rev: int
    acked_rev: int
    polled_at: datetime
    counts_from: datetime
    retired_at: datetime | None


class Listeners(BaseModel):
    """How far everybody is."""

    rev: int
    id: UUID | None
    listeners: list[ListenerView]


@feed.post("/feed", responses=refuses(ListenerRetired, ServerLeft), summary="News of access")
async def poll_feed(poll: Poll, request: Request, ctx: Ctx) -> News:
    """Facts of access that changed after what was seen, by the page; waits half a second when there are none."""
    return await answer(ctx, request.scope[NAME], poll)


@listeners.get("/listeners", summary="Who listens, and how far they are")
async def list_listeners(session: Session) -> Listeners:
    ledger = (await session.execute(text("SELECT rev, id FROM access_ledger"))).one()
    rows = await session.execute(text("SELECT * FROM listener ORDER BY name"))
    return Listeners(
        rev=ledger.rev,
        id=ledger.id,
        listeners=[ListenerView.model_validate(row, from_attributes=True) for row in rows],
    )


@listeners.post("/listeners/{name}/retirement", responses=refuses(ListenerNotFound), summary="Retire a listener")
async def retire_listener(name: str, session: Session, operator: Operator = "operator") -> Listeners:
    """A service that is no longer run. It is refused from now on and for good, and no removal waits for it."""
    await retire(session, name)
    await audit(session, Entry(act="listener.retired", author=Author(f"operator {operator}"), details={"name": name}))
    return await list_listeners(session)
