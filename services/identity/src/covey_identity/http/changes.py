"""Changes of access on their way: what routes answer while one is, and where it can be watched."""

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from covey_chassis.access import By, InSight, StaffRight, sees
from covey_chassis.http import Session, refuses, says, service_router
from covey_chassis.service import Context
from covey_chassis.transaction import work_of
from fastapi import Header, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse

from covey_identity.domain.access_change import AccessChange, AccessChangeNotFound, ChangeKind, Progress
from covey_identity.progress import progress_of, wait_until_done

router = service_router(prefix="/v1/access-changes", tags=["access changes"])

WAIT_S_MAX = 10.0


class ChangeView(BaseModel):
    """A change of access, and how far it is."""

    id: UUID
    kind: ChangeKind
    group_id: UUID
    account_id: UUID | None
    firm_id: UUID | None
    status: Annotated[
        Progress,
        Field(
            description="`pending`; `removed`: no service answers for that group any more; `everywhere`: every service "
            "goes by it; `superseded`: a right was given again later."
        ),
    ]
    at: datetime
    done_at: datetime | None
    how: Annotated[
        str | None,
        Field(description="`acknowledged` by every service, or `silence`: nobody can go by anything older any more."),
    ]

    @classmethod
    def of(cls, change: AccessChange, status: Progress) -> "ChangeView":
        return cls(
            id=change.id,
            kind=change.kind,
            group_id=change.group_id,
            account_id=change.account_id,
            firm_id=change.firm_id,
            status=status,
            at=change.at,
            done_at=change.done_at,
            how=change.how,
        )


Prefer = Annotated[
    str | None,
    Header(
        pattern=r"^[\x20-\x7e]{0,200}$",
        description="`wait=10` (RFC 7240): so many seconds the answer may wait for the change to be everywhere.",
        examples=["wait=10"],
    ),
]


def seconds_preferred(prefer: str | None, default: float = 0) -> float:
    """How long the client would wait."""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*(\d{1,3})(?:$|[,;\s])", prefer or "")
    return min(float(found[1]), WAIT_S_MAX) if found else default


def address_of(change: AccessChange) -> str:
    """Where the change can be watched."""
    return f"{router.prefix}/{change.id}"


def wait_afterwards(
    request: Request, context: Context, change: AccessChange, seconds: float, *, say: bool = True
) -> None:
    """Once all is committed, wait for the change; if it is everywhere in time, and it is to be said, with 200."""
    change_id = change.id

    async def afterwards() -> Response | None:
        if await wait_until_done(context, change_id, seconds=seconds) is Progress.PENDING or not say:
            return None
        async with context.workers.session() as session:  # nobody is checked here: it was, before the commit
            done = await session.get_one(AccessChange, change_id)
            view = ChangeView.of(done, progress_of(done))
        return JSONResponse(view.model_dump(mode="json"), 200)

    if seconds > 0:
        work_of(request).afterwards = afterwards


async def on_its_way(
    request: Request, session: AsyncSession, context: Context, change: AccessChange, prefer: str | None
) -> ChangeView:
    """The answer of a route that starts a change, declared with ``ON_ITS_WAY``: once it is everywhere, if that is soon."""
    await session.flush()
    wait_afterwards(request, context, change, seconds_preferred(prefer))
    return ChangeView.of(change, progress_of(change))


ON_ITS_WAY = says(202, "Location") | {
    200: {"model": ChangeView, "description": "True everywhere, within the time that `Prefer` allows."}
}
"""What such a route answers."""


@router.get(
    "/{change_id}",
    dependencies=[sees(or_staff=(StaffRight.ACCESS_APPROVE,))],
    responses=refuses(AccessChangeNotFound),
    summary="How far a change of access is",
)
async def read_change(change_id: UUID, by: By, sight: InSight, session: Session) -> ChangeView:
    """For staff, and for whoever asked for the change, as long as they see the group themselves."""
    query = select(AccessChange).where(AccessChange.id == change_id, sight.of(AccessChange.group_id))
    change = await session.scalar(query)
    if change is None or not (sight.everything or change.requested_by == by.account_id):
        raise AccessChangeNotFound
    return ChangeView.of(change, progress_of(change))
