"""What people look for: the renewals to review, month by month, and the entire book of business.

A group's firm is that of its appointment that lasts. It is worked out when it is asked for, by the carrier's date, from
indexes that find a firm's appointments and a group's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from covey_chassis.access import Sight
from covey_contracts.renewals import RenewalStatus
from sqlalchemy import ColumnElement, Date, DateTime, Select, and_, cast, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from covey_renewals.domain.book import Appointment, Firm, Group, new_since
from covey_renewals.domain.renewal import Renewal

BY_NAME = (func.lower(Group.legal_name), Group.group_id)
BY_DATE = (Renewal.effective_date, Renewal.id)


class ServingFirm(NamedTuple):
    """The firm that serves a group, and since when it is the firm's."""

    firm_number: str
    firm_name: str
    acquired_date: date


# --- renewals ---


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Whose renewals: all that one sees, or a firm's. To ``firms`` a group must not be new to be listed."""

    firm_number: str | None = None
    not_new_to: Sequence[str] = ()

    @property
    def firms(self) -> Sequence[str]:
        """A group has one firm at a time: where one is asked for, the others do not matter."""
        return self.not_new_to if self.firm_number is None else [self.firm_number]


def to_review(sight: Sight, today: date, look_ahead_days: int, asked: Asked) -> Select[Renewal]:
    """The current renewals in sight that are available or further on, or upcoming within the look-ahead (R-40).

    Without those of groups that are new to one of the firms. Counts and lists both come from here.
    """
    query = _within_reach(sight, today, look_ahead_days)
    if asked.firm_number is not None:
        settled = _served_by(asked.firms, today).where(Appointment.acquired_on < new_since(today))
        return query.where(Renewal.group_id.in_(settled))
    if not asked.firms:
        return query
    return query.where(~_new_to(asked.firms, today).where(Appointment.group_id == Renewal.group_id).exists())


def months(to_review: Select[Renewal]) -> Select[date, int, int]:
    """How many renewals begin in each month, and how many of them are available: month by its first day, in order."""
    first_day = cast(func.date_trunc("month", cast(Renewal.effective_date, DateTime)), Date)
    is_available = Renewal.status == RenewalStatus.AVAILABLE
    return (
        to_review.with_only_columns(first_day.label("month"), func.count(), func.count().filter(is_available))
        .group_by("month")
        .order_by("month")
    )


async def left_out(session: AsyncSession, sight: Sight, today: date, look_ahead_days: int, asked: Asked) -> int:
    """How many renewals in sight would be listed if their groups were not new to one of the firms."""
    new = _new_to(asked.firms, today)
    query = _within_reach(sight, today, look_ahead_days).where(Renewal.group_id.in_(new))
    return (await session.scalars(query.with_only_columns(func.count()))).one()


def _within_reach(sight: Sight, today: date, look_ahead_days: int) -> Select[Renewal]:
    last_day = today + timedelta(days=look_ahead_days)
    return select(Renewal).where(
        Renewal.current,
        or_(Renewal.status != RenewalStatus.UPCOMING, Renewal.effective_date <= last_day),
        sight.of(Renewal.group_id),
    )


async def renewal_in_sight(session: AsyncSession, sight: Sight, renewal_id: UUID) -> Renewal | None:
    """The renewal, unless it is not there or not to be seen."""
    query = select(Renewal).where(Renewal.id == renewal_id, sight.of(Renewal.group_id))
    return (await session.scalars(query)).one_or_none()


async def current_renewals(session: AsyncSession, groups: Iterable[Group]) -> dict[UUID, Renewal]:
    """Each group's current renewal, by the group's ID."""
    ids = [group.group_id for group in groups]
    found = await session.scalars(select(Renewal).where(Renewal.group_id.in_(ids), Renewal.current))
    return {renewal.group_id: renewal for renewal in found}


# --- the book ---


def book(
    sight: Sight, today: date, firm_number: str | None, sought: str | None, status: RenewalStatus | None
) -> Select[Group]:
    """All groups in sight, wherever in the cycle (R-41). ``sought`` is any part of the name or the number of a group."""
    query = select(Group).where(sight.of(Group.group_id))
    if firm_number is not None:
        query = query.where(Group.group_id.in_(_served_by([firm_number], today)))
    if sought is not None:
        query = query.where(
            or_(
                Group.legal_name.icontains(sought, autoescape=True),
                Group.group_number.icontains(sought, autoescape=True),
            )
        )
    if status is not None:
        query = query.where(
            exists().where(Renewal.group_id == Group.group_id, Renewal.current, Renewal.status == status)
        )
    return query


async def groups_of(session: AsyncSession, renewals: Iterable[Renewal]) -> dict[UUID, Group]:
    """The renewals' groups, by their IDs."""
    ids = {renewal.group_id for renewal in renewals}
    found = await session.scalars(select(Group).where(Group.group_id.in_(ids)))
    return {group.group_id: group for group in found}


async def firms_of(session: AsyncSession, group_ids: Iterable[UUID], today: date) -> dict[UUID, ServingFirm]:
    """The firm that serves each of the groups on that day, by the group's ID; none for who has no firm."""
    query = (
        select(Appointment.group_id, Firm.firm_number, Firm.firm_name, Appointment.acquired_on)
        .join(Firm, Firm.firm_id == Appointment.firm_id)
        .where(Appointment.group_id.in_(list(group_ids)), *_serves(today))
    )
    found = (await session.execute(query)).all()
    return {group_id: ServingFirm(number, name, acquired) for group_id, number, name, acquired in found}


def _new_to(firm_numbers: Sequence[str], today: date) -> Select[UUID]:
    """The IDs of the groups that one of the firms serves on that day, and has acquired not long before."""
    return _served_by(firm_numbers, today).where(Appointment.acquired_on >= new_since(today))


def _served_by(firm_numbers: Sequence[str], today: date) -> Select[UUID]:
    """The IDs of the groups that one of the firms serves on that day."""
    return (
        select(Appointment.group_id)
        .join(Firm, Firm.firm_id == Appointment.firm_id)
        .where(Firm.firm_number.in_(firm_numbers), *_serves(today))
    )


def _serves(today: date) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The appointment lasts, and no other of its group that lasts began after it.

    A group has one firm at a time; but that the next begins may be heard of before that the last has ended.
    """
    later = aliased(Appointment)
    began_later = tuple_(later.starts_on, later.appointment_id) > tuple_(
        Appointment.starts_on, Appointment.appointment_id
    )
    is_replaced = exists().where(later.group_id == Appointment.group_id, began_later, _lasts(later, today))
    return _lasts(Appointment, today), ~is_replaced


def _lasts(appointment: type[Appointment], today: date) -> ColumnElement[bool]:
    """It has begun, and not ended: the day on which it ends is not its own any more."""
    return and_(appointment.starts_on <= today, or_(appointment.ends_on.is_(None), appointment.ends_on > today))
