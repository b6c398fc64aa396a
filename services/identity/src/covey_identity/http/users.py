"""Manage user access (R-06 to R-10): who holds what in a group, given, changed and taken away by its primary."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from covey_chassis.access import By, Right, StaffRight, requires
from covey_chassis.access.rights import DELEGABLE
from covey_chassis.http import (
    After,
    Ctx,
    IdempotencyKey,
    Limit,
    Page,
    Session,
    Version,
    page_of,
    refuses,
    says,
    service_router,
    set_etag,
)
from covey_chassis.lifecycle import IllegalMove
from covey_contracts.identity import GrantRole, GrantStatus
from fastapi import Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.codes import NewCode, draw_before
from covey_identity.domain.access_code import AccessCode
from covey_identity.domain.account import Account
from covey_identity.domain.firm import Firm, NotBrokerOfRecord
from covey_identity.domain.grant import (
    Grant,
    MoreThanYouHold,
    PrimaryHoldsEverything,
    PrimaryIsTheCarriers,
    Scope,
    UserAlreadyThere,
    UserNotFound,
)
from covey_identity.domain.person_fields import Email, Language, PersonName
from covey_identity.http.changes import (
    ON_ITS_WAY,
    ChangeView,
    Prefer,
    address_of,
    on_its_way,
    seconds_preferred,
    wait_afterwards,
)
from covey_identity.use_cases.add_user import Invited, add_user
from covey_identity.use_cases.change_rights import change_rights
from covey_identity.use_cases.exclude_person import exclude_person, readmit_person
from covey_identity.use_cases.grant_firm import grant_firm
from covey_identity.use_cases.reissue_code import reissue_code
from covey_identity.use_cases.remove_user import remove_user

router = service_router(prefix="/v1/groups/{group_id}", tags=["user access"])

MANAGING = requires(Right.ACCESS_MANAGE, or_staff=(StaffRight.ACCESS_APPROVE,))
"""The primary administrator; staff see all of it, and act on a primary."""

UNITS_MAX = 100


def _delegable(right: Right) -> Right:
    if right not in DELEGABLE:
        raise PydanticCustomError("delegable", "cannot be given to anybody")
    return right


class Rights(BaseModel):
    """What somebody may do, and in which billing units."""

    model_config = ConfigDict(extra="forbid")

    rights: Annotated[
        list[Annotated[Right, AfterValidator(_delegable)]],
        Field(min_length=1, max_length=len(Right), description="To act implies to view."),
    ]
    billing_units: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=20)]] | None,
        Field(min_length=1, max_length=UNITS_MAX, description="Codes; null means all, later ones too."),
    ] = None

    @property
    def scope(self) -> Scope:
        return Scope.of(self.rights, self.billing_units)


class NewUser(Rights):
    """Somebody whom the primary administrator adds. The access code goes to the address."""

    first_name: PersonName
    last_name: PersonName
    email: Email
    language: Language = "en"


class NewFirmGrant(Rights):
    """Rights for all members of the group's broker of record."""

    firm_id: UUID


class UserView(BaseModel):
    """Who holds rights in the group: a person, or a firm for its members."""

    grant_id: UUID
    role: GrantRole
    status: Annotated[str, Field(description="`invited`, `code expired`, `active`, `removed`.")]
    account_id: UUID | None
    user_id: str | None
    firm_id: UUID | None
    firm_name: str | None
    first_name: str | None
    last_name: str | None
    email: Annotated[str | None, Field(description="The address that the access code went to.")]
    rights: list[Right]
    billing_units: list[str] | None
    given_by: UUID | None
    since: datetime
    code_expires_at: datetime | None


async def _views(session: AsyncSession, grants: Sequence[Grant], now: datetime) -> list[UserView]:
    codes = await queries.latest_codes(session, [grant.id for grant in grants])
    account_ids = [grant.account_id for grant in grants if grant.account_id]
    firm_ids = [grant.firm_id for grant in grants if grant.firm_id]
    accounts = {each.id: each for each in await session.scalars(select(Account).where(Account.id.in_(account_ids)))}
    firms = await queries.firms_by_id(session, firm_ids)
    return [
        _view(
            grant,
            codes.get(grant.id),
            accounts.get(grant.account_id) if grant.account_id else None,
            firms.get(grant.firm_id) if grant.firm_id else None,
            now,
        )
        for grant in grants
    ]


