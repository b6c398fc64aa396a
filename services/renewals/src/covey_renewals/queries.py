"""What people look for: the renewals to review, month by month, and the entire book of business."""

from collections.abc import Iterable
from datetime import date, timedelta
from uuid import UUID

from covey_contracts.renewals import RenewalStatus
from sqlalchemy import Date, DateTime, Select, cast, exists, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from covey_renewals.domain.book import Group, new_since
from covey_renewals.domain.renewal import OPEN, Renewal

# Written into the statement: only then does PostgreSQL know that its partial indexes hold these renewals.
IS_OPEN = Renewal.status.in_([literal(status, Renewal.status.type, literal_execute=True) for status in OPEN])

BY_NAME = (func.lower(Group.legal_name), Group.group_id)
BY_DATE = (Renewal.effective_date, Renewal.id)


def to_review(today: date, look_ahead_days: int, firm_number: str | None) -> Select[Renewal]:
    """The open renewals that are available or further on, or upcoming within the look-ahead (R-40).

    A firm sees those of its groups, without the groups that are new to it. Counts and lists both come from here.
    """
    query = _in_sight(today, look_ahead_days)
    if firm_number is None:
        return query
    return _of_firm(query, firm_number).where(Group.acquired_date < new_since(today))


def months(to_review: Select[Renewal]) -> Select[date, int, int]:
    """How many renewals begin in each month, and how many of them are available: month by its first day, in order."""
    first_day = cast(func.date_trunc("month", cast(Renewal.effective_date, DateTime)), Date)
    is_available = Renewal.status == RenewalStatus.AVAILABLE
    return (
        to_review.with_only_columns(first_day.label("month"), func.count(), func.count().filter(is_available))
        .group_by("month")
        .order_by("month")
    )


async def left_out(session: AsyncSession, today: date, look_ahead_days: int, firm_number: str) -> int:
    """How many renewals a firm would have to review if their groups were not new to it."""
    query = _of_firm(_in_sight(today, look_ahead_days), firm_number).where(Group.acquired_date >= new_since(today))
    return (await session.scalars(query.with_only_columns(func.count()))).one()


def _in_sight(today: date, look_ahead_days: int) -> Select[Renewal]:
    last_day = today + timedelta(days=look_ahead_days)
    return select(Renewal).where(
        IS_OPEN, or_(Renewal.status != RenewalStatus.UPCOMING, Renewal.effective_date <= last_day)
    )


def _of_firm(query: Select[Renewal], firm_number: str) -> Select[Renewal]:
    return query.join(Group, Group.group_id == Renewal.group_id).where(Group.firm_number == firm_number)


def book(firm_number: str | None, sought: str | None, status: RenewalStatus | None) -> Select[Group]:
    """All groups, wherever in the cycle (R-41). ``sought`` is any part of the name or the number of a group."""
    query = select(Group)
    if firm_number is not None:
        query = query.where(Group.firm_number == firm_number)
    if sought is not None:
        query = query.where(
            or_(
                Group.legal_name.icontains(sought, autoescape=True),
                Group.group_number.icontains(sought, autoescape=True),
            )
        )
    if status is not None:
        query = query.where(exists().where(Renewal.group_id == Group.group_id, IS_OPEN, Renewal.status == status))
    return query


async def current_renewals(session: AsyncSession, groups: Iterable[Group]) -> dict[UUID, Renewal]:
    """Each group's open renewal, by the group's ID."""
    ids = [group.group_id for group in groups]
    found = await session.scalars(select(Renewal).where(Renewal.group_id.in_(ids), IS_OPEN))
    return {renewal.group_id: renewal for renewal in found}


async def groups_of(session: AsyncSession, renewals: Iterable[Renewal]) -> dict[UUID, Group]:
    """The renewals' groups, by their IDs."""
    ids = {renewal.group_id for renewal in renewals}
    found = await session.scalars(select(Group).where(Group.group_id.in_(ids)))
    return {group.group_id: group for group in found}
