"""Tell a group that its renewal is available."""

from datetime import datetime

from covey_contracts.renewals import RenewalAvailable
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.group import GroupCopy, GroupNotKnownYet
from covey_notifications.domain.notification import Kind, Notification, Recipient
from covey_notifications.queries import recipients_of


async def announce_renewal(
    session: AsyncSession, event: RenewalAvailable, *, event_id: str, correlation_id: str, at: datetime
) -> None:
    """Write one message to the contract signer and, where there is a broker of record, one to the broker.

    Raises:
        GroupNotKnownYet: nothing is known of the group so far.
    """
    group = await session.get(GroupCopy, event.group_id)
    if group is None:
        raise GroupNotKnownYet(group_id=event.group_id)
    # The inbox forgets after 30 days, a mailbox does not.
    told = await recipients_of(session, event_id)
    recipients = [Recipient.CONTRACT_SIGNER, *([Recipient.BROKER] if group.has_broker else [])]
    session.add_all(
        Notification(
            kind=Kind.RENEWAL_AVAILABLE,
            about_event_id=event_id,
            correlation_id=correlation_id,
            recipient=recipient,
            group_id=group.group_id,
            group_number=group.group_number,
            legal_name=group.legal_name,
            effective_date=event.effective_date,
            plan_year=event.plan_year,
            created_at=at,
        )
        for recipient in recipients
        if recipient not in told
    )