def _view(grant: Grant, code: AccessCode | None, account: Account | None, firm: Firm | None, now: datetime) -> UserView:
    status: str = grant.status.value
    invited = grant.status is GrantStatus.INVITED
    if invited and code is not None and code.has_expired(now):
        status = "code expired"
    return UserView(
        grant_id=grant.id,
        role=grant.role,
        status=status,
        account_id=grant.account_id,
        user_id=account.user_id if account else None,
        firm_id=grant.firm_id,
        firm_name=firm.firm_name if firm else None,
        first_name=account.first_name if account else grant.first_name,
        last_name=account.last_name if account else grant.last_name,
        email=grant.email,
        rights=sorted(grant.scope.rights),
        billing_units=grant.billing_units,
        given_by=grant.given_by,
        since=grant.since,
        code_expires_at=code.expires_at if invited and code else None,
    )


async def _one(session: AsyncSession, grant: Grant, now: datetime) -> UserView:
    await session.flush()
    return (await _views(session, [grant], now))[0]


# --- the primary's list ---


@router.get("/users", dependencies=[MANAGING], summary="Who has access to a group")
async def list_users(group_id: UUID, session: Session, ctx: Ctx, limit: Limit, after: After) -> Page[UserView]:
    """People and firms that were given rights, those who were only invited too. You are responsible for the list."""
    grants, following = await page_of(session, queries.users_of(group_id), by=[Grant.id], limit=limit, after=after)
    return Page(items=await _views(session, grants, ctx.clock.now()), next=following)


@router.get(
    "/users/{grant_id}",
    dependencies=[MANAGING],
    responses=says(200, "ETag") | refuses(UserNotFound),
    summary="One user of a group",
)
async def read_user(group_id: UUID, grant_id: UUID, session: Session, ctx: Ctx, response: Response) -> UserView:
    grant = (await session.scalars(queries.users_of(group_id).where(Grant.id == grant_id))).one_or_none()
    if grant is None:
        raise UserNotFound(id=grant_id)
    await set_etag(response, session, grant)
    return await _one(session, grant, ctx.clock.now())


@router.post(
    "/users",
    status_code=201,
    dependencies=[requires(Right.ACCESS_MANAGE, before=draw_before)],
    responses=says(201, "ETag", "Location") | refuses(MoreThanYouHold, UserAlreadyThere),
    summary="Add a user",
)
async def add(
    group_id: UUID,
    new: NewUser,
    drawn: NewCode,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
) -> UserView:
    """Give the same rights or fewer than your own. The person gets an access code by email, good for 168 hours."""
    invited = Invited(new.first_name, new.last_name, new.email, new.language)
    at = ctx.clock.now()
    grant = await add_user(session, by, group_id, invited, new.scope, drawn, seal=ctx.keyring.seal, at=at)
    await set_etag(response, session, grant)
    response.headers["Location"] = f"/v1/groups/{group_id}/users/{grant.id}"
    return await _one(session, grant, at)


@router.put(
    "/users/{grant_id}/rights",
    dependencies=[requires(Right.ACCESS_MANAGE)],
    responses=says(200, "ETag", "Location") | refuses(UserNotFound, MoreThanYouHold, PrimaryHoldsEverything),
    summary="Change what a user may do",
)
async def change(
    group_id: UUID,
    grant_id: UUID,
    rights: Rights,
    version: Version,
    request: Request,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
    prefer: Prefer = None,
) -> UserView:
    """Every service goes by it within moments, at most 8 seconds later: `Location` says when, `Prefer` waits for it."""
    at = ctx.clock.now()
    grant, made = await change_rights(session, by, group_id, grant_id, version, rights.scope, at=at)
    await set_etag(response, session, grant)
    if made is not None:
        response.headers["Location"] = address_of(made)
        wait_afterwards(request, ctx, made, seconds_preferred(prefer), say=False)
    return await _one(session, grant, at)


@router.delete(
    "/users/{grant_id}",
    status_code=202,
    dependencies=[MANAGING],
    responses=ON_ITS_WAY | refuses(UserNotFound, PrimaryIsTheCarriers),
    summary="Remove a user",
)
async def remove(
    group_id: UUID,
    grant_id: UUID,
    request: Request,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
    prefer: Prefer = None,
) -> ChangeView:
    """Once the status says `removed`, no service answers this person for this group any more.

    What takes nothing else says `everywhere`: a firm loses its grant, and sees as the broker of record what that gives; an
    offer to be the primary, or one that the present primary was made before, is taken back.
    """
    change = await remove_user(session, by, group_id, grant_id, at=ctx.clock.now())
    response.headers["Location"] = address_of(change)
    return await on_its_way(request, session, ctx, change, prefer)


