"""Send one message that is due."""

import traceback
from collections.abc import Callable
from datetime import datetime
from email.headerregistry import Address

import structlog
from covey_chassis.envelope import Cause, caused_by
from covey_chassis.failpoints import failpoint
from covey_chassis.outbox import emit
from covey_chassis.sealing import Keyring
from covey_contracts.membership import Contact, GroupContacts
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.group import GroupCopy
from covey_notifications.domain.notification import Notification, Recipient
from covey_notifications.letter import Letter, compose
from covey_notifications.mailbox import UnusableAddress, address
from covey_notifications.metrics import FAILED, PUT_OFF, SENT
from covey_notifications.queries import claim_due
from covey_notifications.smtp import MailServer, NotSent
from covey_notifications.texts import render

log = structlog.get_logger(__name__)

LANGUAGE = "en"
"""Until accounts say which language a person reads."""


async def send_next(
    session: AsyncSession,
    server: MailServer,
    keyring: Keyring,
    *,
    sender: Address,
    new_first: bool,
    now: Callable[[], datetime],
) -> bool:
    """Send the next message that is due, and note what became of it; False when none is due.

    The row stays locked while the message is sent, so nobody else sends it. What happens between the server's "taken"
    and the commit is not known afterwards: the message is sent again then, with the same Message-ID.
    """
    notification = await claim_due(session, at=now(), new_first=new_first)
    if notification is None:
        return False
    group = await session.get_one(GroupCopy, notification.group_id)
    with caused_by(Cause(notification.correlation_id, notification.about_event_id)):
        try:
            await server.send(_write(notification, group, keyring, sender=sender, at=now()))
        except NotSent as refusal:
            _note_refusal(session, notification, refusal, at=now())
        except Exception as error:  # a defect in one message must not hold up the others
            # Only where it was raised: the error's own words may hold what the message says.
            where = traceback.extract_tb(error.__traceback__)[-1]
            log.error(
                "mail.defect",
                notification_id=str(notification.id),
                error=type(error).__name__,
                where=f"{where.filename}:{where.lineno}",
            )
            _note_refusal(session, notification, NotSent("defect"), at=now())
        else:
            await failpoint("mailer.after_taken")
            emit(session, notification, notification.deliver(at=now()))
            SENT.labels(notification.kind).inc()
    return True


def _write(notification: Notification, group: GroupCopy, keyring: Keyring, *, sender: Address, at: datetime) -> Letter:
    contact = _contact(notification.recipient, group, keyring)
    if contact is None:
        raise NotSent("no-contact", lasting=True)
    try:
        to = address(contact.name, contact.email)
    except UnusableAddress:
        raise NotSent("unusable-address", lasting=True) from None
    reference = str(notification.id)
    text = render(
        notification.kind,
        LANGUAGE,
        recipient=notification.recipient,
        name=contact.name,
        legal_name=notification.legal_name,
        group_number=notification.group_number,
        plan_year=notification.plan_year,
        effective_date=notification.effective_date,
        reference=reference,
    )
    return compose(text, message_id=notification.message_id, reference=reference, sender=sender, to=to, at=at)


def _contact(recipient: Recipient, group: GroupCopy, keyring: Keyring) -> Contact | None:
    """Who has the role now: whoever took it over since the event gets the message."""
    try:
        contacts = keyring.open(group.sealed_contacts, GroupContacts)
    except Exception:  # a key that is missing here, or contents that are not contacts: neither says why in public
        raise NotSent("contacts-unreadable") from None
    return contacts.broker if recipient is Recipient.BROKER else contacts.contract_signer


def _note_refusal(session: AsyncSession, notification: Notification, refusal: NotSent, *, at: datetime) -> None:
    verb = notification.fail if refusal.lasting else notification.put_off
    failed = verb(refusal.reason, at=at)
    if failed is None:
        PUT_OFF.labels(notification.kind, refusal.reason).inc()
    else:
        emit(session, notification, failed)
        FAILED.labels(notification.kind, refusal.reason).inc()
    log.warning(
        "mail.put_off" if failed is None else "mail.failed",
        notification_id=str(notification.id),
        attempts=notification.attempts,
        reason=refusal.reason,
    )
