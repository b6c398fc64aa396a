"""Tell people what became of a transaction."""

import structlog
from covey_contracts.transactions import ReviewDeclined, ReviewReturned, TransactionState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.notification import Notification, Occasion
from covey_notifications.domain.transaction import news_about
from covey_notifications.metrics import PASSED_OVER
from covey_notifications.queries import known_group
from covey_notifications.use_cases.announce import announce

log = structlog.get_logger(__name__)


async def announce_transaction(session: AsyncSession, event: TransactionState, occasion: Occasion) -> None:
    """Write one message to each whom it concerns; what people wrote stays sealed.

    Whether there is anybody behind an account is settled when the message is sent: a transaction may be a program's, and
    identity tells of no programs. A kind of transaction that there are no texts for is counted and passed over.

    Raises:
        GroupNotKnownYet: nothing is known of the group so far.
    """
    changes = event.renewal_changes
    if changes is None or event.group_id is None:
        PASSED_OVER.inc()
        log.warning("mail.unknown_transaction", transaction_id=str(event.transaction_id), kind=event.kind)
        return
    news = news_about(event)
    if not news:
        return
    group = await known_group(session, event.group_id)
    await announce(
        session,
        *(
            Notification(
                kind=each.kind,
                about_event_id=occasion.event_id,
                correlation_id=occasion.correlation_id,
                recipient=each.recipient,
                account_id=each.account_id,
                sealed_letter=event.sealed if isinstance(event, ReviewReturned | ReviewDeclined) else None,
                group_id=group.group_id,
                group_number=group.group_number,
                legal_name=group.legal_name,
                effective_date=changes.effective_date,
                plan_year=changes.plan_year,
                transaction_id=event.transaction_id,
                round=event.round,
                plans_by_class=[f"{one.employee_class or '–'}: {len(one.plan_ids)}" for one in changes.classes],
                enrollments=changes.enrollments,
                terminations=changes.terminations,
                created_at=occasion.at,
            )
            for each in news
        ),
    )
