"""Send somebody what concerns their own sign-on."""

import structlog
from covey_contracts.identity import MailRequested
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.notification import REQUESTED, Notification, Occasion, Recipient
from covey_notifications.metrics import PASSED_OVER
from covey_notifications.use_cases.announce import announce

log = structlog.get_logger(__name__)

PURPOSES = {kind.value: kind for kind in REQUESTED}


async def announce_requested_mail(session: AsyncSession, event: MailRequested, occasion: Occasion) -> None:
    """Write a message to whom the letter names; a purpose that is not known here is counted and passed over."""
    kind = PURPOSES.get(event.purpose)
    if kind is None:
        PASSED_OVER.inc()
        log.warning("mail.unknown_purpose", mail_id=str(event.mail_id), purpose=event.purpose)
        return
    await announce(
        session,
        Notification(
            kind=kind,
            about_event_id=occasion.event_id,
            correlation_id=occasion.correlation_id,
            recipient=Recipient.ADDRESSEE,
            sealed_letter=event.sealed,
            expires_at=event.expires_at,
            created_at=occasion.at,
        ),
    )
