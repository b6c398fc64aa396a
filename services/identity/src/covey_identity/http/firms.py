"""Brokerage firms, their members, and the groups that appoint them (R-11)."""

from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from covey_chassis.access import By, FirmRight, Right, StaffRight, requires, staff
from covey_chassis.http import After, Ctx, IdempotencyKey, Limit, Page, Session, page_of, refuses, service_router
from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from covey_identity import queries
from covey_identity.domain.account import Account, AccountNotFound
from covey_identity.domain.firm import (
    AlreadyBrokerOfRecord,
    AlreadyFirmMember,
    Appointment,
    AppointmentNotFound,
    Firm,
    FirmMember,
    FirmMemberNotFound,
    FirmNotFound,
)
from covey_identity.http.changes import ON_ITS_WAY, ChangeView, Prefer, address_of, on_its_way
from covey_identity.use_cases.appoint_firm import appoint_firm, end_appointment
from covey_identity.use_cases.firm_members import join_firm, leave_firm

firms = service_router(prefix="/v1/firms", tags=["firms"])
of_group = service_router(prefix="/v1/groups/{group_id}", tags=["firms"])

APPROVING = staff(StaffRight.ACCESS_APPROVE)
APPOINTING = requires(Right.ACCESS_MANAGE)
"""The primary administrator. The carrier's own word is its book's."""


class FirmView(BaseModel):
    """A brokerage firm."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    firm_number: str
    firm_name: str


class NewMember(BaseModel):
    """Who is a member, and what they may do in the firm."""

    model_config = ConfigDict(extra="forbid")

    account_id: UUID
    rights: Annotated[list[FirmRight], Field(max_length=len(FirmRight))] = []


class MemberView(BaseModel):
    """A present member of a firm."""

    firm_id: UUID
    account_id: UUID
    user_id: str
    first_name: str
    last_name: str
    rights: list[FirmRight]
    since: datetime


class AppointmentView(BaseModel):
    """A firm was, or is, a group's broker of record."""

    id: UUID
    firm_id: UUID
    firm_number: str
    firm_name: str
    starts_on: date
    ends_on: Annotated[date | None, Field(description="The day on which it ended; null while it lasts.")]
    acquired_on: Annotated[
        date, Field(description="When the firm acquired the group: by the carrier's book, else when it was appointed.")
    ]
    in_book: Annotated[bool, Field(description="The carrier's book named it; else the group has appointed it itself.")]

    @classmethod
    def of(cls, appointment: Appointment, firm: Firm) -> Self:
        return cls(
            id=appointment.id,
            firm_id=firm.id,
            firm_number=firm.firm_number,
            firm_name=firm.firm_name,
            starts_on=appointment.starts_on,
            ends_on=appointment.ends_on,
            acquired_on=appointment.acquired_on,
            in_book=appointment.in_book,
        )


class NewAppointment(BaseModel):
    """Which firm the group appoints as its broker of record."""

    model_config = ConfigDict(extra="forbid")

    firm_id: UUID


def _member(member: FirmMember, account: Account) -> MemberView:
    return MemberView(
        firm_id=member.firm_id,
        account_id=member.account_id,
        user_id=account.user_id,
        first_name=account.first_name,
        last_name=account.last_name,
        rights=[FirmRight(right) for right in member.rights],
        since=member.since,
    )


@firms.get("", dependencies=[APPROVING], summary="Firms, by number")
async def list_firms(
    session: Session,
    limit: Limit,
    after: After,
    firm_number: Annotated[str | None, Query(max_length=100, description="Exactly this number.")] = None,
) -> Page[FirmView]:
    query = select(Firm) if firm_number is None else select(Firm).where(Firm.firm_number == firm_number)
    found, following = await page_of(session, query, by=[Firm.firm_number], limit=limit, after=after)
    return Page(items=[FirmView.model_validate(firm) for firm in found], next=following)


@firms.get("/{firm_id}", dependencies=[APPROVING], responses=refuses(FirmNotFound), summary="One firm")
async def read_firm(firm_id: UUID, session: Session) -> FirmView:
    firm = await session.get(Firm, firm_id)
    if firm is None:
        raise FirmNotFound(id=firm_id)
    return FirmView.model_validate(firm)


