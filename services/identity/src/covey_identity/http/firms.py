"""Brokerage firms and their members."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from covey_chassis.access import By, FirmRight, StaffRight, requires, staff
from covey_chassis.http import After, Ctx, IdempotencyKey, Limit, Page, Session, page_of, refuses, service_router
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from covey_identity.domain.account import Account, AccountNotFound
from covey_identity.domain.firm import (
    AlreadyFirmMember,
    Appointment,
    Firm,
    FirmMember,
    FirmMemberNotFound,
    FirmNotFound,
)
from covey_identity.use_cases.firm_members import join_firm, leave_firm

firms = service_router(prefix="/v1/firms", tags=["firms"])
appointments = service_router(prefix="/v1/groups/{group_id}/appointments", tags=["firms"])

APPROVING = staff(StaffRight.ACCESS_APPROVE)


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

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    firm_id: UUID
    starts_on: date
    ends_on: date | None
    acquired_on: date


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


@appointments.get(
    "",
    dependencies=[requires(or_staff=(StaffRight.ACCESS_APPROVE, StaffRight.OPERATIONS))],
    summary="A group's brokers of record, the latest first",
)
async def list_appointments(group_id: UUID, session: Session, limit: Limit, after: After) -> Page[AppointmentView]:
    query = select(Appointment).where(Appointment.group_id == group_id)
    found, following = await page_of(session, query, by=[Appointment.id], limit=limit, after=after, descending=True)
    return Page(items=[AppointmentView.model_validate(each) for each in found], next=following)
