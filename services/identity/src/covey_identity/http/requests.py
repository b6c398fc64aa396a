"""The group officer's request for a primary administrator (R-01), and the staff's decision."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from covey_chassis.access import By, StaffRight, public, see_all_groups, staff
from covey_chassis.acts import shows_sensitive
from covey_chassis.http import After, Ctx, IdempotencyKey, Limit, Page, Session, page_of, refuses, says, service_router
from covey_chassis.lifecycle import IllegalMove
from fastapi import Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.codes import NewCode, draw_before
from covey_identity.domain.access_request import (
    AccessRequest,
    AccessRequestNotFound,
    GroupDoesNotMatch,
    OwnRequest,
    RequestStatus,
)
from covey_identity.domain.grant import UserAlreadyThere
from covey_identity.domain.group import GroupNotFound
from covey_identity.domain.person_fields import Company, Email, Language, PersonName
from covey_identity.use_cases.decide_request import approve_request, decline_request
from covey_identity.use_cases.request_access import Asked, request_access

router = service_router(prefix="/v1/access-requests", tags=["access requests"])

APPROVING = staff(StaffRight.ACCESS_APPROVE)

Reference = Annotated[str, Path(pattern="^[0-9A-Z]{16}$", description="As the officer was told it.")]


class NewRequest(BaseModel):
    """The form: which group, who asks, and who shall be its primary administrator."""

    model_config = ConfigDict(extra="forbid")

    group_number: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]
    company: Company
    officer_first_name: PersonName
    officer_last_name: PersonName
    officer_email: Email
    first_name: PersonName
    last_name: PersonName
    email: Email
    language: Language = "en"


class RequestStatusView(BaseModel):
    """Where a request stands. It names nobody: whoever has the reference sees it."""

    reference: str
    status: RequestStatus
    reason: Annotated[str | None, Field(description="Why it was declined.")]
    submitted_at: datetime
    decided_at: datetime | None


class NamedGroup(BaseModel):
    """The group whose number the officer wrote, to be compared with the form."""

    group_id: UUID
    legal_name: str
    market_region: str
    primary: Annotated[str | None, Field(description="The name of its primary administrator, who would be replaced.")]


class RequestView(RequestStatusView):
    """A request as staff see it."""

    group_number: str
    company: str
    officer_first_name: str
    officer_last_name: str
    officer_email: str
    first_name: str
    last_name: str
    email: str
    language: str
    group_id: UUID | None
    decided_by: UUID | None
    named_group: Annotated[NamedGroup | None, Field(description="The group of this number; null when there is none.")]
    waiting_too: Annotated[list[str], Field(description="References of others that wait for the same group number.")]


class Approval(BaseModel):
    """Staff have verified the officer, and this is the group."""

    model_config = ConfigDict(extra="forbid")

    group_id: UUID


class Decline(BaseModel):
    """Why it is declined, for the officer to read."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


async def _views(session: AsyncSession, requests: Sequence[AccessRequest]) -> list[RequestView]:
    groups = await queries.groups_by_number(session, [each.group_number for each in requests])
    primaries = await queries.primaries_of(session, [each.group_id for each in groups.values()])
    waiting = await queries.waiting_too(session, requests)
    views = []
    for request in requests:
        group = groups.get(request.group_number)
        named = group and NamedGroup(
            group_id=group.group_id,
            legal_name=group.legal_name,
            market_region=group.market_region,
            primary=primaries.get(group.group_id),
        )
        own = {name: getattr(request, name) for name in RequestView.model_fields if hasattr(request, name)}
        others = [each for each in waiting[request.group_number.lower()] if each != request.reference]
        views.append(RequestView(**own, named_group=named, waiting_too=others))
    return views


async def _view(session: AsyncSession, request: AccessRequest) -> RequestView:
    await session.flush()
    return (await _views(session, [request]))[0]


@router.post(
    "",
    status_code=202,
    dependencies=[public("a group officer has no account")],
    responses=says(202, "Location"),
    summary="Ask for a primary administrator",
)
async def submit(
    new: NewRequest, session: Session, ctx: Ctx, key: IdempotencyKey, response: Response
) -> RequestStatusView:
    """Staff verify it. Whether there is such a group, or such a person, the answer does not tell."""
    request = await request_access(session, Asked(**new.model_dump()), at=ctx.clock.now())
    response.headers["Location"] = f"{router.prefix}/{request.reference}"
    return RequestStatusView.model_validate(request, from_attributes=True)


@router.get("", dependencies=[APPROVING], summary="Requests, the oldest first")
async def list_requests(
    session: Session,
    limit: Limit,
    after: After,
    status: Annotated[RequestStatus | None, Query(description="Only these.")] = None,
) -> Page[RequestView]:
    shows_sensitive(session)
    found, following = await page_of(session, queries.requests(status), by=[AccessRequest.id], limit=limit, after=after)
    return Page(items=await _views(session, found), next=following)


@router.get(
    "/{reference}",
    dependencies=[public("whoever has the reference is the officer")],
    responses=refuses(AccessRequestNotFound),
    summary="Where a request stands",
)
async def read_status(reference: Reference, session: Session) -> RequestStatusView:
    await see_all_groups(session)  # once it is approved it is of a group, and the officer has an account in none
    request = await queries.request_by_reference(session, reference)
    return RequestStatusView.model_validate(request, from_attributes=True)


@router.get(
    "/{reference}/form",
    dependencies=[APPROVING],
    responses=refuses(AccessRequestNotFound),
    summary="A request, with all that the officer wrote",
)
async def read_form(reference: Reference, session: Session) -> RequestView:
    request = await queries.request_by_reference(session, reference)
    shows_sensitive(session, request=request.id)
    return await _view(session, request)


@router.post(
    "/{reference}/approval",
    dependencies=[staff(StaffRight.ACCESS_APPROVE, before=draw_before)],
    responses=refuses(
        AccessRequestNotFound, GroupNotFound, GroupDoesNotMatch, OwnRequest, UserAlreadyThere, IllegalMove
    ),
    summary="Approve a request",
)
async def approve(
    reference: Reference, approval: Approval, drawn: NewCode, by: By, session: Session, ctx: Ctx, key: IdempotencyKey
) -> RequestView:
    """The designated person gets an access code. When they redeem it they are the group's primary administrator."""
    at = ctx.clock.now()
    request, _ = await approve_request(session, by, reference, approval.group_id, drawn, seal=ctx.keyring.seal, at=at)
    return await _view(session, request)


@router.post(
    "/{reference}/decline",
    dependencies=[APPROVING],
    responses=refuses(AccessRequestNotFound, IllegalMove),
    summary="Decline a request",
)
async def decline(
    reference: Reference, refusal: Decline, by: By, session: Session, ctx: Ctx, key: IdempotencyKey
) -> RequestView:
    """The officer sees the reason."""
    request = await decline_request(session, by, reference, refusal.reason, at=ctx.clock.now())
    return await _view(session, request)
