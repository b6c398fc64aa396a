"""Send one message that is due."""

import traceback
from dataclasses import replace
from datetime import datetime
from email.headerregistry import Address

import structlog
from covey_chassis.access import AccessUnverified, AccountLocked, Right, check_account
from covey_chassis.clock import Clock
from covey_chassis.envelope import Cause, caused_by
from covey_chassis.failpoints import failpoint
from covey_chassis.outbox import emit
from covey_chassis.sealing import Keyring
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.account import AccountCopy
from covey_notifications.domain.group import GroupCopy
from covey_notifications.domain.notification import EXPIRED, WHO_SEE_RENEWALS, Notification, Recipient
from covey_notifications.metrics import FAILED, PUT_OFF, SENT
from covey_notifications.queries import brokers_contact, claim_due
from covey_notifications.smtp import MailServer, NotSent
from covey_notifications.writing import Copies, write

log = structlog.get_logger(__name__)


async def send_next(
    session: AsyncSession,
    server: MailServer,
    keyring: Keyring,
    *,
    sender: Address,
    new_first: bool,
    clock: Clock,
    portal_url: str | None = None,
) -> bool:
    """Send the next message that is due, and note what became of it; False when none is due.

    The row stays locked while the message is sent, so nobody else sends it. What happens between the server's "taken"
    and the commit is not known afterwards: the message is sent again then, with the same Message-ID.
    """
    notification = await claim_due(session, at=clock.now(), new_first=new_first)
    if notification is None:
        return False
    copies = await _copies(session, notification)
    with caused_by(Cause(notification.correlation_id, notification.about_event_id)):
        try:
            if notification.is_expired(at=clock.now()):
                raise NotSent(EXPIRED, lasting=True)
            await _check_access(session, notification)
            letter = write(
                notification,
                copies,
                keyring,
                sender=sender,
                zone=clock.zone,
                at=clock.now(),
                portal_url=portal_url,
            )
            await server.send(letter)
        except NotSent as refusal:
            _note_refusal(session, notification, refusal, at=clock.now())
        except Exception as error:  # a defect in one message must not hold up the others
            # Only where it was raised: the error's own words may hold what the message says.
            where = traceback.extract_tb(error.__traceback__)[-1]
            log.error(
                "mail.defect",
                notification_id=str(notification.id),
                error=type(error).__name__,
                where=f"{where.filename}:{where.lineno}",
            )
            _note_refusal(session, notification, NotSent("defect"), at=clock.now())
        else:
            await failpoint("mailer.after_taken")
            emit(session, notification, notification.deliver(at=clock.now()))
            SENT.labels(notification.kind).inc()
    return True


async def _check_access(session: AsyncSession, notification: Notification) -> None:
    """Let the message go if whom it is for may know what it says at this moment.

    Raises:
        NotSent: they may not any more, or it cannot be verified now.
    """
    if notification.recipient not in WHO_SEE_RENEWALS:
        return
    assert notification.account_id is not None
    assert notification.group_id is not None
    try:
        reader = await check_account(session, notification.account_id, notification.group_id)
    except AccessUnverified:
        raise NotSent("access-unverified") from None
    except AccountLocked:
        raise NotSent("account-locked", lasting=True) from None
    if not reader.holds(Right.RENEWALS_VIEW, whole_group=False):
        raise NotSent("no-access", lasting=True)


async def _copies(session: AsyncSession, notification: Notification) -> Copies:
    group_id, account_id, holder_id = notification.group_id, notification.account_id, notification.holder_id
    group = await session.get_one(GroupCopy, group_id) if group_id else None
    copies = Copies(
        group=group,
        account=await session.get(AccountCopy, account_id) if account_id else None,
        holder=await session.get_one(AccountCopy, holder_id) if holder_id else None,
    )
    if group is not None and notification.recipient is Recipient.BROKER:
        return replace(copies, brokers_contact=await brokers_contact(session, group))
    return copies


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
