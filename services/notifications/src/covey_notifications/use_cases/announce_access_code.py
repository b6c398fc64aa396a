"""Send an access code to the person whom it is for."""

from covey_contracts.identity import AccessCodeIssued
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.notification import Kind, Notification, Occasion, Recipient
from covey_notifications.queries import known_group
from covey_notifications.use_cases.announce import announce


async def announce_access_code(session: AsyncSession, event: AccessCodeIssued, occasion: Occasion) -> None:
    """Write a message to whom the letter names; the letter, with the code, stays sealed.

    Raises:
        GroupNotKnownYet: nothing is known of the group so far.
    """
    group = await known_group(session, event.group_id)
    await announce(
        session,
        Notification(
            kind=Kind.ACCESS_CODE,
            about_event_id=occasion.event_id,
            correlation_id=occasion.correlation_id,
            recipient=Recipient.ADDRESSEE,
            sealed_letter=event.sealed,
            expires_at=event.expires_at,
            group_id=group.group_id,
            group_number=group.group_number,
            legal_name=group.legal_name,
            role=event.role,
            created_at=occasion.at,
        ),
    )