@firms.get("/{firm_id}/members", dependencies=[APPROVING], responses=refuses(FirmNotFound), summary="A firm's members")
async def list_members(firm_id: UUID, session: Session, limit: Limit, after: After) -> Page[MemberView]:
    if await session.get(Firm, firm_id) is None:
        raise FirmNotFound(id=firm_id)
    query = select(FirmMember).where(FirmMember.firm_id == firm_id, FirmMember.ended_at.is_(None))
    found, following = await page_of(session, query, by=[FirmMember.id], limit=limit, after=after)
    accounts = {
        account.id: account
        for account in await session.scalars(select(Account).where(Account.id.in_([m.account_id for m in found])))
    }
    return Page(items=[_member(member, accounts[member.account_id]) for member in found], next=following)


@firms.post(
    "/{firm_id}/members",
    status_code=201,
    dependencies=[APPROVING],
    responses=refuses(FirmNotFound, AccountNotFound, AlreadyFirmMember),
    summary="Let somebody join a firm",
)
async def add_member(
    firm_id: UUID, new: NewMember, by: By, session: Session, ctx: Ctx, key: IdempotencyKey
) -> MemberView:
    """What the firm holds in its groups is theirs, too."""
    member = await join_firm(session, by, firm_id, new.account_id, new.rights, at=ctx.clock.now())
    return _member(member, await session.get_one(Account, member.account_id))


@firms.delete(
    "/{firm_id}/members/{account_id}",
    status_code=204,
    dependencies=[APPROVING],
    responses=refuses(FirmMemberNotFound),
    summary="Let somebody leave a firm",
)
async def remove_member(
    firm_id: UUID, account_id: UUID, by: By, session: Session, ctx: Ctx, key: IdempotencyKey
) -> None:
    """What they were given in the firm's groups goes too."""
    await leave_firm(session, by, firm_id, account_id, at=ctx.clock.now())


# --- a group's broker of record ---


@of_group.get(
    "/appointments",
    dependencies=[requires(or_staff=(StaffRight.ACCESS_APPROVE, StaffRight.OPERATIONS, StaffRight.REVIEW_DECIDE))],
    summary="A group's brokers of record, the latest first",
)
async def list_appointments(group_id: UUID, session: Session, limit: Limit, after: After) -> Page[AppointmentView]:
    query = select(Appointment).where(Appointment.group_id == group_id)
    found, following = await page_of(session, query, by=[Appointment.id], limit=limit, after=after, descending=True)
    served_by = await queries.firms_by_id(session, [each.firm_id for each in found])
    return Page(items=[AppointmentView.of(each, served_by[each.firm_id]) for each in found], next=following)


@of_group.get("/firms", dependencies=[APPOINTING], summary="Look a firm up that the group may appoint")
async def find_firm(
    group_id: UUID,
    session: Session,
    firm_number: Annotated[str, Query(min_length=1, max_length=100, description="Exactly this number.")],
) -> list[FirmView]:
    """The firm that the carrier gave this number, or none: to be shown before it is appointed."""
    found = await session.scalars(select(Firm).where(Firm.firm_number == firm_number))
    return [FirmView.model_validate(firm) for firm in found]


@of_group.post(
    "/appointments",
    status_code=202,
    dependencies=[APPOINTING],
    responses=ON_ITS_WAY | refuses(FirmNotFound, AlreadyBrokerOfRecord),
    summary="Appoint a firm as the group's broker of record",
)
async def appoint(
    group_id: UUID,
    new: NewAppointment,
    request: Request,
    response: Response,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    prefer: Prefer = None,
) -> ChangeView:
    """From today on. It sees the group's renewals; all else takes a grant. The former firm and its people see nothing."""
    at, today = ctx.clock.now(), await ctx.clock.today(session)
    change = await appoint_firm(session, by, group_id, new.firm_id, today=today, at=at)
    response.headers["Location"] = address_of(change)
    return await on_its_way(request, session, ctx, change, prefer)


@of_group.delete(
    "/appointments/{appointment_id}",
    status_code=202,
    dependencies=[APPOINTING],
    responses=ON_ITS_WAY | refuses(AppointmentNotFound),
    summary="End the appointment of the group's broker of record",
)
async def end(
    group_id: UUID,
    appointment_id: UUID,
    request: Request,
    response: Response,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    prefer: Prefer = None,
) -> ChangeView:
    """The group has no broker then. What the firm and its people were given in the group goes."""
    at, today = ctx.clock.now(), await ctx.clock.today(session)
    change = await end_appointment(session, by, group_id, appointment_id, today=today, at=at)
    response.headers["Location"] = address_of(change)
    return await on_its_way(request, session, ctx, change, prefer)
