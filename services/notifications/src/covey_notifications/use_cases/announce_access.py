"""Tell people that somebody's access has changed."""

from covey_chassis.copies import keep_newer
from covey_contracts.identity import AccessChanged
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.grant import GrantTold, news_of
from covey_notifications.domain.notification import Kind, Notification, Occasion, Recipient
from covey_notifications.queries import check_account_known, known_group, last_told
from covey_notifications.use_cases.announce import announce


async def announce_access(session: AsyncSession, event: AccessChanged, occasion: Occasion, *, sequence: int) -> None:
    """Write one message, to the giver when a user was added, else to the holder, if there is news; and note the grant.

    Raises:
        GroupNotKnownYet: nothing is known of the group so far.
        AccountNotKnownYet: nothing is known of the account that it goes to, or of the one that it tells of.
    """
    before = await last_told(session, event.grant_id)
    newer = await keep_newer(
        session,
        GrantTold,
        sequence=sequence,
        grant_id=event.grant_id,
        status=event.status,
        rights=event.rights,
        billing_units=event.billing_units,
    )
    kind = news_of(event, before, sequence=sequence) if newer else None
    if kind is None:
        return
    recipient, account_id = (
        (Recipient.GIVER, event.given_by) if kind is Kind.USER_ADDED else (Recipient.HOLDER, event.account_id)
    )
    assert account_id is not None
    assert event.account_id is not None
    group = await known_group(session, event.group_id)
    await check_account_known(session, account_id)
    await check_account_known(session, event.account_id)
    await announce(
        session,
        Notification(
            kind=kind,
            about_event_id=occasion.event_id,
            correlation_id=occasion.correlation_id,
            recipient=recipient,
            account_id=account_id,
            group_id=group.group_id,
            group_number=group.group_number,
            legal_name=group.legal_name,
            holder_id=event.account_id,
            role=event.role,
            rights=list(event.rights),
            billing_units=None if event.billing_units is None else list(event.billing_units),
            created_at=occasion.at,
        ),
    )
