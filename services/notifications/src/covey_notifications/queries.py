"""Named reads of notifications."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.account import AccountCopy, AccountNotKnownYet
from covey_notifications.domain.appointment import AppointmentCopy, BrokersContact
from covey_notifications.domain.grant import GrantTold
from covey_notifications.domain.group import GroupCopy, GroupNotKnownYet
from covey_notifications.domain.notification import Notification, Recipient, Status


async def claim_due(session: AsyncSession, *, at: datetime, new_first: bool) -> Notification | None:
    """One message that is due and that nobody else is sending; it is ours until the transaction ends.

    ``new_first`` takes messages that were never tried before those that were: however many recipients' servers stall,
    a new message does not wait behind them.
    """
    order = [Notification.next_at, Notification.id]
    return await session.scalar(
        select(Notification)
        .where(Notification.status == Status.WAITING, Notification.next_at <= at)
        .order_by(*([Notification.attempts > 0] if new_first else []), *order)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


async def known_group(session: AsyncSession, group_id: UUID) -> GroupCopy:
    """The copy of a group.

    Raises:
        GroupNotKnownYet: nothing is known of the group so far.
    """
    group = await session.get(GroupCopy, group_id)
    if group is None:
        raise GroupNotKnownYet(group_id=group_id)
    return group


async def brokers_contact(session: AsyncSession, group: GroupCopy) -> BrokersContact:
    """Whose contact it is that the group's event gives for its broker: the broker's, as long as nothing else is known."""
    latest = await session.scalar(
        select(AppointmentCopy)
        .where(AppointmentCopy.group_id == group.group_id)
        .order_by(AppointmentCopy.appointment_id.desc())
        .limit(1)
    )
    return BrokersContact.THEIRS if latest is None else latest.contact_in(group.broker_firm_number)


async def check_account_known(session: AsyncSession, account_id: UUID) -> None:
    """There is a copy of the account.

    Raises:
        AccountNotKnownYet: nothing is known of the account so far.
    """
    if await session.get(AccountCopy, account_id) is None:
        raise AccountNotKnownYet(account_id=account_id)


async def last_told(session: AsyncSession, grant_id: UUID) -> GrantTold | None:
    """The grant as it was told of last, locked; as it is in the database, whatever the session has seen of it."""
    return await session.scalar(
        select(GrantTold)
        .where(GrantTold.grant_id == grant_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def recipients_of(session: AsyncSession, about_event_id: str) -> set[Recipient]:
    """To whom a message about this event was written already."""
    found = await session.scalars(select(Notification.recipient).where(Notification.about_event_id == about_event_id))
    return set(found)


async def waiting_since(session: AsyncSession) -> datetime | None:
    """When the message that has waited longest began to wait."""
    return await session.scalar(select(func.min(Notification.since)).where(Notification.status == Status.WAITING))


def listed(*, status: Status | None, group_id: UUID | None) -> Select[Notification]:
    """Notifications, of one status or group where that is said."""
    query = select(Notification)
    if status is not None:
        query = query.where(Notification.status == status)
    if group_id is not None:
        query = query.where(Notification.group_id == group_id)
    return query
