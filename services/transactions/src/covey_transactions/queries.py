"""Named reads: transactions as they are listed, and what a renewal's changes can be made of."""

from collections.abc import Iterable
from datetime import datetime, time, tzinfo
from uuid import UUID

from covey_chassis.access import Sight
from covey_chassis.paging import SortKey
from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select, true, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from covey_transactions.domain.changes import Draft
from covey_transactions.domain.plan import GroupPlan, KnownPlan
from covey_transactions.domain.renewal import Group, Renewal, RenewalNotFound
from covey_transactions.domain.saved_search import Filters, SortedBy
from covey_transactions.domain.transaction import (
    COMPLETED,
    LIVE,
    WITHDRAWN,
    Round,
    Transaction,
    TransactionNotFound,
)

WITHOUT_DRAFT = defer(Transaction.draft, raiseload=True)
"""For lists: a draft may be long."""


# --- transactions ---


def sort_keys(by: SortedBy) -> tuple[SortKey, ...]:
    """The history's columns for this order, the last one unique."""
    first: dict[SortedBy, SortKey] = {
        SortedBy.CREATED: Transaction.created_at,
        SortedBy.UPDATED: Transaction.updated_at,
        SortedBy.EFFECTIVE_DATE: Transaction.effective_date,
        SortedBy.STATUS: Transaction.status,
        SortedBy.GROUP: Group.legal_name,
    }
    return first[by], Transaction.id


