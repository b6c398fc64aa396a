"""Reading over HTTP: renewals to review, one group's renewals, the book. Nothing is changed here yet.

Everybody sees the groups in which they have ``renewals.view``; ``firm_number`` is a filter, not a right.
"""

import calendar
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Self
from uuid import UUID

from covey_chassis.access import InSight, Right, StaffRight, requires, sees
from covey_chassis.http import After, Ctx, Limit, Page, Session, page_of, refuses, says, service_router, set_etag
from covey_chassis.service import Context
from covey_contracts.renewals import RenewalStatus
from fastapi import Depends, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from covey_renewals import queries
from covey_renewals.domain.book import NEW_DAYS, Group, GroupNotFound, new_since
from covey_renewals.domain.renewal import Renewal, RenewalNotFound
from covey_renewals.queries import ServingFirm
from covey_renewals.settings import RenewalsSettings

SEEING = (StaffRight.OPERATIONS, StaffRight.REVIEW_DECIDE)
"""The staff who see all groups."""
IN_SIGHT = sees(Right.RENEWALS_VIEW, or_staff=SEEING)

router = service_router(prefix="/v1", tags=["renewals"])

MONTH = r"^[1-9][0-9]{3}-(0[1-9]|1[0-2])$"


class GroupView(BaseModel):
    """A group of the book, with the firm that serves it, if one does."""

    group_id: UUID
    group_number: str
    legal_name: str
    firm_number: str | None
    firm_name: str | None
    acquired_date: Annotated[date | None, Field(description="Since when the firm serves the group.")]

    @classmethod
    def of(cls, group: Group, firm: ServingFirm | None) -> Self:
        return cls(
            group_id=group.group_id,
            group_number=group.group_number,
            legal_name=group.legal_name,
            firm_number=firm and firm.firm_number,
            firm_name=firm and firm.firm_name,
            acquired_date=firm and firm.acquired_date,
        )


class RenewalView(BaseModel):
    """A group's coming plan year, and how it stands."""

    renewal_id: UUID
    group_id: UUID
    plan_year: Annotated[int, Field(description="Names the renewal within its group, for good.")]
    effective_date: Annotated[date, Field(description="When the plan year begins.")]
    current: Annotated[bool, Field(description="Whether it is the group's current one: its day has not come.")]
    status: RenewalStatus
    available_on: Annotated[date | None, Field(description="The day on which it became available, once it has.")]

    @classmethod
    def of(cls, renewal: Renewal) -> Self:
        return cls(
            renewal_id=renewal.id,
            group_id=renewal.group_id,
            plan_year=renewal.plan_year,
            effective_date=renewal.effective_date,
            current=renewal.current,
            status=renewal.status,
            available_on=renewal.available_on,
        )


class RenewalOfGroup(RenewalView):
    """A renewal, and whose it is."""

    group: GroupView


class BookEntry(GroupView):
    """A group of the book and its current renewal."""

    renewal: RenewalView | None


class Month(BaseModel):
    """A month and year in which renewals begin."""

    month: Annotated[str, Field(description="Such as `2026-09`: give it to `/v1/renewals` to see them.")]
    renewals: Annotated[int, Field(description="How many are listed in all.")]
    available: Annotated[int, Field(description="How many of them are available.")]


class LeftOut(BaseModel):
    """Renewals that are not listed, and why."""

    renewals: int
    acquired_since: Annotated[date, Field(description="Their groups are a firm's since this day, or a later one.")]
    reason: str


class Months(BaseModel):
    """The renewals to review, grouped by month and year."""

    today: Annotated[date, Field(description="The carrier's date, on which this is so.")]
    look_ahead_days: Annotated[int, Field(description="How far ahead those are listed that are not available yet.")]
    months: list[Month]
    left_out: Annotated[LeftOut | None, Field(description="Only when firms are named.")]


FirmNumber = Annotated[str | None, Query(max_length=100, description="Only this firm's groups.")]
FIRMS_MAX = 200


async def _asked(
    firm_number: Annotated[
        str | None, Query(max_length=100, description="Only this firm's groups, but for those that are new to it.")
    ] = None,
    not_new_to: Annotated[
        list[Annotated[str, Field(max_length=100)]],
        Query(
            max_length=FIRMS_MAX, description=f"Without groups that one of these firms acquired within {NEW_DAYS} days."
        ),
    ] = [],  # noqa: B006 - FastAPI copies it
) -> queries.Asked:
    return queries.Asked(firm_number=firm_number, not_new_to=not_new_to)


Asked = Annotated[queries.Asked, Depends(_asked)]
Status = Annotated[RenewalStatus | None, Query(description="Only renewals that stand so.")]


def _look_ahead_days(context: Context) -> int:
    assert isinstance(context.settings, RenewalsSettings)
    return context.settings.look_ahead_days