@router.post(
    "/users/{grant_id}/code",
    dependencies=[requires(Right.ACCESS_MANAGE, or_staff=(StaffRight.ACCESS_APPROVE,), before=draw_before)],
    responses=refuses(UserNotFound, PrimaryIsTheCarriers, IllegalMove),
    summary="Send another access code",
)
async def send_code_again(
    group_id: UUID, grant_id: UUID, drawn: NewCode, by: By, session: Session, ctx: Ctx, key: IdempotencyKey
) -> UserView:
    """The old code stops working. A primary administrator's code comes from the carrier."""
    at = ctx.clock.now()
    grant = await reissue_code(session, by, group_id, grant_id, drawn, seal=ctx.keyring.seal, at=at)
    return await _one(session, grant, at)


# --- the broker's firm ---


class FirmPerson(BaseModel):
    """Somebody of a firm that holds rights in the group."""

    account_id: UUID
    user_id: str
    first_name: str
    last_name: str
    firm_name: str
    excluded: Annotated[bool, Field(description="The firm's rights in the group are not theirs.")]


@router.get("/firm-people", dependencies=[MANAGING], summary="Who has access through a firm, or is excluded from it")
async def list_firm_people(group_id: UUID, session: Session) -> list[FirmPerson]:
    """The members of firms that hold rights in the group, by name. Remove one of them by an exclusion."""
    rows = await session.execute(_FIRM_PEOPLE, {"group_id": group_id})
    return [FirmPerson.model_validate(row, from_attributes=True) for row in rows]


@router.post(
    "/firm-grants",
    status_code=201,
    dependencies=[requires(Right.ACCESS_MANAGE)],
    responses=says(201, "ETag", "Location") | refuses(MoreThanYouHold, UserAlreadyThere, NotBrokerOfRecord),
    summary="Give rights to the broker's firm",
)
async def add_firm_grant(
    group_id: UUID, new: NewFirmGrant, by: By, session: Session, ctx: Ctx, key: IdempotencyKey, response: Response
) -> UserView:
    """For all of its members. It is changed and removed like a user, and ends with the firm's appointment."""
    at = ctx.clock.now()
    grant, _ = await grant_firm(session, by, group_id, new.firm_id, new.scope, at=at)
    await set_etag(response, session, grant)
    response.headers["Location"] = f"/v1/groups/{group_id}/users/{grant.id}"
    return await _one(session, grant, at)


@router.post(
    "/exclusions/{account_id}",
    status_code=202,
    dependencies=[requires(Right.ACCESS_MANAGE)],
    responses=ON_ITS_WAY | refuses(UserNotFound, PrimaryIsTheCarriers),
    summary="Remove one person of the broker's firm",
)
async def exclude(
    group_id: UUID,
    account_id: UUID,
    request: Request,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
    prefer: Prefer = None,
) -> ChangeView:
    """The firm keeps what it holds; this person has none of it, and nothing of their own."""
    change = await exclude_person(session, by, group_id, account_id, at=ctx.clock.now())
    response.headers["Location"] = address_of(change)
    return await on_its_way(request, session, ctx, change, prefer)


@router.delete(
    "/exclusions/{account_id}",
    status_code=202,
    dependencies=[requires(Right.ACCESS_MANAGE)],
    responses=ON_ITS_WAY | refuses(UserNotFound),
    summary="Let a person of the broker's firm in again",
)
async def readmit(
    group_id: UUID,
    account_id: UUID,
    request: Request,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
    prefer: Prefer = None,
) -> ChangeView:
    """What the firm holds is theirs again. What they had of their own is not."""
    change = await readmit_person(session, by, group_id, account_id, at=ctx.clock.now())
    response.headers["Location"] = address_of(change)
    return await on_its_way(request, session, ctx, change, prefer)


_FIRM_PEOPLE = text(
    """
    SELECT DISTINCT account.last_name, account.first_name, account.id AS account_id, account.user_id, firm.firm_name,
           EXISTS (SELECT FROM exclusion WHERE exclusion.active AND exclusion.group_id = :group_id
                                           AND exclusion.account_id = account.id) AS excluded
      FROM access_fact AS fact
      JOIN firm ON firm.id = fact.firm_id
      JOIN firm_member AS member ON member.firm_id = firm.id AND member.ended_at IS NULL
      JOIN account ON account.id = member.account_id
     WHERE fact.group_id = :group_id AND fact.active AND fact.kind IN ('grant', 'appointment')
     ORDER BY account.last_name, account.first_name, account.id, firm.firm_name
     LIMIT 1000
    """
)