def history(sight: Sight, sought: Filters, by: SortedBy = SortedBy.CREATED, *, zone: tzinfo) -> Select[Transaction]:
    """The transactions in sight that were ever saved, as they are sought, without their drafts (R-22, R-23); unsorted.

    ``zone`` is the one in which the days that are sought begin and end.
    """
    query = (
        select(Transaction)
        .options(WITHOUT_DRAFT)
        .where(Transaction.saved_at.is_not(None), sight.of(Transaction.group_id), is_shown(sight))
    )
    if by is SortedBy.GROUP or sought.group_number is not None or sought.q is not None:
        query = query.join(Group, Group.group_id == Transaction.group_id)
    for column, value in (
        (Transaction.status, sought.status),
        (Transaction.kind, sought.kind),
        (Transaction.group_id, sought.group_id),
        (Transaction.owner_id, sought.owner_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if sought.created_from is not None:
        query = query.where(Transaction.created_at >= datetime.combine(sought.created_from, time.min, zone))
    if sought.created_to is not None:
        query = query.where(Transaction.created_at <= datetime.combine(sought.created_to, time.max, zone))
    if sought.group_number is not None:
        query = query.where(Group.group_number == sought.group_number)
    if sought.q is not None:
        fits = or_(
            Group.legal_name.icontains(sought.q, autoescape=True),
            Group.group_number.icontains(sought.q, autoescape=True),
        )
        query = query.where(fits)
    return query


COUNTED_MAX = 10_000
"""So far it is counted: nobody reads more, and to count a million takes long."""


async def count(session: AsyncSession, sight: Sight, sought: Filters, *, zone: tzinfo) -> int:
    """How many there are in the history; one more than ``COUNTED_MAX`` stands for more than so many."""
    found = history(sight, sought, zone=zone).with_only_columns(Transaction.id).limit(COUNTED_MAX + 1).subquery()
    return await session.scalar(select(func.count()).select_from(found)) or 0


def followed(sight: Sight) -> Select[UUID]:
    """The IDs of those that anybody has heard of, withdrawn ones too: what is withdrawn leaves the history."""
    return select(Transaction.id).where(Transaction.saved_at.is_not(None), sight.of(Transaction.group_id))


def is_shown(sight: Sight) -> ColumnElement[bool]:
    """Withdrawn ones are shown to staff alone."""
    return true() if sight.everything else Transaction.status != WITHDRAWN


async def transaction_in_sight(session: AsyncSession, sight: Sight, transaction_id: UUID) -> Transaction:
    """The transaction, without its draft.

    Raises:
        TransactionNotFound: it is not there, or not to be seen.
    """
    query = (
        select(Transaction)
        .options(WITHOUT_DRAFT)
        .where(Transaction.id == transaction_id, sight.of(Transaction.group_id), is_shown(sight))
    )
    found = (await session.scalars(query)).one_or_none()
    if found is None:
        raise TransactionNotFound(id=transaction_id)
    return found


async def transaction_of(
    session: AsyncSession, group_id: UUID, transaction_id: UUID, *, locked: bool = False
) -> Transaction:
    """The group's transaction; locked until this database transaction ends, when it is to be changed.

    Raises:
        TransactionNotFound: the group has no such one.
    """
    found = await session.get(Transaction, transaction_id, with_for_update=locked or None)
    if found is None or found.group_id != group_id:
        raise TransactionNotFound(id=transaction_id)
    return found


async def other_under_way(session: AsyncSession, transaction: Transaction) -> UUID | None:
    """Another transaction of its group and plan year that was saved, and is live or completed."""
    return await session.scalar(
        select(Transaction.id).where(
            Transaction.group_id == transaction.group_id,
            Transaction.plan_year == transaction.plan_year,
            Transaction.id != transaction.id,
            Transaction.saved_at.is_not(None),
            Transaction.status.in_([*LIVE, COMPLETED]),
        )
    )


async def contents(session: AsyncSession, transaction: Transaction) -> dict[int, Draft]:
    """What was submitted in each of its rounds, by the round's number."""
    query = select(Round.number, Round.content).where(Round.transaction_id == transaction.id)
    return {row.number: row.content for row in await session.execute(query)}


async def groups_of(session: AsyncSession, transactions: Iterable[Transaction]) -> dict[UUID, Group]:
    """The transactions' groups, by their IDs."""
    ids = {transaction.group_id for transaction in transactions}
    found = await session.scalars(_GROUPS, {"ids": list(ids)})
    return {group.group_id: group for group in found}


# --- renewals and plans ---


async def renewal_of(session: AsyncSession, group_id: UUID, renewal_id: UUID) -> Renewal:
    """The group's renewal.

    Raises:
        RenewalNotFound: the group has no such one.
    """
    found = await session.get(Renewal, renewal_id)
    if found is None or found.group_id != group_id:
        raise RenewalNotFound(id=renewal_id)
    return found


async def renewal_behind(session: AsyncSession, transaction: Transaction, *, locked: bool = False) -> Renewal:
    """The renewal that the transaction changes: of its group and plan year the one that was made last.

    Locked until this database transaction ends, when nobody else shall begin to change it meanwhile.
    """
    query = _BEHIND.with_for_update(key_share=True) if locked else _BEHIND
    asked = {"group_id": transaction.group_id, "plan_year": transaction.plan_year}
    return (await session.scalars(query, asked)).one()


async def plans_of(session: AsyncSession, group_id: UUID, plan_year: int) -> list[str]:
    """The plans that the group offers in that plan year, in order."""
    query = select(GroupPlan.plan_id).where(GroupPlan.group_id == group_id, GroupPlan.plan_year == plan_year)
    return list(await session.scalars(query.order_by(GroupPlan.plan_id)))


async def known_plans(session: AsyncSession, renewal: Renewal) -> list[str]:
    """What can be chosen for the renewal, in order: what the carrier is known to offer there in that plan year, and what
    the group has had in the year before, which one may keep.
    """
    asked = {"group_id": renewal.group_id, "plan_year": renewal.plan_year, "year_before": renewal.plan_year - 1}
    return sorted(await session.scalars(_KNOWN_PLANS, asked))


# Made once: to make a statement takes longer than to execute it.

_BEHIND = (
    select(Renewal)
    .where(Renewal.group_id == bindparam("group_id"), Renewal.plan_year == bindparam("plan_year"))
    .order_by(Renewal.renewal_id.desc())
    .limit(1)
)
_KNOWN_PLANS = union(
    select(KnownPlan.plan_id)
    .join(Group, Group.market_region == KnownPlan.market_region)
    .where(Group.group_id == bindparam("group_id"), KnownPlan.plan_year == bindparam("plan_year")),
    select(GroupPlan.plan_id).where(
        GroupPlan.group_id == bindparam("group_id"), GroupPlan.plan_year == bindparam("year_before")
    ),
)
_GROUPS = select(Group).where(Group.group_id.in_(bindparam("ids", expanding=True)))