@router.get("/renewals/months", dependencies=[IN_SIGHT], summary="Renewals to review, by month and year")
async def list_months(session: Session, sight: InSight, ctx: Ctx, asked: Asked) -> Months:
    today, look_ahead_days = await ctx.clock.today(session), _look_ahead_days(ctx)
    query = queries.months(queries.to_review(sight, today, look_ahead_days, asked))
    found = (await session.execute(query)).all()
    left_out = None
    if asked.firms:
        left_out = LeftOut(
            renewals=await queries.left_out(session, sight, today, look_ahead_days, asked),
            acquired_since=new_since(today),
            reason=f"Groups that a firm acquired within the past {NEW_DAYS} days are not listed. They are found by"
            " search and in the entire book of business.",
        )
    return Months(
        today=today,
        look_ahead_days=look_ahead_days,
        months=[
            Month(month=f"{month:%Y-%m}", renewals=renewals, available=available)
            for month, renewals, available in found
        ],
        left_out=left_out,
    )


@router.get("/renewals", dependencies=[IN_SIGHT], summary="Renewals to review")
async def list_renewals(
    session: Session,
    sight: InSight,
    ctx: Ctx,
    limit: Limit,
    after: After,
    asked: Asked,
    status: Status = None,
    month: Annotated[str | None, Query(pattern=MONTH, description="Only those that begin then: `2026-09`.")] = None,
) -> Page[RenewalOfGroup]:
    """Those that `/v1/renewals/months` counts, by effective date."""
    today = await ctx.clock.today(session)
    query = queries.to_review(sight, today, _look_ahead_days(ctx), asked)
    if status is not None:
        query = query.where(Renewal.status == status)
    if month is not None:
        first_day = date.fromisoformat(f"{month}-01")
        last_day = first_day.replace(day=calendar.monthrange(first_day.year, first_day.month)[1])
        query = query.where(Renewal.effective_date.between(first_day, last_day))
    renewals, following = await page_of(session, query, by=queries.BY_DATE, limit=limit, after=after)
    return Page(items=await _with_groups(session, renewals, today), next=following)


@router.get(
    "/renewals/{renewal_id}",
    dependencies=[IN_SIGHT],
    responses=says(200, "ETag") | refuses(RenewalNotFound),
    summary="One renewal",
)
async def read_renewal(
    renewal_id: UUID, session: Session, sight: InSight, ctx: Ctx, response: Response
) -> RenewalOfGroup:
    """One of a group that is not in sight is not found."""
    renewal = await queries.renewal_in_sight(session, sight, renewal_id)
    if renewal is None:
        raise RenewalNotFound(id=renewal_id)
    await set_etag(response, session, renewal)
    (found,) = await _with_groups(session, [renewal], await ctx.clock.today(session))
    return found


@router.get(
    "/groups/{group_id}/renewals",
    dependencies=[requires(Right.RENEWALS_VIEW, or_staff=SEEING)],
    responses=refuses(GroupNotFound),
    summary="A group's renewals",
)
async def list_renewals_of_group(group_id: UUID, session: Session, limit: Limit, after: After) -> Page[RenewalView]:
    """The latest plan year first."""
    if await session.get(Group, group_id) is None:
        raise GroupNotFound(id=group_id)
    query = select(Renewal).where(Renewal.group_id == group_id)
    renewals, following = await page_of(
        session, query, by=[Renewal.plan_year], limit=limit, after=after, descending=True
    )
    return Page(items=[RenewalView.of(renewal) for renewal in renewals], next=following)


@router.get("/book", dependencies=[IN_SIGHT], tags=["book"], summary="The entire book of business")
async def read_book(
    session: Session,
    sight: InSight,
    ctx: Ctx,
    limit: Limit,
    after: After,
    firm_number: FirmNumber = None,
    q: Annotated[str | None, Query(min_length=1, max_length=100, description="Any part of the name or number.")] = None,
    status: Status = None,
) -> Page[BookEntry]:
    """All groups, wherever in the cycle, by name, each with its current renewal."""
    today = await ctx.clock.today(session)
    query = queries.book(sight, today, firm_number, q, status)
    groups, following = await page_of(session, query, by=queries.BY_NAME, limit=limit, after=after)
    current = await queries.current_renewals(session, groups)
    firms = await queries.firms_of(session, [group.group_id for group in groups], today)
    return Page(
        items=[_entry(group, firms.get(group.group_id), current.get(group.group_id)) for group in groups],
        next=following,
    )


async def _with_groups(session: AsyncSession, renewals: Sequence[Renewal], today: date) -> list[RenewalOfGroup]:
    groups = await queries.groups_of(session, renewals)
    firms = await queries.firms_of(session, groups, today)
    return [
        RenewalOfGroup(
            **RenewalView.of(renewal).model_dump(),
            group=GroupView.of(groups[renewal.group_id], firms.get(renewal.group_id)),
        )
        for renewal in renewals
    ]


def _entry(group: Group, firm: ServingFirm | None, current: Renewal | None) -> BookEntry:
    renewal = None if current is None else RenewalView.of(current)
    return BookEntry(**GroupView.of(group, firm).model_dump(), renewal=renewal)
