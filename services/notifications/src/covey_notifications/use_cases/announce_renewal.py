"""Tell a group that its renewal is available."""

from covey_contracts.renewals import RenewalAvailable
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.notification import Kind, Notification, Occasion, Recipient
from covey_notifications.queries import known_group
from covey_notifications.use_cases.announce import announce


async def announce_renewal(session: AsyncSession, event: RenewalAvailable, occasion: Occasion) -> None:
    """Write one message to the contract signer and, where there is a broker of record, one to the broker.

    Raises:
        GroupNotKnownYet: nothing is known of the group so far.
    """
    group = await known_group(session, event.group_id)
    recipients = [Recipient.CONTRACT_SIGNER, *([Recipient.BROKER] if group.has_broker else [])]
    await announce(
        session,
        *(
            Notification(
                kind=Kind.RENEWAL_AVAILABLE,
                about_event_id=occasion.event_id,
                correlation_id=occasion.correlation_id,
                recipient=recipient,
                group_id=group.group_id,
                group_number=group.group_number,
                legal_name=group.legal_name,
                effective_date=event.effective_date,
                plan_year=event.plan_year,
                created_at=occasion.at,
            )
            for recipient in recipients
        ),
    )
